// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Networks whose segments are apart, with subnets of their own: where a port is says which addresses it may have.
extension Subnet {
    /// Puts the subnet on a segment; nil takes it off. All subnets of a network are on segments, or none is.
    mutating func place(on segment: String?, _ transaction: Transaction) throws(Fault) {
        guard segment != segmentID else { return }
        guard let segment else {
            throw .neutron(
                400, "SubnetSegmentAssociationChangeNotAllowed",
                "A subnet that is already associated with a segment cannot have its segment association changed.")
        }
        guard segmentID == nil else {
            throw .neutron(
                400, "SubnetSegmentAssociationChangeNotAllowed",
                "A subnet that is already associated with a segment cannot have its segment association changed.")
        }
        guard try transaction.count(Segment.self, "network_id = \(networkID)") == 1 else {
            throw .neutron(
                400, "NoUpdateSubnetWhenMultipleSegmentsOnNetwork",
                "The network '\(networkID)' has multiple segments, it is only possible to associate an existing subnet "
                    + "with a segment on networks with a single segment.")
        }
        try Subnet.check(segment, of: networkID, transaction)
        let others = try transaction.count(
            Subnet.self, "network_id = \(networkID) AND id <> \(id) AND segment_id IS NULL")
        guard others == 0 else { throw Subnet.notAllOnSegments(networkID) }
        segmentID = segment
    }

    /// Refuses a segment that is not the network's.
    static func check(_ segment: String, of network: String, _ transaction: Transaction) throws(Fault) {
        let found = try transaction.one(Segment.self, "id = \(segment)", or: Segment.notFound(segment))
        guard found.networkID == network else {
            throw .neutron(
                400, "NetworkIdsDontMatch",
                "The subnet's network id, '\(network)', doesn't match the network_id of segment '\(segment)'")
        }
    }

    /// Refuses a new subnet that is on a segment where the others are on none, or the other way round.
    static func checkPlace(_ segment: String?, of network: String, _ transaction: Transaction) throws(Fault) {
        if let segment { try check(segment, of: network, transaction) }
        let apart: SQL = segment == nil ? "segment_id IS NOT NULL" : "segment_id IS NULL"
        guard try transaction.count(Subnet.self, "network_id = \(network) AND \(sql: apart)") == 0 else {
            throw notAllOnSegments(network)
        }
    }

    private static func notAllOnSegments(_ network: String) -> Fault {
        .neutron(
            400, "SubnetsNotAllAssociatedWithSegments",
            "All of the subnets on network '\(network)' must either all be associated with segments or all not "
                + "associated with any segment.")
    }
}

extension AddressBook {
    /// Whether addresses depend on where a port is.
    var isRouted: Bool { subnets.contains { $0.segmentID != nil } }

    /// The same book with the subnets alone that a host reaches.
    func reached(from host: String, of network: String, _ transaction: Transaction) throws(Fault) -> AddressBook {
        guard isRouted else { return self }
        let agents = try transaction.all(NetworkAgent.self, "host = \(host) AND kind = ''")
        let reached = Set(agents.flatMap(\.physicalNetworks))
        let segments = try transaction.all(Segment.self, "network_id = \(network)").filter { segment in
            segment.physicalNetwork.map(reached.contains) ?? true
        }
        guard !segments.isEmpty else {
            throw .neutron(
                409, "HostNotConnectedToAnySegment",
                "Host \(host) is not connected to any segments on routed provider network '\(network)'.  It should be "
                    + "connected to one.")
        }
        return narrowed { subnet in segments.contains { $0.id == subnet.segmentID } }
    }
}
