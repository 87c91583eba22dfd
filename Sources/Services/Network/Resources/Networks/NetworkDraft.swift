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
        /// Further segments of a network that has several.
        private(set) var more: [SegmentWish] = []
        private(set) var vlanTransparent: Bool?
        private(set) var qinq: Bool?
        private(set) var pvlan = false
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
            dnsDomain = try body.take("dns_domain", .dnsDomain) ?? ""
            zoneHints = try body.take("availability_zone_hints", .strings(.string())) ?? []
            tags = try body.takeTags()
            // A word between Neutron's own parts, of which nothing is shown.
            _ = try body.take("ha", .truth)
            qosPolicy = try body.option("qos_policy_id", .id)
            shared = try body.take("shared", .truth, usually: false, rule: "create_network:shared", on: self)
            external = try body.take(
                "router:external", .truth, usually: false, rule: "create_network:router:external", on: self)
            isDefault = try body.take("is_default", .truth, usually: false, rule: "create_network:is_default", on: self)
            portSecurity = try body.take(
                "port_security_enabled", .truth, usually: true, rule: "create_network:port_security_enabled", on: self)
            type = try body.take(
                "provider:network_type", .string(), rule: "create_network:provider:network_type", on: self)
            physicalNetwork = try body.take(
                "provider:physical_network", .string(64), rule: "create_network:provider:physical_network", on: self)
            segmentationID = try body.take(
                "provider:segmentation_id", .whole(0...(1 << 24)), rule: "create_network:provider:segmentation_id",
                on: self)
            for hint in zoneHints where hint != request.network.options.zone {
                throw .neutron(404, "AvailabilityZoneNotFound", "AvailabilityZone \(hint) could not be found.")
            }
            pvlan = try body.take("pvlan", .truth, rule: "create_network:pvlan", on: self) ?? false
            vlanTransparent = try body.option("vlan_transparent", .truth)
            qinq = try body.option("qinq", .truth)
            guard vlanTransparent != true || qinq != true else {
                throw .invalidInput("vlan_transparent and qinq cannot both be set")
            }
            try first.check(request.network.options)
            more = try Segment.wishes(&body, request, after: first, on: self)
        }

        var first: SegmentWish {
            SegmentWish(type: type, physicalNetwork: physicalNetwork, number: segmentationID)
        }

        package func policyAttribute(_ name: String) -> JSON? {
            switch name {
            case "project_id", "tenant_id": .string(projectID)
            case "shared": .bool(shared)
            case "router:external": .bool(external)
            default: nil
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
        let wishes = first.isEmpty && !more.isEmpty ? more : [first] + more
        let own = wishes[0]
        let type = own.type ?? options.tenantTypes[0]
        let segment = try own.claim(transaction, type, network: id, project: projectID, options)
        try options.check(mtu: mtu, of: type)
        let network = Network(
            id: id, projectID: projectID, name: name, description: description, adminStateUp: adminStateUp,
            status: "ACTIVE", shared: shared, external: external, isDefault: isDefault,
            portSecurityEnabled: portSecurity,
            mtu: mtu ?? options.mtu(of: type), networkType: type,
            physicalNetwork: own.physicalNetwork, segmentationID: segment, vlanTransparent: vlanTransparent,
            qinq: qinq, pvlan: pvlan, dnsDomain: dnsDomain, zoneHints: zoneHints,
            tags: tags, createdAt: request.now, updatedAt: request.now, revisionNumber: 1)
        try network.checkPrivacy(pvlan)
        try transaction.insert(network)
        try Segment.insert(network, wishes.dropFirst(), transaction, request)
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
}
