// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The zones that networks and routers may be in: those that hosts name, and the cloud's own for hosts that name none.
package enum AvailabilityZones: Resource {
    package static let routes: [Route] = [
        .get(
            "/availability_zones", "List availability zones", of: Anything.from,
            allow: .rule("get_availability_zone", "role:reader"), list)
    ]

    /// All zones; those without a living host are told as such.
    static func known(_ request: Request) async throws(Fault) -> [(name: String, isAlive: Bool)] {
        let own = request.network.options.zone
        var alive: [String: Bool] = [:]
        for agent in try await request.database.all(NetworkAgent.self, "kind = ''") {
            let zones = agent.zones.isEmpty ? [own] : agent.zones.split(separator: ":").map(String.init)
            for zone in zones { alive[zone] = (alive[zone] ?? false) || agent.isAlive }
        }
        if alive.isEmpty { alive[own] = true }
        return alive.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Refuses hints at zones that there are none of.
    static func check(_ hints: [String], _ request: Request) async throws(Fault) {
        guard !hints.isEmpty else { return }
        let zones = Set(try await known(request).map(\.name)).union([request.network.options.zone])
        for hint in hints where !zones.contains(hint) {
            throw .neutron(404, "AvailabilityZoneNotFound", "AvailabilityZone \(hint) could not be found.")
        }
    }

    private static func list(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let kinds = request.queryAll("resource")
        let names = request.queryAll("name")
        let states = request.queryAll("state")
        var shown: [(kind: String, name: String, state: String)] = []
        for kind in ["network", "router"] where kinds.isEmpty || kinds.contains(kind) {
            for (zone, isAlive) in try await known(request) where names.isEmpty || names.contains(zone) {
                let state = isAlive ? "available" : "unavailable"
                if states.isEmpty || states.contains(state) { shown.append((kind, zone, state)) }
            }
        }
        return .list(
            "availability_zones",
            shown.map { zone in
                { view in
                    view.put("name", zone.name)
                    view.put("resource", zone.kind)
                    view.put("state", zone.state)
                }
            })
    }
}
