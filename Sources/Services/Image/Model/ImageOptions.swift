// SPDX-License-Identifier: Apache-2.0
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
    }
}
