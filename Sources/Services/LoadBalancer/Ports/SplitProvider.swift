// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Two providers behind one balancer's address: one carries streams, the other datagrams. HAProxy knows no UDP and no
/// SCTP; OVN spreads them before they reach the address' port.
package struct SplitProvider: LoadBalancerProvider {
    private let streams: any LoadBalancerProvider
    private let datagrams: any LoadBalancerProvider

    package init(streams: any LoadBalancerProvider, datagrams: any LoadBalancerProvider) {
        self.streams = streams
        self.datagrams = datagrams
    }

    package var abilities: ProviderAbilities { streams.abilities }

    package func put(_ balancer: BalancerSpec) async throws(Fault) {
        var (flows, packets) = (balancer, balancer)
        flows.listeners.removeAll { $0.protocol.transport != .tcp }
        flows.pools.removeAll(where: \.protocol.isDatagram)
        packets.listeners.removeAll { $0.protocol.transport == .tcp }
        packets.pools.removeAll { !$0.protocol.isDatagram }
        packets.id = SplitProvider.packets(balancer.id)
        try await streams.put(flows)
        if packets.listeners.isEmpty {
            try await datagrams.remove(packets.id)
        } else {
            try await datagrams.put(packets)
        }
    }

    package func remove(_ balancer: String) async throws(Fault) {
        try await datagrams.remove(SplitProvider.packets(balancer))
        try await streams.remove(balancer)
    }

    package func present() async throws(Fault) -> Set<String> {
        let others = try await datagrams.present().compactMap(SplitProvider.balancer)
        return try await streams.present().union(others)
    }

    package func report(_ balancer: String) async throws(Fault) -> BalancerReport? {
        guard var report = try await streams.report(balancer) else { return nil }
        let half = SplitProvider.packets(balancer)
        guard let other = try await datagrams.report(half) else {
            // What is there and does not report is not as it should be.
            return try await datagrams.present().contains(half) ? nil : report
        }
        report.members.merge(other.members) { first, _ in first }
        report.listeners.merge(other.listeners) { first, _ in first }
        return report
    }

    /// What the balancer is called at the second provider, where others are its own.
    private static let mark = "packets-"
    private static func packets(_ balancer: String) -> String { mark + balancer }
    private static func balancer(_ name: String) -> String? {
        name.hasPrefix(mark) ? String(name.dropFirst(mark.count)) : nil
    }

    /// What the second provider has that is its own, not a half of a balancer here.
    package static func isHalf(_ name: String) -> Bool { name.hasPrefix(mark) }
}
