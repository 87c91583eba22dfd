// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The kinds of stores, by the names that `enabled_backends` uses.
package enum ImageStoreKind: String, Sendable, CaseIterable { case file, http, swift, rbd, s3 }

/// Which stores there are and what each was told, under glance_store's names: with `enabled_backends` each has a
/// section of its own, without it they share `[glance_store]`.
package struct ImageStoreOptions: Options {
    package static let section = INI.defaultSection

    /// One store as configured.
    package struct Backend: Sendable {
        package let id: String
        package let settings: ImageStoreSettings
        package let description: String?
        package let weight: Int
    }

    package var backends: [Backend] = []
    package var standard = "file"
    /// `enabled_backends` is set.
    package var isMulti = false
    /// Where staged bytes wait; nil is a folder of the cloud's own.
    package var stagingFolder: String?
    package var showsDirectURL = false
    package var showsLocations = false
    /// Whether bytes that a location leads to are read once and digested when it is added.
    package var hashesLocations = true
    package var httpRetries = 3

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        showsDirectURL = read.bool(
            "show_image_direct_url", default: false,
            help: "Whether images tell clients where the store keeps them; with Ceph it lets others clone them.")
        showsLocations = read.bool(
            "show_multiple_locations", default: false,
            help: "Whether images show all their locations, and let them be changed by PATCH.")
        hashesLocations = read.bool(
            "do_secure_hash", default: true,
            help: "Whether the data of a location that is added is read once to have its checksum and hash.")
        httpRetries = read.int(
            "http_retries", default: 3, in: 1...Int.max, help: "How often reading the data of a location is tried.")
        let named = read.list(
            "enabled_backends",
            help: "The stores as name:kind pairs, kinds being " + ImageStoreOptions.kinds
                + "; each has a section of its name with the options that [glance_store] shows. Without it there is "
                + "one store, told in [glance_store].")
        let pairs = ImageStoreOptions.pairs(named, &read)
        readShared(&read, isShared: pairs.isEmpty)
        if !pairs.isEmpty {
            isMulti = true
            readNamed(pairs, &read)
        }
        read.section(ImageStores.stagingID)
        stagingFolder = read.string(
            "filesystem_store_datadir",
            help: "Where staged bytes wait for their import; a folder of the cloud's own when not set.")
    }

    private static let kinds = ImageStoreKind.allCases.map(\.rawValue).joined(separator: ", ")

    private static func pairs(_ named: [String], _ read: inout OptionReader) -> [(String, ImageStoreKind)] {
        var pairs: [(String, ImageStoreKind)] = []
        for text in named {
            let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, let kind = ImageStoreKind(rawValue: parts[1]) else {
                read.refuse("enabled_backends: '\(text)' is no name:kind pair; kinds are \(kinds).")
                continue
            }
            if parts[0].hasPrefix("os_glance_") {
                read.refuse("enabled_backends: names that begin with 'os_glance_' are reserved: '\(parts[0])'.")
            } else if pairs.contains(where: { $0.0 == parts[0] }) {
                read.refuse("enabled_backends: '\(parts[0])' stands there twice.")
            } else {
                pairs.append((parts[0], kind))
            }
        }
        return pairs
    }

    /// The single store, and which of several is meant when nobody says.
    private mutating func readShared(_ read: inout OptionReader, isShared: Bool) {
        read.section("glance_store")
        let chosen = read.string(
            "default_backend", help: "Which of enabled_backends takes an image when nobody says; needed with it.")
        let listed = read.list(
            "stores", default: ["file", "http"], help: "Without enabled_backends: the kinds of stores there are.")
        standard = read.choice(
            "default_store", of: ImageStoreKind.allCases.map(\.rawValue), default: "file",
            help: "Without enabled_backends: the kind of store that takes images.")
        var all: [ImageStoreKind: ImageStoreSettings] = [:]
        for kind in ImageStoreKind.allCases {
            let isUsed = isShared && (listed.contains(kind.rawValue) || standard == kind.rawValue)
            all[kind] = ImageStoreSettings(kind, &read, isUsed: isUsed)
        }
        var kinds: [ImageStoreKind] = []
        for name in listed {
            guard let kind = ImageStoreKind(rawValue: name) else {
                read.refuse("stores: '\(name)' is no kind of store; kinds are \(ImageStoreOptions.kinds).")
                continue
            }
            if !kinds.contains(kind) { kinds.append(kind) }
        }
        if !kinds.contains(where: { $0.rawValue == standard }), let kind = ImageStoreKind(rawValue: standard) {
            kinds.append(kind)
        }
        backends = kinds.compactMap { kind in
            all[kind].map { Backend(id: kind.rawValue, settings: $0, description: nil, weight: 0) }
        }
        if let chosen { standard = chosen }
        chosenStandard = chosen
    }

    private var chosenStandard: String?

    private mutating func readNamed(_ pairs: [(String, ImageStoreKind)], _ read: inout OptionReader) {
        backends = pairs.map { id, kind in
            read.section(id)
            return Backend(
                id: id, settings: ImageStoreSettings(kind, &read, isUsed: true),
                description: read.string("store_description", help: "What users are told of this store."),
                weight: read.int(
                    "weight", default: 0, help: "Images in several stores are read from the one that weighs most."))
        }
        read.section("glance_store")
        guard let chosenStandard else {
            return read.refuse("default_backend must name one of enabled_backends.")
        }
        guard pairs.contains(where: { $0.0 == chosenStandard }) else {
            return read.refuse("default_backend = '\(chosenStandard)' is not among enabled_backends.")
        }
    }
}
