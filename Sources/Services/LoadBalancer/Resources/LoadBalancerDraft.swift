// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A balancer as asked for, alone or with everything that is to hang below it.
package struct LoadBalancerDraft: ProjectOwned, Asked {
    package let projectID: String
    let name: String, description: String
    let enabled: Bool
    let vip: VIPDraft
    let provider: String?, flavorID: String?, availabilityZone: String?
    let tags: [String]
    let graph: GraphDraft

    package init(_ request: Request) throws(Fault) {
        var body = try request.body("loadbalancer")
        let older = try body.option("tenant_id", .words(36))
        let project = try body.option("project_id", .words(36)) ?? older ?? request.caller.projectID ?? ""
        guard !project.isEmpty else {
            throw .validation(
                "Missing project ID in request where one is required. An administrator should check the keystone "
                    + "settings in the Octavia configuration.")
        }
        projectID = project
        name = try body.option("name", .words()) ?? ""
        description = try body.option("description", .words()) ?? ""
        enabled = try body.takeEnabled()
        vip = try VIPDraft(&body)
        provider = try body.option("provider", .words(64))
        flavorID = try body.option("flavor_id", .id)
        availabilityZone = try body.option("availability_zone", .words())
        tags = try body.option("tags", .several(.words())) ?? []
        graph = try GraphDraft(&body)
        try body.finish("load_balancer.loadbalancer")
    }

    /// Looks up what the draft names, and puts the rows together.
    func resolve(_ request: Request) async throws(Fault) -> (balancer: LoadBalancer, graph: GraphDraft) {
        let room = request.balancing
        if !vip.securityGroups.isEmpty || vip.namesGroups {
            guard request.may("loadbalancer:post:vip_sg_ids", on: self) else { throw .policyForbidden }
        }
        let place = try await vip.place(request)
        let flavor = try await Flavor.choose(request, flavorID)
        let zone = try await AvailabilityZone.choose(request, availabilityZone)
        let chosen = try choose(flavor, room)
        if let allowed = zone?.validNetworks, !allowed.isEmpty, !allowed.contains(place.networkID.lowercased()) {
            throw .validation(
                "Supplied VIP network_id is not allowed by the configuration of this deployment.")
        }
        if zone != nil, !room.providers.abilities(chosen).knowsZones {
            throw .notImplemented(chosen, "This provider does not support availability zones.")
        }
        let balancer = LoadBalancer(
            id: request.ids.uuid(), projectID: projectID, name: name, description: description,
            provisioningStatus: .pendingCreate, operatingStatus: .offline, enabled: enabled,
            vipAddress: place.address, vipPortID: place.portID, vipSubnetID: place.subnetID,
            vipNetworkID: place.networkID, vipQosPolicyID: place.qosPolicyID, vipSGIDs: vip.securityGroups,
            vipVnicType: "normal", additionalVIPs: place.additional, provider: chosen, flavorID: flavorID,
            availabilityZone: availabilityZone, ownsPort: place.portID == nil, isLeaving: false, generation: 1,
            applied: 0, attempts: 0, retryAt: Timestamp(microseconds: 0), tags: tags, createdAt: request.now,
            updatedAt: nil)
        try await graph.check(request, balancer)
        return (balancer, graph)
    }

    private func choose(_ flavor: FlavorProfile?, _ room: LoadBalancerService) throws(Fault) -> String {
        if let asked = provider, let flavor, asked != flavor.providerName {
            throw .badRequest("Flavor '\(flavorID ?? "")' is not compatible with provider '\(asked)'")
        }
        let chosen = flavor?.providerName ?? provider ?? room.options.provider
        _ = try room.providers.require(chosen)
        return chosen
    }
}

/// What is to change about a balancer.
struct LoadBalancerChange: Sendable {
    private var name: String??, description: String??, enabled: Bool??, qos: String??, groups: [String]??
    private var tags: [String]??

    init(_ request: Request, _ found: LoadBalancer) async throws(Fault) {
        var body = try request.body("loadbalancer")
        name = try body.patch("name", .words())
        description = try body.patch("description", .words())
        enabled = try body.patch("admin_state_up", .truth)
        qos = try body.patch("vip_qos_policy_id", .id)
        groups = try body.patch("vip_sg_ids", .several(.id))
        tags = try body.patch("tags", .several(.words()))
        try body.finish("load_balancer.loadbalancer")
        if groups != nil, !request.may("loadbalancer:put:vip_sg_ids", on: found) { throw .policyForbidden }
        let lookup = VIPLookup(request)
        if let policy = qos {
            try await lookup.requireQuality()
            if let policy, policy != found.vipQosPolicyID { try await lookup.quality(policy) }
        }
        for group in (groups ?? nil) ?? [] { try await lookup.securityGroup(group) }
    }

    /// Whether Network is to be told.
    var concernsPort: Bool { qos != nil || groups != nil }

    func apply(_ row: inout LoadBalancer) {
        if let name { row.name = name ?? "" }
        if let description { row.description = description ?? "" }
        if let enabled { row.enabled = enabled ?? false }
        if let qos { row.vipQosPolicyID = qos }
        if let groups { row.vipSGIDs = groups ?? [] }
        if let tags { row.tags = tags ?? [] }
    }
}

extension Body {
    /// Null means no, as upstream reads it.
    mutating func takeEnabled() throws(Fault) -> Bool {
        guard let asked = try patch("admin_state_up", .truth) else { return true }
        return asked ?? false
    }
}
