// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What Network asks of whatever makes networks real. Every call may be repeated: a second one changes nothing.
///
/// One process at a time holds a back end (the holder of the room's lease): it synchronises once, then applies changes.
package protocol NetworkBackend: Sendable {
    /// Makes the changed objects real in one transaction, or changes nothing.
    func apply(_ change: TopologyChange) async throws(Fault)
    /// Compares all that should be with all that is, mends the difference, and says what it was.
    func synchronize(_ whole: Topology) async throws(Fault) -> DriftReport
    /// Ports coming up and going down from now on, after how those are that are known already; every call gets a stream
    /// of its own.
    func events() async -> AsyncStream<PortEvent>
    /// The hosts that networks can reach.
    func chassis() async throws(Fault) -> [ChassisFact]
}

/// What a synchronisation found different and mended.
package struct DriftReport: Sendable, Hashable {
    /// What was missing, different, or not ours to keep, as `table name`.
    package var inserted: [String]
    package var updated: [String]
    package var deleted: [String]

    package init(inserted: [String] = [], updated: [String] = [], deleted: [String] = []) {
        self.inserted = inserted
        self.updated = updated
        self.deleted = deleted
    }

    package var isEmpty: Bool { inserted.isEmpty && updated.isEmpty && deleted.isEmpty }
}

/// A port began or ceased to carry traffic.
package struct PortEvent: Sendable, Hashable {
    package var portID: String
    package var isUp: Bool
    /// The host that claimed it, while it is up and known.
    package var host: String?
    /// That it is the host which the port's server is moving to: that one is ready for it, and nothing else is new.
    package var isArriving: Bool

    package init(portID: String, isUp: Bool, host: String? = nil, isArriving: Bool = false) {
        self.portID = portID
        self.isUp = isUp
        self.host = host
        self.isArriving = isArriving
    }
}

/// A host as the back end sees it.
package struct ChassisFact: Sendable, Hashable {
    package var id: String
    package var hostname: String
    package var tunnelAddresses: [String]
    /// Physical networks that it has a bridge for.
    package var physicalNetworks: [String]
    package var isGateway: Bool
    /// The availability zones it says it is in; none is any.
    package var zones: [String]
    /// How far its controller has come with what it was told; nil when that is not known.
    package var progress: Int?
    /// What its bridges may promise.
    package var bandwidths: [DeviceBandwidth] = []
    /// What its switch may promise.
    package var packetRates: [PacketRate] = []

    package init(
        id: String, hostname: String, tunnelAddresses: [String] = [], physicalNetworks: [String] = [],
        isGateway: Bool = false, zones: [String] = []
    ) {
        self.zones = zones
        self.id = id
        self.hostname = hostname
        self.tunnelAddresses = tunnelAddresses
        self.physicalNetworks = physicalNetworks
        self.isGateway = isGateway
    }
}
