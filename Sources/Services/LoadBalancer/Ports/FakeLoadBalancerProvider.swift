// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Balancers in memory: every watched member answers unless a test says otherwise, and traffic is what a test says.
package actor FakeLoadBalancerProvider: LoadBalancerProvider {
    package nonisolated let abilities: ProviderAbilities
    package private(set) var balancers: [String: BalancerSpec] = [:]
    /// How often balancers were handed over.
    package private(set) var puts = 0
    private var silent: Set<String> = []
    private var figures: [String: Figures] = [:]
    private var failure: Fault?
    private var run = 1

    package init(_ abilities: ProviderAbilities) { self.abilities = abilities }

    package func put(_ balancer: BalancerSpec) async throws(Fault) {
        if let failure { throw failure }
        balancers[balancer.id] = balancer
        puts += 1
    }

    package func remove(_ balancer: String) async throws(Fault) {
        if let failure { throw failure }
        balancers[balancer] = nil
    }

    package func present() async throws(Fault) -> Set<String> { Set(balancers.keys) }

    package func report(_ balancer: String) async throws(Fault) -> BalancerReport? {
        guard let spec = balancers[balancer] else { return nil }
        var report = BalancerReport(run: "\(run)")
        for pool in spec.pools {
            for member in pool.members { report.members[member.id] = health(member, pool) }
        }
        for listener in spec.listeners { report.listeners[listener.id] = figures[listener.id] ?? Figures() }
        return report
    }

    private func health(_ member: MemberSpec, _ pool: PoolSpec) -> BalancerReport.Health {
        if !member.enabled { return .disabled }
        if member.weight == 0 { return .draining }
        guard pool.monitor != nil else { return .unchecked }
        return silent.contains(member.id) ? .down : .up
    }

    // MARK: For tests

    /// A member stops answering, or answers again.
    package func silence(_ member: String, _ isSilent: Bool = true) {
        if isSilent { silent.insert(member) } else { silent.remove(member) }
    }

    package func count(_ figures: Figures, on listener: String) { self.figures[listener] = figures }
    /// As if the processes behind it had been started anew: counters begin at nothing.
    package func restart() {
        run += 1
        figures = [:]
    }
    /// Every call fails so until it is taken back.
    package func fail(_ fault: Fault?) { failure = fault }
    /// Loses a balancer, as a machine does that is switched off.
    package func lose(_ balancer: String) { balancers[balancer] = nil }
}
