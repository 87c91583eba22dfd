// SPDX-License-Identifier: Apache-2.0

/// What an operator may set, under upstream's sections and names.
package struct ImageOptions: Sendable {
    /// `[DEFAULT] limit_param_default`: how many images a list has when the client does not say.
    package var defaultLimit = 25
    /// `[DEFAULT] api_limit_max`: the most images in one answer.
    package var maxLimit = 1000
    /// `[DEFAULT] image_size_cap`: the most bytes an image may have.
    package var sizeCap = 1 << 40
    /// `[DEFAULT] image_member_quota`: with how many projects an image may be shared; negative is without end.
    package var memberQuota = 128
    /// `[DEFAULT] image_property_quota`.
    package var propertyQuota = 128
    /// `[DEFAULT] image_tag_quota`.
    package var tagQuota = 128

    package init() {}
}
