// SPDX-License-Identifier: Apache-2.0
import Kernel

/// How a network shall leave the machine, as asked for.
struct SegmentWish: Sendable {
    var type: String?
    var physicalNetwork: String?
    var number: Int?

    var isEmpty: Bool { type == nil && physicalNetwork == nil && number == nil }

    func check(_ options: NetworkOptions) throws(Fault) {
        guard let type else {
            guard physicalNetwork == nil, number == nil else { throw .invalidInput("network_type required") }
            return
        }
        switch type {
        case "flat", "vlan": try checkPhysical(type, options)
        case "geneve", "vxlan":
            guard physicalNetwork == nil else {
                throw .invalidInput("provider:physical_network specified for \(type) network")
            }
            if let number, !(1...16_777_215).contains(number) {
                throw .invalidInput("segmentation_id out of range (1 through 16777215)")
            }
        case "local":
            for (member, isSaid) in [
                ("physical_network", physicalNetwork != nil), ("segmentation_id", number != nil),
            ] where isSaid {
                throw .invalidInput("\(member) prohibited for local provider network")
            }
        default:
            throw .invalidInput("network_type value '\(type)' not supported")
        }
    }

    private func checkPhysical(_ type: String, _ options: NetworkOptions) throws(Fault) {
        let words = type == "flat" ? "flat" : "VLAN"
        guard let physicalNetwork else {
            guard type == "flat" || number == nil else {
                throw .invalidInput("segmentation_id requires physical_network for VLAN provider network")
            }
            throw .invalidInput("physical_network required for \(words) provider network")
        }
        guard options.physicalNetworks.isEmpty || options.physicalNetworks.contains(physicalNetwork) else {
            throw .invalidInput("physical_network '\(physicalNetwork)' unknown for \(words) provider network")
        }
        if type == "flat", number != nil {
            throw .invalidInput("segmentation_id specified for flat provider network")
        }
        if let number, !(1...4094).contains(number) {
            throw .invalidInput("segmentation_id out of range (1 through 4094)")
        }
    }

    /// Takes the segment for a network; two networks never share one. Gives the number it has.
    func claim(
        _ transaction: Transaction, _ type: String, network: String, project: String, _ options: NetworkOptions
    ) throws(Fault) -> Int? {
        if type == "local" { return nil }
        let physical = physicalNetwork ?? ""
        func claim(_ id: Int) throws(Fault) {
            try transaction.execute("INSERT INTO network_segments VALUES (\(type), \(physical), \(id), \(network))")
        }
        if type == "flat" || number != nil {
            let id = number ?? 0
            let holders = try transaction.rows(
                """
                SELECT 1 FROM network_segments WHERE network_type = \(type) AND physical_network = \(physical) \
                AND segmentation_id = \(id)
                """)
            guard holders.isEmpty else { throw inUse(type, physical, id) }
            try claim(id)
            return number
        }
        let ranges =
            try NetworkSegmentRange.ranges(transaction, type, physical, project: project)
            ?? [type == "vlan" ? 1...4094 : options.segmentationIDs]
        guard let id = try free(in: ranges, type, physical, transaction) else {
            throw .neutron(
                503, "NoNetworkAvailable",
                "Unable to create the network. No project network is available for allocation.")
        }
        try claim(id)
        return id
    }

    /// Gives a segment back.
    static func release(
        _ transaction: Transaction, _ type: String, _ physical: String?, _ number: Int?
    ) throws(Fault) {
        try transaction.execute(
            """
            DELETE FROM network_segments WHERE network_type = \(type) AND physical_network = \(physical ?? "") \
            AND segmentation_id = \(number ?? 0)
            """)
    }

    /// A number that no network has: the one after the highest, else the first gap.
    private func free(
        in ranges: [ClosedRange<Int>], _ type: String, _ physical: String, _ transaction: Transaction
    ) throws(Fault) -> Int? {
        for range in ranges {
            let among: SQL = """
                FROM network_segments WHERE network_type = \(type) AND physical_network = \(physical) \
                AND segmentation_id BETWEEN \(range.lowerBound) AND \(range.upperBound)
                """
            let highest = try transaction.rows("SELECT MAX(segmentation_id) \(sql: among)").first?[0].int
            let next = (highest ?? range.lowerBound - 1) + 1
            if range.contains(next) { return next }
            let taken = Set(try transaction.rows("SELECT segmentation_id \(sql: among)").compactMap { $0[0].int })
            if let gap = range.first(where: { !taken.contains($0) }) { return gap }
        }
        return nil
    }

    private func inUse(_ type: String, _ physical: String, _ id: Int) -> Fault {
        switch type {
        case "flat":
            .neutron(
                409, "FlatNetworkInUse",
                "Unable to create the flat network. Physical network \(physical) is in use.")
        case "vlan":
            .neutron(
                409, "VlanIdInUse",
                "Unable to create the network. The VLAN \(id) on physical network \(physical) is in use.")
        default:
            .neutron(409, "TunnelIdInUse", "Unable to create the network. The tunnel ID \(id) is in use.")
        }
    }
}
