// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Network

/// What of BGP a site decides: `[bgp]`, under the names of neutron-dynamic-routing's agent.
package struct BIRDOptions: Options, Hashable {
    package static let section = "bgp"

    package var routerID: String?

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        let help =
            "The number, in the form of an IPv4 address, by which BGP peers know this host. Unset means its lowest "
            + "IPv4 address."
        routerID = read.text("bgp_router_id", "IPv4 address such as 192.0.2.1", help: help) { text in
            IPAddress(text).flatMap { $0.version == .v4 ? text : nil }
        }
    }
}
