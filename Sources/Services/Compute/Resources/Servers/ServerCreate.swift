// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// `POST /servers`: everything that can be known is checked first; then rows and the work are written in one
/// transaction, and the caller hears 202.
enum ServerCreate: Resource {
    static let routes: [Route] = [
        .post("/servers", "Create servers", of: ServerDraft.from, allow: .member("servers:create"), create, status: 202)
    ]

    static func create(_ request: Request, _ asked: ServerDraft) async throws(Fault) -> Reply {
        let room = request.compute
        var draft = asked
        try draft.judge(request)
        let flavor = try await flavor(draft, request)
        let image = try await image(draft, flavor, request)
        let disks = try await ServerDisks.plan(draft, flavor, image, request)
        let key = try await keypair(draft, request)
        draft.networks = try await networks(draft, request)
        let groups = try await securityGroups(draft, request)
        if !disks.isVolumeBacked { try flavor.admitsZeroDisk(request, draft) }
        var scheduling = try await scheduling(draft, image, request)
        if disks.isVolumeBacked { scheduling.isVolumeBacked = true }
        scheduling.zone = try disks.zone(asked: scheduling.zone, room.options)
        let drafts = rows(
            draft, flavor.snapshot, image, key, scheduling, disks.rootProperties, groups, request)
        let devices = drafts.map { disks.rows(for: $0, request.ids, request.now) }
        // Volumes that are there already are had by one server at a time: there is one draft then.
        let held = try await VolumeReservation(disks.volumes, for: drafts[0].id, request)
        do throws(Fault) {
            let servers = try await admit(drafts, devices.map { $0.held(by: held) }, draft, held, request)
            return reply(servers, draft, request)
        } catch {
            await held.giveBack(request)
            throw error
        }
    }

    /// Writes as many servers as the quota admits, but no fewer than asked for, with the work that boots them.
    private static func admit(
        _ drafts: [Server], _ devices: [[BlockDevice]], _ draft: ServerDraft, _ held: VolumeReservation,
        _ request: Request
    ) async throws(Fault) -> [Server] {
        let (requestID, now, userID) = (request.id, request.now, request.caller.userID)
        let quota = try await request.quota()
        let (queue, minimum, group) = (request.compute.queue, draft.minCount, draft.group)
        return try await request.database.transaction { transaction throws(Fault) in
            let count = try quota.admit(drafts, atLeast: minimum, transaction)
            let next = try transaction.nextNumber(Server.self)
            try draft.files.admit(quota, drafts[0].projectID, transaction)
            let servers = drafts.prefix(count).enumerated().map { $1.numbered(next + $0) }
            if let group { try ServerGroup.join(servers.map(\.id), to: group, quota, transaction) }
            try transaction.insert(servers)
            let disks = devices.prefix(count).flatMap { $0 }
            if !disks.isEmpty { try transaction.insert(disks) }
            try held.keep(transaction)
            for server in servers { try draft.files.give(to: server.id, transaction) }
            try transaction.insert(
                servers.map { InstanceAction("create", on: $0, by: userID, requestID: requestID, at: now) })
            try queue.enqueue(
                ScheduleServers(servers: servers.map(\.id), reservation: servers[0].reservationID),
                requestID: requestID, in: transaction)
            return servers
        }
    }

    private static func reply(_ servers: [Server], _ draft: ServerDraft, _ request: Request) -> Reply {
        if draft.returnsReservation {
            return .bare { $0.put("reservation_id", servers[0].reservationID) }
        }
        let server = servers[0]
        return .object("server") { view in
            view.put("id", server.id)
            view.links("/servers/" + server.id)
            view.put("OS-DCF:diskConfig", server.diskConfig)
            view.list("security_groups", draft.securityGroups) { $0.put("name", $1) }
            view.put("adminPass", server.adminPassword ?? "")
        }.header("Location", request.endpoint + "/servers/" + server.id)
    }

    private static func rows(
        _ draft: ServerDraft, _ flavor: FlavorSnapshot, _ image: ImageClient.Image?, _ key: Keypair?,
        _ scheduling: SchedulingRequest, _ rootProperties: [String: String]?, _ groups: [String], _ request: Request
    ) -> [Server] {
        let (ids, now) = (request.ids, request.now)
        let reservation = "r-" + String(ids.hex().prefix(8))
        let count = draft.maxCount
        let properties = rootProperties ?? image?.guestProperties ?? [:]
        let hasDrive =
            draft.hasConfigDrive || request.compute.options.metadata.forcesDrive
            || properties["img_config_drive"] == "mandatory"
        return (0..<count).map { at in
            let name = count == 1 ? draft.name : "\(draft.name)-\(at + 1)"
            let hostname = draft.hostname.map { count == 1 ? $0 : "\($0)-\(at + 1)" }
            let id = ids.uuid()
            return Server(
                id: id, number: 0, projectID: request.caller.projectID ?? "", userID: request.caller.userID, name: name,
                description: draft.description ?? (request.version < "2.19" ? name : nil),
                hostname: hostname ?? Hostname.from(name, id), vmState: .building, taskState: .scheduling,
                powerState: 0, imageID: image?.id, imageProperties: properties,
                flavor: flavor,
                vcpus: flavor.vcpus, memoryMB: flavor.memoryMiB, metadata: draft.metadata, tags: draft.tags,
                keyName: key?.name, keyPublic: key?.publicKey,
                userData: draft.userData, hasConfigDrive: hasDrive, requested: draft.networks,
                networkMode: draft.networkMode, securityGroups: groups, ports: [],
                scheduling: scheduling, numa: nil, hostDevices: [], zone: scheduling.zone, host: nil, node: nil,
                reservationID: reservation, launchIndex: at, accessIP4: draft.accessIP4,
                accessIP6: draft.accessIP6, diskConfig: draft.diskConfig, rootDeviceName: "/dev/vda",
                adminPassword: draft.adminPassword ?? ServerDraft.password(ids), guestPassword: "", locked: false,
                lockedBy: nil, lockedReason: nil, progress: 0, fault: nil, generation: 0, createdAt: now,
                updatedAt: now, launchedAt: nil, terminatedAt: nil, deletedAt: nil,
                trustedCertificates: request.compute.options.signatures.trusted(draft.certificates))
        }
    }
}

// MARK: - What can be known beforehand

extension ServerCreate {
    private static func image(
        _ draft: ServerDraft, _ flavor: Flavor, _ request: Request
    ) async throws(Fault) -> ImageClient.Image? {
        // Without an image the plan of the disks has found what to boot from.
        guard let id = draft.imageRef else {
            if request.compute.options.signatures.trusted(draft.certificates) != nil {
                throw .badRequest("Image certificate validation is not supported when booting from volume")
            }
            return nil
        }
        guard let image = try await request.compute.images.find(id, requestID: request.id, as: request.caller) else {
            throw .badRequest("Can not find requested image")
        }
        guard image.properties["cinder_encryption_key_id"]?.isEmpty ?? true else {
            throw .badRequest(
                "Image \(id) is unacceptable: Direct booting of an image uploaded from an encrypted volume is "
                    + "unsupported.")
        }
        // What the image's volumes need is Block storage's affair.
        if image.isOfVolumes, image.status == "active" { return image }
        try image.admits(flavor.snapshot)
        try await image.requireKernel(request)
        return image
    }

    /// Zones and hosts must be there; a host that is forced decides its zone (upstream's bug 1934770).
    private static func scheduling(
        _ draft: ServerDraft, _ image: ImageClient.Image?, _ request: Request
    ) async throws(Fault) -> SchedulingRequest {
        var asked = draft.scheduling
        asked.imageFormat = image?.diskFormat
        if asked.isForced != true, let host = asked.host ?? asked.node {
            guard try await request.database.count(ComputeHost.self, "name = \(host) AND deleted_at IS NULL") == 1,
                asked.node == nil || asked.node == host
            else { throw .badRequest("Compute host \(asked.node ?? host) could not be found.") }
        }
        guard let zone = asked.zone else { return asked }
        let zones = try await AvailabilityZones.byHost(request.database)
        if asked.isForced == true {
            if let host = asked.host ?? asked.node, zone != zones[host] ?? AvailabilityZones.usual { asked.zone = nil }
            return asked
        }
        let hosts = try await request.database.all(ComputeHost.self, "deleted_at IS NULL AND is_disabled = 0")
        guard hosts.contains(where: { (zones[$0.name] ?? AvailabilityZones.usual) == zone }) else {
            throw .badRequest("The requested availability zone is not available")
        }
        return asked
    }

    /// A flavor that cannot be found is the request's mistake here, not the path's.
    private static func flavor(_ draft: ServerDraft, _ request: Request) async throws(Fault) -> Flavor {
        do throws(Fault) {
            return try await Flavor.find(draft.flavorRef, request)
        } catch {
            throw error.status == 404 ? .badRequest(error.message) : error
        }
    }

    private static func keypair(_ draft: ServerDraft, _ request: Request) async throws(Fault) -> Keypair? {
        guard let name = draft.keyName else { return nil }
        return try await request.database.one(
            Keypair.self, "user_id = \(request.caller.userID) AND name = \(name)",
            or: .badRequest("Invalid key_name provided."))
    }

    /// Networks and ports must exist for the project; the project must have one when none is named.
    private static func networks(
        _ draft: ServerDraft, _ request: Request
    ) async throws(Fault) -> [RequestedNetwork] {
        guard draft.networkMode != "none" else { return draft.networks }
        var networks = draft.networks
        let network = request.compute.network
        let project = request.caller.projectID ?? ""
        for at in networks.indices {
            guard let id = networks[at].portID else { continue }
            guard let port = try await network.port(id, requestID: request.id),
                port.projectID == project || request.caller.has(role: "admin")
            else { throw .badRequest("Port id \(id) could not be found.") }
            guard port.deviceID.isEmpty else { throw .badRequest("Port \(id) is still in use.") }
            guard !port.fixedIPs.isEmpty else {
                throw .badRequest("Port \(id) requires a FixedIP in order to be used.")
            }
            guard request.version >= "2.72" || PortResources(port.resourceRequest) == nil else {
                throw .badRequest(
                    "Creating servers with ports having resource requests, like a port with a QoS minimum bandwidth "
                        + "policy, is not supported until microversion 2.72.")
            }
            guard PortCard.kinds.contains(port.vnicType),
                let found = try await network.network(port.networkID, requestID: request.id)
            else { continue }
            networks[at].card = PortCard(port, on: found)
        }
        // Looked at in the caller's name: networks are shared with some projects, and administrators see all of them.
        let visible = network.acting(as: request.caller)
        for id in draft.networks.compactMap(\.networkID) {
            guard let found = try await visible.network(id, requestID: request.id) else {
                throw .badRequest("Network \(id) could not be found.")
            }
            guard found.hasSubnets else {
                throw .badRequest("Network \(id) requires a subnet in order to boot instances on.")
            }
            try found.admit(request)
        }
        guard draft.networks.isEmpty, draft.networkMode == nil || draft.networkMode == "auto" else { return networks }
        let own = try await visible.networks(for: project, requestID: request.id).filter {
            !$0.isExternal || $0.isShared
        }
        if own.count > 1 {
            throw .conflict(
                "Multiple possible networks found, use a Network ID to be more specific.", code: "NetworkAmbiguous")
        }
        if let only = own.first {
            // Only the caller can tell which one it is, and the boot is not done in the caller's name.
            return only.hasSubnets ? [RequestedNetwork(networkID: only.id)] : []
        }
        if draft.networkMode == "auto", try await !network.canAllocateNetwork(for: project, requestID: request.id) {
            throw .noAllocation(project)
        }
        return networks
    }

    /// Groups for the ports that Compute is to make must be there, each once.
    /// - Returns: their names, by which they are shown also when they were asked for by id; the id where two have the
    ///   name.
    private static func securityGroups(_ draft: ServerDraft, _ request: Request) async throws(Fault) -> [String] {
        let names = draft.securityGroups.filter { $0 != "default" }
        guard !names.isEmpty else { return draft.securityGroups }
        let known = try await request.compute.network.securityGroups(project: draft.projectID, requestID: request.id)
        for name in names {
            let count = known.count { $0.id == name || $0.name == name }
            guard count > 0 else { throw .badRequest("Security group \(name) not found.") }
            guard count == 1 || known.contains(where: { $0.id == name }) else {
                throw .badRequest("Multiple security groups found matching '\(name)'. Use an ID to be more specific.")
            }
        }
        return draft.securityGroups.map { asked in
            guard let name = known.first(where: { $0.id == asked })?.name, !name.isEmpty else { return asked }
            return known.count { $0.name == name } == 1 ? name : asked
        }
    }

    static func address(_ text: String, version: Int, _ body: inout Body, _ name: String) throws(Fault) -> String {
        guard !text.isEmpty else { return "" }
        guard AddressText.version(text) == version, let address = AddressText.canonical(text) else {
            throw body.refuse(name, .string(text), "'\(text)' is not a 'ipv\(version)'")
        }
        return address
    }
}

extension NetworkClient.Network {
    /// Refuses a network outside that the caller may not plug servers into.
    func admit(_ request: Request) throws(Fault) {
        guard isExternal, !isShared, !request.may("network:attach_external_network", on: OwnScope(request)) else {
            return
        }
        throw .forbidden("It is not allowed to create an interface on external network \(id)")
    }
}
