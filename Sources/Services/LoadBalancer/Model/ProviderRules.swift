// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a balancer's provider cannot do is refused when it is asked for, in the provider's own words.
struct ProviderRules {
    private let name: String
    private let abilities: ProviderAbilities
    private let balancer: LoadBalancer

    init(_ balancer: LoadBalancer, _ request: Request) {
        name = balancer.provider
        abilities = request.balancing.providers.abilities(balancer.provider)
        self.balancer = balancer
    }

    init(_ id: String, _ transaction: Transaction, _ request: Request) throws(Fault) {
        self.init(try transaction.one(LoadBalancer.self, "id = \(id)", or: LoadBalancer.notFound(id)), request)
    }

    private func unsupported(_ words: String) -> Fault { .unsupported(name, words) }

    func check(_ listener: Listener) throws(Fault) {
        guard abilities.listeners.contains(listener.protocol) else {
            throw unsupported("\(abilities.title) does not support \(listener.protocol.rawValue) protocol")
        }
        guard listener.allowedCIDRs.isEmpty || abilities.takesBlocks else {
            throw unsupported("\(abilities.title) does not support allowed_cidrs option")
        }
    }

    func check(_ pool: Pool) throws(Fault) {
        guard abilities.pools.contains(pool.protocol) else {
            throw unsupported("\(abilities.title) does not support \(pool.protocol.rawValue) protocol")
        }
        guard abilities.algorithms.contains(pool.lbAlgorithm) else {
            throw unsupported("\(abilities.title) does not support \(pool.lbAlgorithm.rawValue) algorithm")
        }
        if pool.protocol.isDatagram, !abilities.datagramAlgorithms.contains(pool.lbAlgorithm) {
            throw unsupported(
                "\(abilities.title) does not support \(pool.lbAlgorithm.rawValue) algorithm for "
                    + "\(pool.protocol.rawValue) pools")
        }
        if let kept = pool.sessionPersistence, !abilities.persistence.contains(kept.type) {
            throw unsupported(
                "\(abilities.title) does not support \(kept.type.rawValue) session persistence. Only SOURCE_IP type is "
                    + "supported.")
        }
    }

    /// The kernel turns a datagram to another address, never to one of the other family.
    func check(_ member: Member, in pool: Pool) throws(Fault) {
        try check(member)
        guard abilities.isPlain, pool.protocol.isDatagram, mixes(member) else { return }
        throw unsupported(
            "This provider doesn't support mixing IPv4 and IPv6 addresses for its VIP and members in "
                + "\(pool.protocol.rawValue) load balancers.")
    }

    private func mixes(_ member: Member) -> Bool {
        let addresses = [balancer.vipAddress].compactMap { $0 } + balancer.additionalVIPs.compactMap(\.address)
        let isSix = member.address.contains(":")
        return !addresses.isEmpty && !addresses.contains { $0.contains(":") == isSix }
    }

    private func check(_ member: Member) throws(Fault) {
        guard !abilities.isPlain else { return }
        guard member.monitorAddress == nil, member.monitorPort == nil else {
            throw unsupported(
                "OVN Load Balancer does not support different member monitor address or port.")
        }
        guard !mixes(member) else {
            throw unsupported(
                "\(abilities.title) does not support mixing IPv4/IPv6 configuration within the same Load Balancer.")
        }
    }

    /// A member without a subnet is on one of the balancer's own, for a provider that has to know where it is.
    func requirePlace(of member: Member, _ request: Request) async throws(Fault) {
        guard !abilities.isPlain else { return }
        try check(member)
        let lookup = VIPLookup(request)
        for subnet in [balancer.vipSubnetID].compactMap({ $0 }) + balancer.additionalVIPs.map(\.subnetID)
        where AddressText.isInside(member.address, try await lookup.subnet(subnet).cidr) { return }
        throw unsupported(
            "Subnet is required, or Loadbalancer associated with Pool must have a subnet, for Member creation with OVN "
                + "Provider Driver if it is not the same as LB VIP subnet")
    }

    func check(_ monitor: HealthMonitor, _ pool: Pool) throws(Fault) {
        guard abilities.monitors.contains(monitor.type) else {
            throw unsupported("\(abilities.title) does not support \(monitor.type.rawValue) health monitor type")
        }
    }

    func check(_ policy: L7Policy) throws(Fault) {
        guard abilities.takesPolicies else {
            throw .notImplemented(name, "This provider does not support creating l7policies.")
        }
    }
}
