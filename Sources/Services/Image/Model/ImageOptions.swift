// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// What an operator may set, under glance-api.conf's names.
package struct ImageOptions: Options {
    package static let section = INI.defaultSection

    /// How many images a list has when the client does not say.
    package var defaultLimit = 25
    /// The most images in one answer.
    package var maxLimit = 1000
    /// The most bytes an image may have.
    package var sizeCap = 1 << 40
    /// With how many projects an image may be shared; negative is without end.
    package var memberQuota = 128
    package var propertyQuota = 128
    package var tagQuota = 128
    /// How many locations an image may have.
    package var locationQuota = 10
    /// The most bytes that all images of a project may have; nil is any number.
    package var storageQuota: Int?
    /// Whether deleted images keep their bytes for a while.
    package var delaysDeletion = false
    package var scrubTime = Duration.zero
    package var scrubberWakes = Duration.seconds(300)
    /// Who may do what with free properties; nil where nobody protects them.
    package var protection: PropertyProtection?
    /// Where trusted certificates of signed images are.
    package var certificates: String?
    /// Whether what a project may have is what Identity's limits say.
    package var usesKeystoneLimits = false
    /// The region whose limits of Identity hold.
    package var limitsRegion = "RegionOne"
    package var formats = ImageFormats()

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        defaultLimit = read.int(
            "limit_param_default", default: defaultLimit, in: 1...Int.max,
            help: "How many images a list has when the client does not say.")
        maxLimit = read.int(
            "api_limit_max", default: maxLimit, in: 1...Int.max, help: "The most images in one answer of the image API."
        )
        sizeCap = read.int(
            "image_size_cap", default: sizeCap, in: 1...(1 << 62), help: "The most bytes that an image may have.")
        memberQuota = read.int(
            "image_member_quota", default: memberQuota, in: -1...Int.max,
            help: "With how many projects an image may be shared; -1 is any number.")
        propertyQuota = read.int(
            "image_property_quota", default: propertyQuota, in: -1...Int.max,
            help: "How many properties an image may have; -1 is any number.")
        tagQuota = read.int(
            "image_tag_quota", default: tagQuota, in: -1...Int.max,
            help: "How many tags an image may have; -1 is any number.")
        readDeletion(&read)
        readProtection(&read)
        usesKeystoneLimits = read.bool(
            "use_keystone_limits", default: false,
            help: "Whether Identity's limits on image_size_total, image_stage_total, image_count_total and "
                + "image_count_uploading hold; one that is not registered is 0.")
        formats = ImageFormats(&read)
        limitsRegion = read.limitsRegion()
    }

    private mutating func readDeletion(_ read: inout OptionReader) {
        locationQuota = read.int(
            "image_location_quota", default: locationQuota, in: -1...Int.max,
            help: "How many locations an image may have; -1 is any number.")
        storageQuota = read.text(
            "user_storage_quota", "size such as 500MB, 20GB or 1TB", default: "0",
            help: "The most bytes that all images of a project may have; 0 is any number.", ImageOptions.bytes)
        if storageQuota == 0 { storageQuota = nil }
        delaysDeletion = read.bool(
            "delayed_delete", default: false,
            help: "Whether deleted images keep their data for scrub_time, and can be restored meanwhile.")
        scrubTime = read.duration(
            "scrub_time", default: scrubTime, help: "How long the data of a deleted image is kept with delayed_delete.")
        scrubberWakes = read.duration(
            "wakeup_time", default: scrubberWakes, atLeast: .seconds(1),
            help: "How often the scrubber looks for deleted images whose time is over.")
        certificates = read.string(
            "signature_certificates_folder",
            help:
                "A folder of trusted certificates, UUID.pem each, by which images' signatures are verified. They stand "
                + "for the key manager's; without it signed images are refused.")
    }

    private mutating func readProtection(_ read: inout OptionReader) {
        let format = read.choice(
            "property_protection_rule_format", default: PropertyProtection.Format.roles,
            help: "Whether the property protection file names roles or policies.")
        let file = read.string(
            "property_protection_file",
            help: "A file that says who may create, read, update and delete images' properties.")
        guard let file else { return }
        guard let text = FileSystem.text(file) else {
            return read.refuse("property_protection_file = \(file) cannot be read.")
        }
        var reasons: [String] = []
        protection = PropertyProtection(text, format: format) { reasons.append($0) }
        for reason in reasons { read.refuse("\(file): \(reason).") }
    }

    /// A number, with or without a unit of 1024s.
    private static func bytes(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let units = ["": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40]
        guard let number = Int(digits), let unit = units[String(text.dropFirst(digits.count))] else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }
}
