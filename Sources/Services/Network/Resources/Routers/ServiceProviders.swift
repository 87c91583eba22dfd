// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Who serves what: routers are OVN's.
package enum ServiceProviders: Resource {
    struct Provider: Sendable {
        let type: String, name: String, driver: String
    }

    static let router = Provider(
        type: "L3_ROUTER_NAT", name: "ovn", driver: "neutron.services.ovn_l3.service_providers.ovn.OvnDriver")

    package static let routes: [Route] = [
        .get(
            "/service-providers", "List service providers", of: Anything.from,
            allow: .rule("get_service_provider", "role:reader"), list)
    ]

    private static func list(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let types = request.queryAll("service_type")
        let names = request.queryAll("name")
        let shown = [router].filter {
            (types.isEmpty || types.contains($0.type)) && (names.isEmpty || names.contains($0.name))
        }
        return .list(
            "service_providers",
            shown.map { provider in
                { view in
                    view.put("service_type", provider.type)
                    view.put("name", provider.name)
                    view.put("default", true)
                }
            })
    }
}
