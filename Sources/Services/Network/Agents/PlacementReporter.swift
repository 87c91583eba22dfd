// SPDX-License-Identifier: Apache-2.0
package import Clients
package import Kernel

/// Tells Placement how much of its bandwidth every host may promise: below the host's provider one for its agent, and
/// below that one for each bridge, under upstream's names, ids and traits.
package struct PlacementReporter: Sendable {
    /// Upstream's namespace of ML2/OVN's providers.
    private static let space = "5533233b-800c-11eb-b1f4-000056b2f5b8"
    private static let agentType = "OVN Controller agent"
    /// What ports may be that a host of ours plugs (upstream's `OVN_SUPPORTED_VNIC_TYPES`).
    private static let kinds = [
        "normal", "direct", "direct-physical", "macvtap", "vdpa", "remote-managed", "baremetal", "virtio-forwarder",
    ]
    private let service: NetworkService
    private let placement: PlacementClient

    package init(_ service: NetworkService, over transport: any Transport, as caller: Caller) {
        self.service = service
        placement = PlacementClient(over: transport, as: caller)
    }

    /// Runs until cancelled.
    package func run() async {
        var told: [ChassisFact] = []
        await service.clock.every(.seconds(30)) {
            do throws(Fault) {
                told = try await report(told)
            } catch {
                service.log.warning("bandwidths were not reported to Placement", ["error": error.message])
            }
        }
    }

    /// Reports the hosts that are not as they were told; answers those that Placement knows as they are now.
    package func report(_ told: [ChassisFact] = []) async throws(Fault) -> [ChassisFact] {
        let facts = try await service.backend.chassis()
        let before = Dictionary(told.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        var known: [ChassisFact] = []
        for fact in facts {
            let old = before[fact.id]
            if let old, old.bandwidths == fact.bandwidths, old.packetRates == fact.packetRates {
                known.append(fact)
                continue
            }
            let hosts = [fact, old].compactMap(\.self).reduce(into: Set<String>()) { hosts, fact in
                hosts.formUnion(fact.bandwidths.map(\.hypervisor) + fact.packetRates.map(\.hypervisor))
            }
            guard !hosts.isEmpty else { continue }
            let requestID = "req-" + service.ids.uuid()
            var isWhole = true
            for hypervisor in hosts.sorted() {
                // A host that Compute has not reported yet is tried again.
                guard let root = try await placement.provider(named: hypervisor, requestID: requestID) else {
                    isWhole = false
                    continue
                }
                try await report(fact.bandwidths.filter { $0.hypervisor == hypervisor }, hypervisor, root, requestID)
                try await report(fact.packetRates.first { $0.hypervisor == hypervisor }, hypervisor, requestID)
            }
            if isWhole { known.append(fact) }
        }
        return known
    }

    private static var kindTraits: Set<String> { Set(kinds.map { ResourceRequests.custom("VNIC_TYPE_\($0)") }) }

    /// Packets are the agent's own, whichever bridge they go through.
    private func report(_ rate: PacketRate?, _ host: String, _ requestID: String) async throws(Fault) {
        let agent = ResourceRequests.stableUUID(in: PlacementReporter.space, host)
        if rate != nil {
            let traits = PlacementReporter.kindTraits
            try await placement.defineTraits(traits, requestID: requestID)
            try await placement.setTraits(agent, traits, isOwn: { _ in false }, requestID: requestID)
        }
        try await placement.replaceInventory(agent, rate?.inventory ?? [:], requestID: requestID)
    }

    private func report(
        _ devices: [DeviceBandwidth], _ host: String, _ root: String, _ requestID: String
    ) async throws(Fault) {
        let agent = ResourceRequests.stableUUID(in: PlacementReporter.space, host)
        let agentName = "\(host):\(PlacementReporter.agentType)"
        try await placement.ensureProvider(agent, name: agentName, under: root, requestID: requestID)
        var kept: Set<String> = []
        for device in devices {
            let id = ResourceRequests.stableUUID(in: PlacementReporter.space, "\(host):\(device.device)")
            kept.insert(id)
            try await placement.ensureProvider(
                id, name: "\(agentName):\(device.device)", under: agent, requestID: requestID)
            var traits = PlacementReporter.kindTraits
            if let physical = device.physicalNetwork { traits.insert(ResourceRequests.custom("PHYSNET_\(physical)")) }
            if device.carriesTunnels { traits.insert(ResourceRequests.tunnelTrait) }
            try await placement.defineTraits(traits, requestID: requestID)
            try await placement.setTraits(
                id, traits, isOwn: { $0.hasPrefix("CUSTOM_PHYSNET_") || $0 == ResourceRequests.tunnelTrait },
                requestID: requestID)
            try await placement.replaceInventory(id, device.inventory, requestID: requestID)
        }
        for id in try await placement.children(of: agent, requestID: requestID).keys where !kept.contains(id) {
            // One that something is taken of stays until that is given back.
            do throws(Fault) { try await placement.deleteProvider(id, requestID: requestID) } catch {
                if error.status != 409 { throw error }
            }
        }
    }
}

extension DeviceBandwidth {
    /// As Placement is told of it.
    fileprivate var inventory: [String: JSONObject] {
        PlacementReporter.inventory(
            [("NET_BW_EGR_KILOBIT_PER_SEC", egress), ("NET_BW_IGR_KILOBIT_PER_SEC", ingress)], defaults)
    }
}

extension PacketRate {
    fileprivate var inventory: [String: JSONObject] {
        PlacementReporter.inventory(
            [
                ("NET_PACKET_RATE_KILOPACKET_PER_SEC", any), ("NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC", egress),
                ("NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC", ingress),
            ], defaults)
    }
}

extension PlacementReporter {
    fileprivate static func inventory(
        _ totals: [(String, Int?)], _ defaults: [String: Double]
    ) -> [String: JSONObject] {
        var classes: [String: JSONObject] = [:]
        for (name, total) in totals {
            guard let total, total > 0 else { continue }
            var members: JSONObject = ["total": .integer(Int64(total))]
            for (member, number) in defaults {
                members[member] =
                    number == number.rounded() && member != "allocation_ratio"
                    ? .integer(Int64(number)) : .double(number)
            }
            classes[name] = members
        }
        return classes
    }
}
