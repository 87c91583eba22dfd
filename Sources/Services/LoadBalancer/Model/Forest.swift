// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What hangs below balancers, read in one query per kind.
package struct Forest: Sendable {
    package enum Kind: Sendable, CaseIterable { case listeners, pools, members, monitors, policies, rules }

    var listeners: [Listener] = []
    var pools: [Pool] = []
    var members: [Member] = []
    var monitors: [HealthMonitor] = []
    var policies: [L7Policy] = []
    var rules: [L7Rule] = []

    init() {}

    init(_ database: Database, of balancers: [String], _ kinds: Set<Kind> = Set(Kind.allCases)) async throws(Fault) {
        let (ids, column) = (Array(Set(balancers)), "load_balancer_id")
        guard !ids.isEmpty else { return }
        if kinds.contains(.listeners) { listeners = try await database.all(Listener.self, column, in: ids) }
        if kinds.contains(.pools) { pools = try await database.all(Pool.self, column, in: ids) }
        if kinds.contains(.members) { members = try await database.all(Member.self, column, in: ids) }
        if kinds.contains(.monitors) { monitors = try await database.all(HealthMonitor.self, column, in: ids) }
        if kinds.contains(.policies) { policies = try await database.all(L7Policy.self, column, in: ids) }
        if kinds.contains(.rules) { rules = try await database.all(L7Rule.self, column, in: ids) }
        sort()
    }

    init(_ transaction: Transaction, of balancer: String) throws(Fault) {
        let mine: SQL = "load_balancer_id = \(balancer)"
        listeners = try transaction.all(Listener.self, mine)
        pools = try transaction.all(Pool.self, mine)
        members = try transaction.all(Member.self, mine)
        monitors = try transaction.all(HealthMonitor.self, mine)
        policies = try transaction.all(L7Policy.self, mine)
        rules = try transaction.all(L7Rule.self, mine)
        sort()
    }

    private mutating func sort() {
        listeners.sort { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
        pools.sort { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
        members.sort { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
        rules.sort { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
        policies.sort { ($0.position, $0.createdAt, $0.id) < ($1.position, $1.createdAt, $1.id) }
    }

    func listeners(of balancer: LoadBalancer) -> [Listener] { listeners.filter { $0.loadBalancerID == balancer.id } }
    func pools(of balancer: LoadBalancer) -> [Pool] { pools.filter { $0.loadBalancerID == balancer.id } }
    func policies(of listener: Listener) -> [L7Policy] { policies.filter { $0.listenerID == listener.id } }
    func rules(of policy: L7Policy) -> [L7Rule] { rules.filter { $0.l7policyID == policy.id } }
    func members(of pool: Pool) -> [Member] { members.filter { $0.poolID == pool.id } }
    func monitor(of pool: Pool) -> HealthMonitor? { monitors.first { $0.poolID == pool.id } }

    /// The listeners that a pool serves, by default or by a policy.
    func listeners(of pool: Pool) -> [Listener] {
        let redirected = Set(policies.filter { $0.redirectPoolID == pool.id }.map(\.listenerID))
        return listeners.filter { $0.defaultPoolID == pool.id || redirected.contains($0.id) }
    }

    /// The pools that a listener sends to.
    func pools(of listener: Listener) -> [Pool] {
        let named = Set(
            policies(of: listener).compactMap(\.redirectPoolID) + [listener.defaultPoolID].compactMap { $0 })
        return pools.filter { named.contains($0.id) }
    }

    /// Without what is leaving: what a balancer is to be made of.
    var staying: Forest {
        var rest = self
        rest.listeners.removeAll { $0.provisioningStatus == .pendingDelete }
        rest.pools.removeAll { $0.provisioningStatus == .pendingDelete }
        rest.members.removeAll { $0.provisioningStatus == .pendingDelete }
        rest.monitors.removeAll { $0.provisioningStatus == .pendingDelete }
        rest.policies.removeAll { $0.provisioningStatus == .pendingDelete }
        rest.rules.removeAll { $0.provisioningStatus == .pendingDelete }
        return rest
    }
}

extension View {
    /// `[{"id": ...}]`, as parts name each other.
    mutating func links(_ name: StaticString, _ ids: [String]) {
        list(name, ids) { $0.put("id", $1) }
    }
}
