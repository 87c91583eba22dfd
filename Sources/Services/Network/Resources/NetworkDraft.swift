// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension Network {
    /// A network as asked for.
    package struct Draft: PolicyTarget {
        var projectID: String
        let name: String, description: String
        let adminStateUp: Bool
        private(set) var shared = false
        private(set) var external = false
        private(set) var isDefault = false
        private(set) var portSecurity = true
        private(set) var type: String?
        private(set) var physicalNetwork: String?
        private(set) var segmentationID: Int?
        let mtu: Int?
        let dnsDomain: String
        let zoneHints: [String]
        let tags: [String]
        let qosPolicy: String?

        init(_ request: Request, _ body: inout Body) throws(Fault) {
            try body.refuseReadOnly("id", "status", "subnets", "created_at", "updated_at", "revision_number")
            projectID = try body.takeProject(request)
            name = try body.take("name", .string()) ?? ""
            description = try body.take("description", .string()) ?? ""
            adminStateUp = try body.take("admin_state_up", .truth) ?? true
            mtu = try body.take("mtu", .whole(0...65_535)).flatMap { $0 == 0 ? nil : $0 }
            dnsDomain = try body.take("dns_domain", .string()) ?? ""
            zoneHints = try body.take("availability_zone_hints", .strings(.string())) ?? []
            tags = try body.takeTags()
            qosPolicy = try body.option("qos_policy_id", .id)
            shared = try body.take("shared", .truth, rule: "create_network:shared", on: self) ?? false
            external =
                try body.take("router:external", .truth, rule: "create_network:router:external", on: self) ?? false
            isDefault = try body.take("is_default", .truth, rule: "create_network:is_default", on: self) ?? false
            portSecurity =
                try body.take("port_security_enabled", .truth, rule: "create_network:port_security_enabled", on: self)
                ?? true
            type = try body.take(
                "provider:network_type", .string(), rule: "create_network:provider:network_type", on: self)
            physicalNetwork = try body.take(
                "provider:physical_network", .string(64), rule: "create_network:provider:physical_network", on: self)
            segmentationID = try body.take(
                "provider:segmentation_id", .whole(0...(1 << 24)), rule: "create_network:provider:segmentation_id",
                on: self)
            body.ignore("vlan_transparent")
            for hint in zoneHints where hint != request.network.options.zone {
                throw .neutron(404, "AvailabilityZoneNotFound", "AvailabilityZone \(hint) could not be found.")
            }
            try checkProvider(request.network.options)
        }

        package func policyAttribute(_ name: String) -> JSON? {
            switch name {
            case "project_id", "tenant_id": .string(projectID)
            case "shared": .bool(shared)
            case "router:external": .bool(external)
            default: nil
            }
        }

        private func checkProvider(_ options: NetworkOptions) throws(Fault) {
            guard let type else {
                guard physicalNetwork == nil, segmentationID == nil else {
                    throw .invalidInput("network_type required")
                }
                return
            }
            switch type {
            case "flat", "vlan":
                let words = type == "flat" ? "flat" : "VLAN"
                guard let physicalNetwork else {
                    guard type == "flat" || segmentationID == nil else {
                        throw .invalidInput("segmentation_id requires physical_network for VLAN provider network")
                    }
                    throw .invalidInput("physical_network required for \(words) provider network")
                }
                guard options.physicalNetworks.isEmpty || options.physicalNetworks.contains(physicalNetwork) else {
                    throw .invalidInput("physical_network '\(physicalNetwork)' unknown for \(words) provider network")
                }
                if type == "flat", segmentationID != nil {
                    throw .invalidInput("segmentation_id specified for flat provider network")
                }
                if let segmentationID, !(1...4094).contains(segmentationID) {
                    throw .invalidInput("segmentation_id out of range (1 through 4094)")
                }
            case "geneve":
                guard physicalNetwork == nil else {
                    throw .invalidInput("provider:physical_network specified for geneve network")
                }
            default:
                throw .invalidInput("network_type value '\(type)' not supported")
            }
        }
    }
}

extension Network.Draft {
    func insert(_ transaction: Transaction, _ request: Request) throws(Fault) -> Network {
        let options = request.network.options
        try Quotas.require("network", Network.self, project: projectID, transaction, options)
        try SecurityGroup.ensureDefault(transaction, project: projectID, request)
        let id = request.ids.uuid()
        let type = type ?? options.tenantTypes[0]
        let segment = try claimSegment(transaction, type, network: id, options)
        let network = Network(
            id: id, projectID: projectID, name: name, description: description, adminStateUp: adminStateUp,
            status: "ACTIVE", shared: shared, external: external, isDefault: isDefault,
            portSecurityEnabled: portSecurity,
            mtu: mtu ?? (type == "geneve" ? options.overlayMTU : options.globalMTU), networkType: type,
            physicalNetwork: physicalNetwork, segmentationID: segment, dnsDomain: dnsDomain, zoneHints: zoneHints,
            tags: tags, createdAt: request.now, updatedAt: request.now, revisionNumber: 1)
        try transaction.insert(network)
        var policy = qosPolicy
        if policy == nil { policy = try QoSBinding.standard(transaction, project: projectID) }
        if let policy { try QoSBinding.set(transaction, "network", id, to: policy, request) }
        if shared {
            try RBACPolicy.open(transaction, "network", id, "access_as_shared", project: projectID, request)
        }
        if external {
            try RBACPolicy.open(transaction, "network", id, "access_as_external", project: projectID, request)
        }
        if !tags.isEmpty { try Tag.set(transaction, id, tags) }
        try MetadataPorts.create(transaction, network, request)
        try transaction.touch(.network, id, request)
        return network
    }

    /// Takes the segment for this network; two networks never share one.
    private func claimSegment(
        _ transaction: Transaction, _ type: String, network: String, _ options: NetworkOptions
    ) throws(Fault) -> Int? {
        let physical = physicalNetwork ?? ""
        func isFree(_ id: Int) throws(Fault) -> Bool {
            try transaction.rows(
                """
                SELECT 1 FROM network_segments WHERE network_type = \(type) AND physical_network = \(physical) \
                AND segmentation_id = \(id)
                """
            ).isEmpty
        }
        func claim(_ id: Int) throws(Fault) {
            try transaction.execute(
                "INSERT INTO network_segments VALUES (\(type), \(physical), \(id), \(network))")
        }
        if type == "flat" || segmentationID != nil {
            let id = segmentationID ?? 0
            guard try isFree(id) else { throw inUse(type, physical, id) }
            try claim(id)
            return segmentationID
        }
        let ranges =
            try NetworkSegmentRange.ranges(transaction, type, physical, project: projectID)
            ?? [type == "vlan" ? 1...4094 : options.segmentationIDs]
        guard let id = try free(in: ranges, type, physical, transaction) else {
            throw .neutron(
                503, "NoNetworkAvailable",
                "Unable to create the network. No project network is available for allocation.")
        }
        try claim(id)
        return id
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
