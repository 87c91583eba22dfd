// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Who makes balancers real, and what flavors and zones may say to them.
package enum Providers: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/providers") { path in
        [
            .get(path, "List providers", of: OwnScope.from, allow: .read("provider:get_all"), list),
            .get(
                path + "/{provider}/flavor_capabilities", "Show provider flavor capabilities", of: OwnScope.from,
                allow: .operate("provider-flavor:get_all"), flavors),
            .get(
                path + "/{provider}/availability_zone_capabilities", "Show provider availability zone capabilities",
                of: OwnScope.from, allow: .operate("provider-availability-zone:get_all"), zones),
        ]
    }

    private static func list(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        .list(
            "providers",
            BalancerProviders.descriptions.map { name, description in
                {
                    $0.put("name", name)
                    $0.put("description", description)
                }
            })
    }

    private static func flavors(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let name = request["provider"]
        guard let known = try request.balancing.providers.require(name).abilities.flavorCapabilities else {
            throw .notImplemented(
                name, "This provider does not support getting the supported flavor metadata.")
        }
        return capabilities("flavor_capabilities", known, request)
    }

    private static func zones(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let name = request["provider"]
        guard let known = try request.balancing.providers.require(name).abilities.zoneCapabilities else {
            throw .notImplemented(
                name, "This provider does not support getting the supported availability zone metadata.")
        }
        return capabilities("availability_zone_capabilities", known, request)
    }

    private static func capabilities(_ noun: String, _ known: [String: String], _ request: Request) -> Reply {
        let (name, description) = (request.query("name"), request.query("description"))
        let shown = known.sorted { $0.key < $1.key }.filter {
            (name ?? $0.key) == $0.key && (description ?? $0.value) == $0.value
        }
        return .list(
            noun,
            shown.map { key, value in
                {
                    $0.put("name", key)
                    $0.put("description", value)
                }
            })
    }
}
