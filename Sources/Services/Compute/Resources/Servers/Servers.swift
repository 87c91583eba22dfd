// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A virtual machine: what it was asked to be, what it is, and where.
struct Server: Record {
    static let table = "compute_servers"

    let id: String
    /// Counts servers; makes `instance-%08x`.
    private(set) var number: Int
    let projectID: String
    let userID: String
    var name: String
    var description: String?
    var hostname: String
    var vmState: VMState
    var taskState: TaskState?
    var powerState: Int
    let imageID: String?
    var imageProperties: [String: String]
    var flavor: FlavorSnapshot
    /// Of the flavor, as columns that quotas can be summed over.
    var vcpus: Int
    var memoryMB: Int
    var metadata: [String: String]
    var tags: [String]
    let keyName: String?
    let keyPublic: String?
    var userData: String?
    let hasConfigDrive: Bool
    var requested: [RequestedNetwork]
    /// `auto`, `none` or nil for the list in `requested`.
    let networkMode: String?
    var securityGroups: [String]
    var ports: [ServerPort]
    var scheduling: SchedulingRequest
    /// The NUMA topology and its place on the host; nil when the server has none of its own.
    var numa: GuestNUMA?
    /// Devices of the host that the server has for itself.
    var hostDevices: [HostDevice]
    var zone: String?
    var host: String?
    var node: String?
    let reservationID: String
    let launchIndex: Int
    var accessIP4: String
    var accessIP6: String
    var diskConfig: String
    let rootDeviceName: String?
    /// Handed to the guest at its first boot.
    let adminPassword: String?
    /// What the guest posted to the metadata service, encrypted with its user's key.
    var guestPassword: String
    var locked: Bool
    var lockedBy: String?
    var lockedReason: String?
    var progress: Int
    var fault: ServerFault?
    /// Grows with every change of state: compare-and-swap.
    var generation: Int
    let createdAt: Timestamp
    var updatedAt: Timestamp
    var launchedAt: Timestamp?
    var terminatedAt: Timestamp?
    var deletedAt: Timestamp?
    /// The image a shelved server comes back from, and since when it is shelved.
    var shelvedImage: String?
    var shelvedAt: Timestamp?
    /// Since when it is marked to be deleted later.
    var softDeletedAt: Timestamp?
    /// Certificates that an image's signature must lead to.
    var trustedCertificates: [String]?

    var status: String { ServerStatus.of(vmState, taskState) }
    var instanceName: String { GuestSpec.instanceName(number) }

    /// The same server with its number, which is known only inside the transaction that inserts it.
    func numbered(_ number: Int) -> Server {
        var server = self
        server.number = number
        return server
    }
}

extension Server: Resource, ProjectOwned {
    static let routes: [Route] = [
        .get("/servers", "List servers", of: ServerQuery.from, allow: .reader("servers:index"), index),
        .get(
            "/servers/detail", "List servers with details", of: ServerQuery.from, allow: .reader("servers:detail"),
            detail),
        .get("/servers/{server_id}", "Show a server", of: visible, allow: .reader("servers:show"), show),
        .put("/servers/{server_id}", "Update a server", of: visible, allow: .member("servers:update"), update),
        .delete("/servers/{server_id}", "Delete a server", of: visible, allow: .member("servers:delete"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 compute servers
        CREATE TABLE compute_servers (
            id VARCHAR(36) NOT NULL PRIMARY KEY, number BIGINT NOT NULL UNIQUE, project_id VARCHAR(64) NOT NULL,
            user_id VARCHAR(64) NOT NULL, name VARCHAR(255) NOT NULL, description VARCHAR(255),
            hostname VARCHAR(255) NOT NULL, vm_state VARCHAR(32) NOT NULL, task_state VARCHAR(32),
            power_state INTEGER NOT NULL, image_id VARCHAR(36), image_properties TEXT NOT NULL, flavor TEXT NOT NULL,
            vcpus INTEGER NOT NULL, memory_mb INTEGER NOT NULL, metadata TEXT NOT NULL, tags TEXT NOT NULL,
            key_name VARCHAR(255), key_public TEXT, user_data TEXT,
            has_config_drive INTEGER NOT NULL, requested TEXT NOT NULL, network_mode VARCHAR(8),
            security_groups TEXT NOT NULL, ports TEXT NOT NULL, scheduling TEXT NOT NULL, zone VARCHAR(255),
            host VARCHAR(255), node VARCHAR(255), reservation_id VARCHAR(16) NOT NULL, launch_index INTEGER NOT NULL,
            access_ip4 VARCHAR(39) NOT NULL, access_ip6 VARCHAR(39) NOT NULL, disk_config VARCHAR(8) NOT NULL,
            root_device_name VARCHAR(32), admin_password VARCHAR(255), guest_password TEXT NOT NULL,
            locked INTEGER NOT NULL, locked_by VARCHAR(8), locked_reason VARCHAR(255), progress INTEGER NOT NULL,
            fault TEXT, generation BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            launched_at BIGINT, terminated_at BIGINT, deleted_at BIGINT);
        CREATE INDEX compute_servers_project ON compute_servers (project_id, deleted_at, created_at);
        CREATE INDEX compute_servers_host ON compute_servers (host, deleted_at);
        CREATE INDEX compute_servers_created ON compute_servers (created_at, id);
        CREATE INDEX compute_servers_name ON compute_servers (name)
        """,
        """
        2026-11-30 compute servers that are shelved or deleted later
        ALTER TABLE compute_servers ADD COLUMN shelved_image VARCHAR(36);
        ALTER TABLE compute_servers ADD COLUMN shelved_at BIGINT;
        ALTER TABLE compute_servers ADD COLUMN soft_deleted_at BIGINT;
        ALTER TABLE compute_servers ADD COLUMN trusted_certificates TEXT;
        CREATE INDEX compute_servers_state ON compute_servers (vm_state, deleted_at)
        """,
        """
        2026-11-30 compute servers have a place on their host
        ALTER TABLE compute_servers ADD COLUMN numa TEXT;
        ALTER TABLE compute_servers ADD COLUMN host_devices TEXT NOT NULL DEFAULT '[]'
        """,
        InjectedFile.migration,
        """
        2026-11-30 compute servers are listed in the order of an index
        CREATE INDEX compute_servers_listed ON compute_servers (project_id, deleted_at, created_at, id);
        DROP INDEX compute_servers_project
        """,
    ]

    /// The server the path names, as far as the caller may know of it. Administrators see every project's.
    static func visible(_ request: Request) async throws(Fault) -> Server {
        let id = request["server_id"]
        let scope: SQL =
            request.caller.has(role: "admin") || request.caller.has(role: "service")
            ? "" : " AND project_id = \(request.caller.projectID ?? "")"
        return try await request.database.one(
            Server.self, "id = \(id) AND deleted_at IS NULL" + scope, or: .serverNotFound(id))
    }
}

// MARK: - Handlers

extension Server {
    static func index(_ request: Request, _ query: ServerQuery) async throws(Fault) -> Reply {
        let (servers, page) = try await query.run(request, ServerSummary.self)
        return .list("servers", servers, page: page, ids: servers.map(\.id)) { $1.write(&$0) }
    }

    static func detail(_ request: Request, _ query: ServerQuery) async throws(Fault) -> Reply {
        let (servers, page) = try await query.run(request, Server.self)
        let zones = try await HostSights.all(request, of: servers)
        // Rules on servers look at their project, so a list judges once for each project.
        var rights: [String: ServerRights] = [:]
        for at in servers.indices where rights[servers[at].projectID] == nil {
            rights[servers[at].projectID] = ServerRights(servers[at], request)
        }
        let judged = rights
        return .list("servers", servers, page: page, ids: servers.map(\.id)) { view, server in
            server.details(&view, zones: zones, rights: judged[server.projectID])
        }
    }

    static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let groups = try await ServerGroup.holding(server.id, request.database)
        let zones = try await HostSights.all(request, of: [server])
        return .object("server") { view in
            server.details(&view, zones: zones)
            view.put("server_groups", groups, since: "2.71")
        }
    }

    static func update(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("server")
        var server = server
        if let name = try body.take("name", .name) { server.name = name }
        if let text = try body.patch("description", .description, since: "2.19") { server.description = text }
        if let hostname = try body.take("hostname", .hostname, since: "2.90") { server.hostname = hostname }
        if let address = try body.take("accessIPv4", .text(0...39)) {
            server.accessIP4 = try ServerCreate.address(address, version: 4, &body, "accessIPv4")
        }
        if let address = try body.take("accessIPv6", .text(0...45)) {
            server.accessIP6 = try ServerCreate.address(address, version: 6, &body, "accessIPv6")
        }
        if let config = try body.take("OS-DCF:diskConfig", .oneOf("AUTO", "MANUAL")) { server.diskConfig = config }
        let zone = try body.patch("pinned_availability_zone", .text(1...255), since: "2.104")
        body.ignore("auto_disk_config")
        try body.end()
        if let zone { try await server.pin(to: zone, request) }
        server.updatedAt = request.now
        let changed = server
        let scheduling = try SchedulingRequest.text(changed.scheduling)
        _ = try await request.database.update(
            Server.self,
            set: """
                scheduling = \(scheduling), name = \(changed.name), description = \(changed.description),
                hostname = \(changed.hostname),
                access_ip4 = \(changed.accessIP4), access_ip6 = \(changed.accessIP6),
                disk_config = \(changed.diskConfig), updated_at = \(changed.updatedAt)
                """,
            where: "id = \(changed.id) AND deleted_at IS NULL")
        let zones = try await HostSights.all(request, of: [server])
        let groups = try await ServerGroup.holding(changed.id, request.database)
        return .object("server") { view in
            changed.details(&view, zones: zones, isUpdate: true)
            view.put("server_groups", groups, since: "2.71")
        }
    }

    /// Pins the server to the zone it is in, or lets it go anywhere at its next move.
    private mutating func pin(to zone: String?, _ request: Request) async throws(Fault) {
        guard zone != scheduling.zone else { return }
        if let zone {
            if let pinned = scheduling.zone {
                throw .conflict("Instance \(id) is pinned to availability zone \(pinned): unpin it first.")
            }
            let zones = try await HostSights.all(request, of: [host])
            guard let host, zones.zone(of: host) == zone else {
                throw .conflict("Instance \(id) is not in availability zone \(zone).")
            }
        }
        scheduling.zone = zone
    }

    static func delete(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try server.refuseIfLocked(request)
        try await server.delete(request)
        return .empty
    }

    /// A locked server refuses changes by anybody but administrators.
    func refuseIfLocked(_ request: Request) throws(Fault) {
        guard locked, !request.caller.has(role: "admin") else { return }
        throw .conflict("Instance \(id) is locked")
    }
}

// MARK: - Wire

extension Server {
    /// - Parameters:
    ///   - isUpdate: the answer to an update, which before 2.75 leaves out the extended members.
    ///   - hidesUserData: the answer to a rebuild, which tells user data under another name.
    func details(
        _ view: inout View, zones: HostSights, rights known: ServerRights? = nil, isUpdate: Bool = false,
        hidesUserData: Bool = false
    ) {
        let rights = known ?? ServerRights(self, view.request)
        ServerSummary(id: id, name: name).write(&view)
        view.put("status", status)
        view.put("tenant_id", projectID)
        view.put("user_id", userID)
        view.put("metadata", metadata)
        view.put("hostId", zones.hostID(of: self))
        image(&view)
        flavor(&view, rights)
        view.put("created", createdAt)
        view.put("updated", updatedAt)
        addresses(&view, isShort: isUpdate && view.version < "2.75")
        view.put("accessIPv4", accessIP4)
        view.put("accessIPv6", accessIP6)
        view.put("OS-DCF:diskConfig", diskConfig)
        if vmState == .building || vmState == .active || vmState == .resized { view.put("progress", progress) }
        if !isUpdate || view.version >= "2.75" { extended(&view, zones, rights, hidesUserData) }
        view.put("locked", locked, since: "2.9")
        view.put("locked_reason", lockedReason, since: "2.73")
        view.put("description", description, since: "2.19")
        view.put("tags", tags, since: "2.26")
        view.put("trusted_image_certificates", trustedCertificates, since: "2.63")
        view.put("pinned_availability_zone", scheduling.zone, since: "2.96")
        view.put(
            "scheduler_hints", JSON.object(JSONObject(scheduling.hints.sorted { $0.key < $1.key })), since: "2.100")
        if let fault, vmState == .error || vmState == .deleted { self.fault(fault, rights, &view) }
    }

    /// Which host, without saying which: the same host gives one project the same text.
    var hostID: String {
        guard let host else { return "" }
        return Digest.hex(.sha224, projectID + host)
    }

    private func image(_ view: inout View) {
        guard let imageID else { return view.put("image", "") }
        let properties = imageProperties
        view.nest("image") { view in
            view.put("id", imageID)
            view.put("properties", properties, since: "2.98")
            view.bookmark("/images/" + imageID)
        }
    }

    private func flavor(_ view: inout View, _ rights: ServerRights) {
        let flavor = flavor
        view.nest("flavor", until: "2.47") { view in
            view.put("id", flavor.id)
            view.bookmark("/flavors/" + flavor.id)
        }
        view.nest("flavor", since: "2.47") { view in
            view.put("vcpus", flavor.vcpus)
            view.put("ram", flavor.memoryMiB)
            view.put("disk", flavor.diskGiB)
            view.put("ephemeral", flavor.ephemeralGiB)
            view.put("swap", flavor.swapMiB)
            view.put("original_name", flavor.name)
            if rights.extraSpecs { view.put("extra_specs", flavor.extraSpecs) }
        }
    }

    private func extended(
        _ view: inout View, _ zones: HostSights, _ rights: ServerRights, _ hidesUserData: Bool
    ) {
        view.put("OS-EXT-AZ:availability_zone", host.map { zones.zone(of: $0) } ?? zone ?? "")
        view.put("config_drive", hasConfigDrive ? "True" : "")
        view.put("key_name", keyName)
        view.put("OS-SRV-USG:launched_at", launchedAt?.iso8601Naive)
        view.put("OS-SRV-USG:terminated_at", terminatedAt?.iso8601Naive)
        if rights.extended {
            view.put("OS-EXT-SRV-ATTR:host", host)
            view.put("OS-EXT-SRV-ATTR:instance_name", instanceName)
            view.put("OS-EXT-SRV-ATTR:hypervisor_hostname", node)
            view.put("OS-EXT-SRV-ATTR:reservation_id", reservationID, since: "2.3")
            view.put("OS-EXT-SRV-ATTR:launch_index", launchIndex, since: "2.3")
            view.put("OS-EXT-SRV-ATTR:kernel_id", imageProperties["kernel_id"] ?? "", since: "2.3")
            view.put("OS-EXT-SRV-ATTR:ramdisk_id", imageProperties["ramdisk_id"] ?? "", since: "2.3")
            view.put("OS-EXT-SRV-ATTR:root_device_name", rootDeviceName, since: "2.3")
            if !hidesUserData { view.put("OS-EXT-SRV-ATTR:user_data", userData, since: "2.3") }
            view.put("OS-EXT-SRV-ATTR:hostname", hostname, since: "2.3", until: "2.90")
        }
        if let status = rights.hostStatus(zones.status(of: deletedAt == nil ? host : nil)) {
            view.put("host_status", status, since: "2.16")
        }
        view.put("OS-EXT-SRV-ATTR:hostname", hostname, since: "2.90")
        view.put("OS-EXT-STS:task_state", taskState?.rawValue)
        view.put("OS-EXT-STS:vm_state", vmState.rawValue)
        view.put("OS-EXT-STS:power_state", powerState)
        view.list("os-extended-volumes:volumes_attached", zones.volumes[id] ?? []) {
            $0.put("id", $1.id)
            $0.put("delete_on_termination", $1.deletesWithServer, since: "2.3")
        }
        if !securityGroups.isEmpty, !ports.isEmpty {
            view.list("security_groups", securityGroups) { $0.put("name", $1) }
        }
    }

    private func fault(_ fault: ServerFault, _ rights: ServerRights, _ view: inout View) {
        view.nest("fault") {
            $0.put("code", fault.code)
            $0.put("created", fault.at)
            $0.put("message", fault.message)
            if rights.extended, !fault.details.isEmpty { $0.put("details", fault.details) }
        }
    }
}

extension Fault {
    static func serverNotFound(_ id: String) -> Fault { .notFound("Instance \(id) could not be found.") }
}
