// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What load balancing asks of whatever makes balancers real. Every call may be repeated: a second one changes nothing.
/// Balancers are handed over whole; what is on its way is theirs to keep alive while they change.
package protocol LoadBalancerProvider: Sendable {
    var abilities: ProviderAbilities { get }
    /// Makes one balancer exactly so, from nothing or from what it was.
    func put(_ balancer: BalancerSpec) async throws(Fault)
    /// Takes a balancer away; one that is not there is fine.
    func remove(_ balancer: String) async throws(Fault)
    /// The balancers that are there.
    func present() async throws(Fault) -> Set<String>
    /// How a balancer is doing; nil when it is not there.
    func report(_ balancer: String) async throws(Fault) -> BalancerReport?
}

/// What a provider can do, and what it says of itself.
package struct ProviderAbilities: Sendable {
    /// What refusals call it.
    package var title: String
    package var listeners = Set(ListenerProtocol.allCases)
    package var pools = Set(PoolProtocol.allCases)
    package var algorithms = Set(BalancingAlgorithm.allCases)
    package var persistence = Set(PersistenceKind.allCases)
    package var monitors = Set(MonitorKind.allCases)
    package var takesBlocks = true
    package var takesPolicies = true
    /// Whether it takes members of any kind: monitored elsewhere than they serve, or of the other family.
    package var isPlain = true
    package var fails = true
    /// Whether its balancers need a port on each network of members.
    package var needsLegs = true
    /// The pools whose members' health is asked from an address on their own subnet.
    package var sources = Set<PoolProtocol>()
    /// What datagrams can be spread by.
    package var datagramAlgorithms = Set(BalancingAlgorithm.allCases)
    package var knowsZones = true
    /// What flavors may say about its balancers: name and meaning. Nil: it knows no flavors.
    package var flavorCapabilities: [String: String]?
    package var zoneCapabilities: [String: String]?

    package init(title: String) { self.title = title }

    /// HAProxy in a network namespace of its own.
    package static let haproxy: ProviderAbilities = {
        var abilities = ProviderAbilities(title: "HAProxy provider")
        abilities.monitors.remove(.sctp)
        // The kernel spreads datagrams, and does not count who has how many.
        abilities.datagramAlgorithms.remove(.leastConnections)
        abilities.flavorCapabilities = [
            "loadbalancer_topology":
                "The load balancer topology. One of: SINGLE - One process per load balancer. ACTIVE_STANDBY - taken "
                + "as SINGLE: the process is restarted where it ran.",
            "maximum_connections": "The most connections that one load balancer holds at a time.",
        ]
        abilities.zoneCapabilities = [
            "compute_zone": "The compute availability zone.",
            "valid_vip_networks": "List of network IDs that are allowed for VIP use.",
        ]
        return abilities
    }()

    /// OVN's own balancing of addresses and ports, without a process.
    package static let ovn: ProviderAbilities = {
        var abilities = ProviderAbilities(title: "OVN provider")
        abilities.listeners = [.tcp, .udp, .sctp]
        abilities.pools = [.tcp, .udp, .sctp]
        abilities.algorithms = [.sourceIPPort, .sourceIP]
        abilities.persistence = [.sourceIP]
        abilities.monitors = [.tcp, .udpConnect]
        abilities.takesBlocks = false
        abilities.takesPolicies = false
        abilities.isPlain = false
        abilities.fails = false
        abilities.needsLegs = false
        abilities.sources = Set(PoolProtocol.allCases)
        abilities.knowsZones = false
        return abilities
    }()
}

/// How a balancer is doing, as its provider sees it.
package struct BalancerReport: Sendable, Hashable {
    package enum Health: String, Sendable { case up, down, unchecked, draining, disabled }

    /// Names the counters' life: they begin at nothing with a new one.
    package var run: String
    /// Of listeners whose counters live otherwise.
    package var runs: [String: String] = [:]
    package var members: [String: Health]
    package var listeners: [String: Figures]
    /// Listeners that take no more connections.
    package var full: Set<String>

    package init(
        run: String, members: [String: Health] = [:], listeners: [String: Figures] = [:], full: Set<String> = []
    ) {
        self.run = run
        self.members = members
        self.listeners = listeners
        self.full = full
    }
}
