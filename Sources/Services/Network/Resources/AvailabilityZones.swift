// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The one zone that networks and routers are in.
package enum AvailabilityZones: Resource {
    package static let routes: [Route] = [
        .get(
            "/availability_zones", "List availability zones", of: Anything.from,
            allow: .rule("get_availability_zone", "role:reader"), list)
    ]

    private static func list(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let zone = request.network.options.zone
        let kinds = request.queryAll("resource")
        let shown = ["network", "router"].filter { kinds.isEmpty || kinds.contains($0) }
        return .list(
            "availability_zones",
            shown.map { kind in
                { view in
                    view.put("name", zone)
                    view.put("resource", kind)
                    view.put("state", "available")
                }
            })
    }
}
