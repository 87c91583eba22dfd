// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// How limits of projects are held against one another.
package enum LimitModel: String, Sendable, CaseIterable {
    case flat
    case strictTwoLevel = "strict_two_level"

    /// Upstream's sentence about it.
    var description: String {
        switch self {
        case .flat: "Limit enforcement and validation does not take project hierarchy into consideration."
        case .strictTwoLevel: "This model requires project hierarchy never exceeds a depth of two"
        }
    }

    /// How deep projects may be nested under it, their domain not counted.
    var projectDepthMax: Int? { self == .flat ? nil : 2 }
}

/// `[unified_limit]`.
package struct UnifiedLimitOptions: Sendable {
    package var model = LimitModel.flat

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("unified_limit")
        model = read.choice(
            "enforcement_model", default: model,
            help: "Whether a project's limit must fit within its domain's (strict_two_level) or stands alone (flat).")
    }
}
