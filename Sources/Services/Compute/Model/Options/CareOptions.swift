// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What a host's agent does unasked: to guests after a restart, to those that should be gone, to images nobody uses.
package struct CareOptions: Options {
    package static let section = INI.defaultSection

    package enum DeletedGuest: String, Sendable, CaseIterable { case noop, log, shutdown, reap }

    /// Whether guests that ran when the host went down are started when it is back.
    package var resumesGuests = false
    package var deletedGuest = DeletedGuest.reap
    package var deletedGuestTimeout = Duration.zero
    package var deletedGuestInterval = Duration.seconds(1800)
    /// How long a server may be building; zero is for ever.
    package var buildTimeout = Duration.zero
    /// How often hosts look for images that nobody uses; nil never.
    package var imageInterval: Duration? = .seconds(2400)
    package var dropsImages = true
    package var imageAge = Duration.seconds(86_400)

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(INI.defaultSection)
        resumesGuests = read.bool(
            "resume_guests_state_on_host_boot", default: resumesGuests,
            help: "Whether guests that ran when the host went down are started when it is back.")
        deletedGuest = read.choice(
            "running_deleted_instance_action", default: deletedGuest,
            help: "What is done about a guest whose server was deleted.")
        deletedGuestTimeout = read.duration(
            "running_deleted_instance_timeout", default: deletedGuestTimeout,
            help: "How long a server must have been deleted before its guest counts as forgotten.")
        deletedGuestInterval = read.duration(
            "running_deleted_instance_poll_interval", default: deletedGuestInterval, atLeast: .seconds(1),
            help: "How often hosts look for such guests, and for files and taps that no guest has.")
        buildTimeout = read.duration(
            "instance_build_timeout", default: buildTimeout,
            help: "How long a server may be building before it ends in ERROR; 0 is for ever.")
        read.section("image_cache")
        let interval = read.int(
            "manager_interval", default: 2400, in: -1...Int(Int32.max),
            help: "After how many seconds hosts look for images that nobody uses; 0 is every minute, -1 never.")
        imageInterval = interval < 0 ? nil : .seconds(interval == 0 ? 60 : interval)
        dropsImages = read.bool(
            "remove_unused_base_images", default: dropsImages, help: "Whether images that nobody uses are dropped.")
        imageAge = read.duration(
            "remove_unused_original_minimum_age_seconds", default: imageAge,
            help: "How long an image must have been of no use to anybody before it is dropped.")
    }
}
