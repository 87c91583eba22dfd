// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The statuses of a balancer and of everything below it, in one tree.
extension LoadBalancer {
    static func status(_ request: Request, _ found: LoadBalancer) async throws(Fault) -> Reply {
        let forest = try await Forest(request.database, of: [found.id])
        return .object("statuses") { view in
            view.nest("loadbalancer") { view in
                view.put("id", found.id)
                view.put("name", found.name)
                view.statuses(found)
                view.list("listeners", forest.listeners) { view, listener in
                    view.put("id", listener.id)
                    view.put("name", listener.name)
                    view.statuses(listener)
                    view.list("pools", forest.pools(of: listener)) { $0.write($1, forest) }
                }
            }
        }
    }
}

extension View {
    fileprivate mutating func statuses(_ part: some Part) {
        put("operating_status", part.operatingStatus.rawValue)
        put("provisioning_status", part.provisioningStatus.rawValue)
    }

    fileprivate mutating func write(_ pool: Pool, _ forest: Forest) {
        put("id", pool.id)
        put("name", pool.name)
        statuses(pool)
        if let monitor = forest.monitor(of: pool) {
            nest("health_monitor") { view in
                view.put("id", monitor.id)
                view.put("name", monitor.name)
                view.put("type", monitor.type.rawValue)
                view.statuses(monitor)
            }
        }
        list("members", forest.members(of: pool)) { view, member in
            view.put("id", member.id)
            view.put("name", member.name)
            view.statuses(member)
            view.put("address", member.address)
            view.put("protocol_port", member.protocolPort)
        }
    }
}
