// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What is to hang below a balancer from its creation on. Pools are known by their names here: listeners and policies
/// may spell one out or only name it.
struct GraphDraft: Sendable {
    private var listeners: [ListenerDraft]
    private var pools: [PoolDraft]

    init(_ body: inout Body) throws(Fault) {
        let place = "load_balancer.loadbalancer"
        listeners = try body.several("listeners") { body throws(Fault) in
            try ListenerDraft(&body, place + ".listeners")
        }
        pools = try body.several("pools") { body throws(Fault) in
            try PoolDraft(&body, place + ".pools", isNamed: true)
        }
        try collect()
    }

    /// Finds the pools that are spelled out further down, and sees that every name means one of them.
    private mutating func collect() throws(Fault) {
        var needed: [String] = []
        let nested = listeners.flatMap { [$0.defaultPool] + $0.policies.map(\.redirectPool) }.compactMap { $0 }
        for pool in nested {
            guard !pool.name.isEmpty else {
                throw .validation("Pools must be named when creating a fully populated loadbalancer.")
            }
            if pool.isWhole { pools.append(pool) } else { needed.append(pool.name) }
        }
        let names = pools.map(\.name)
        guard Set(names).count == names.count else {
            throw .validation("Pool names must be unique when creating a fully populated loadbalancer.")
        }
        for name in needed where !names.contains(name) {
            throw .validation("Pool '\(name)' was referenced but no full definition was found.")
        }
    }

    /// What cannot be looked at inside a transaction.
    func check(_ request: Request, _ balancer: LoadBalancer) async throws(Fault) {
        for pool in pools { try await pool.lookUp(request, balancer) }
        for listener in listeners { try await listener.lookUp(request, balancer) }
    }

    func insert(_ transaction: Transaction, _ balancer: LoadBalancer, _ request: Request) throws(Fault) {
        var made: [String: String] = [:]
        let project = balancer.projectID
        if !pools.isEmpty { try Quotas.require(Pool.self, project, transaction, request, adding: pools.count) }
        for pool in pools {
            let id = request.ids.uuid()
            try pool.insert(transaction, id: id, balancer, request)
            made[pool.name] = id
        }
        if !listeners.isEmpty {
            try Quotas.require(Listener.self, project, transaction, request, adding: listeners.count)
        }
        for listener in listeners {
            try listener.insert(transaction, id: request.ids.uuid(), balancer, pools: made, request)
        }
    }
}
