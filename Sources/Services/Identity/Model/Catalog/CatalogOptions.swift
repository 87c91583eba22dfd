// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// `[endpoint_filter]`.
package struct CatalogOptions: Sendable {
    /// Whether a project that no filter names sees all endpoints or none.
    package var returnsAllWithoutFilter = true

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("endpoint_filter")
        returnsAllWithoutFilter = read.bool(
            "return_all_endpoints_if_no_filter", default: returnsAllWithoutFilter,
            help: "Whether a project without endpoints of its own sees the whole catalogue or an empty one.")
    }
}
