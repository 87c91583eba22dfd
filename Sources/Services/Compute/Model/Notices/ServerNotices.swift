// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What is told of servers at the end of a transaction, found by what it changed: a server, a migration, or a line in
/// the actions log.
struct ServerNotices {
    let notices: Notices
    let transaction: Transaction

    init(_ notices: Notices, _ transaction: Transaction) {
        self.notices = notices
        self.transaction = transaction
    }

    func tell(_ changes: RowChanges) throws(Fault) {
        let servers = changes.of(Server.self)
        for change in servers { try update(change) }
        for change in servers { try passing(change) }
        for change in changes.of(ServerMigration.self) { try migration(change) }
        for change in changes.of(InstanceAction.self) {
            let server = servers.first { $0.new?.id == change.new?.serverID }
            try action(change, was: server?.old)
        }
        for change in servers { try offloading(change) }
    }

    // MARK: - How it is told

    /// The events that say what volumes there are whether or not that was asked for.
    private static let listingDevices: Set<String> = [
        "create", "rebuild", "delete", "shutdown", "reboot", "resize", "resize_finish", "resize_revert", "resume",
        "shelve", "shelve_offload", "unshelve", "live_migration_pre",
    ]

    func payload(
        _ server: Server, _ action: InstanceAction?, listsDevices: Bool = false
    ) throws(Fault) -> ServerPayload {
        let lists = listsDevices || notices.options.hasDevices
        let devices = lists ? try BlockDevice.of(server.id, transaction) : nil
        var zone = server.zone
        if let host = server.host {
            zone =
                try transaction.all(Aggregate.self).first {
                    $0.hosts.contains(host) && $0.metadata["availability_zone"] != nil
                }?.metadata["availability_zone"] ?? AvailabilityZones.usual
        }
        return ServerPayload(server, zone: zone, devices: devices, by: .init(action))
    }

    /// Tells of a server.
    /// - Parameters:
    ///   - verb: `pause.start`; its first word decides about the payload.
    ///   - fault: why it failed.
    func tell(
        _ verb: String, _ server: Server, _ action: InstanceAction?, from source: Notices.Source = .compute,
        on host: String? = nil, fault: String? = nil
    ) throws(Fault) {
        let name = String(verb.prefix { $0 != "." })
        let part = try payload(server, action, listsDevices: Self.listingDevices.contains(name))
        let (kind, version, more) = try self.more(name, server, action)
        var members = more
        members["fault"] = fault.map { NoticePayload.exception(name, $0) } ?? .null
        try notices.tell(
            "instance." + verb, source, on: source == .compute ? host ?? server.host : host,
            as: fault == nil ? .info : .error, part.object(kind, version, members), transaction)
    }

    /// The payload's name and version, and what it has beside a server's members.
    private func more(
        _ name: String, _ server: Server, _ action: InstanceAction?
    ) throws(Fault) -> (String, String, JSONObject) {
        let about = action?.subject ?? [:]
        switch name {
        case "create":
            return (
                "InstanceCreatePayload", "1.13",
                [
                    "instance_name": .string(server.instanceName), "tags": NoticePayload.texts(server.tags),
                    "keypairs": .array(try keypairs(server)),
                    "trusted_image_certificates": certificates(server),
                ]
            )
        case "rebuild", "rebuild_scheduled":
            return ("InstanceActionRebuildPayload", "1.10", ["trusted_image_certificates": certificates(server)])
        case "rescue":
            return (
                "InstanceActionRescuePayload", "1.4", ["rescue_image_ref": NoticePayload.text(about["image"])]
            )
        case "snapshot":
            return (
                "InstanceActionSnapshotPayload", "1.10", ["snapshot_image_id": NoticePayload.text(about["image"])]
            )
        case "volume_attach", "volume_detach":
            return ("InstanceActionVolumePayload", "1.7", ["volume_id": NoticePayload.text(about["volume"])])
        case "volume_swap":
            return (
                "InstanceActionVolumeSwapPayload", "1.9",
                [
                    "old_volume_id": NoticePayload.text(about["volume"]),
                    "new_volume_id": NoticePayload.text(about["new_volume"]),
                ]
            )
        case "resize_prep":
            let move = try transaction.first(ServerMigration.self, ServerMigration.open(server.id))
            return (
                "InstanceActionResizePrepPayload", "1.4",
                ["new_flavor": move.map { NoticePayload.flavor($0.newFlavor) } ?? .null]
            )
        default: return ("InstanceActionPayload", "1.9", [:])
        }
    }

    private func certificates(_ server: Server) -> JSON {
        server.trustedCertificates.map(NoticePayload.texts) ?? .null
    }

    private func keypairs(_ server: Server) throws(Fault) -> [JSON] {
        guard let name = server.keyName,
            let key = try transaction.first(Keypair.self, "user_id = \(server.userID) AND name = \(name)")
        else { return [] }
        return [
            NoticePayload.keypair(
                user: key.userID, name: key.name, type: key.type, publicKey: key.publicKey,
                fingerprint: key.fingerprint)
        ]
    }

    /// The usage of the current period so far, as upstream tells it before what changes it.
    func exists(_ server: Server, _ action: InstanceAction?) throws(Fault) {
        let now = notices.clock.now()
        try exists(server, action, notices.options.auditPeriod.last(before: now).end, now)
    }

    func exists(
        _ server: Server, _ action: InstanceAction?, _ beginning: Timestamp, _ ending: Timestamp
    ) throws(Fault) {
        let part = try payload(server, action)
        try notices.tell(
            "instance.exists", .compute, on: server.host,
            part.object("InstanceExistsPayload", "2.1", ["audit_period": NoticePayload.period(beginning, ending)]),
            transaction)
    }

    /// What is under way with a server, if anything is.
    /// - Parameter orLast: whether what was done last will do as well.
    func current(_ server: String, orLast: Bool = false) throws(Fault) -> InstanceAction? {
        let open = try transaction.first(
            InstanceAction.self, "server_id = \(server) AND finished_at IS NULL ORDER BY started_at DESC")
        if open != nil || !orLast { return open }
        return try last(server)
    }

    private func last(_ server: String) throws(Fault) -> InstanceAction? {
        try transaction.first(InstanceAction.self, "server_id = \(server) ORDER BY started_at DESC")
    }
}

// MARK: - What becomes of a server

extension ServerNotices {
    /// `instance.update`: when asked for, and always for tags.
    private func update(_ change: RowChange<Server>) throws(Fault) {
        guard let new = change.new, new.deletedAt == nil else { return }
        let old = change.old ?? new
        let hasTags = old.tags != new.tags
        let wanted = notices.options.stateChanges
        guard hasTags || wanted != .none else { return }
        let isState = old.vmState != new.vmState || (wanted == .stateAndTask && old.taskState != new.taskState)
        // What clients see nothing of is no change.
        guard change.old == nil || isState || hasTags || isVisible(old, new) else { return }
        let was = isState ? old : new
        let now = notices.clock.now()
        let part = try payload(new, try current(new.id, orLast: hasTags))
        let states = NoticePayload.object(
            "InstanceStateUpdatePayload", "1.0",
            [
                "old_state": .string(was.vmState.rawValue), "state": .string(new.vmState.rawValue),
                "old_task_state": NoticePayload.text(was.taskState?.rawValue),
                "new_task_state": NoticePayload.text(new.taskState?.rawValue),
            ])
        try notices.tell(
            "instance.update", hasTags ? .api : .compute, on: hasTags ? nil : new.host,
            part.object(
                "InstanceUpdatePayload", "2.1",
                [
                    "state_update": states, "tags": NoticePayload.texts(new.tags),
                    "old_display_name": old.name == new.name ? .null : .string(old.name),
                    "audit_period": NoticePayload.period(notices.options.auditPeriod.last(before: now).end, now),
                ]), transaction)
    }

    private func isVisible(_ old: Server, _ new: Server) -> Bool {
        old.name != new.name || old.description != new.description || old.taskState != new.taskState
            || old.powerState != new.powerState || old.host != new.host || old.metadata != new.metadata
            || old.locked != new.locked || old.hostname != new.hostname || old.flavor != new.flavor
            || old.progress != new.progress || old.launchedAt != new.launchedAt
    }

    /// Stages that a server's work passes through.
    private func passing(_ change: RowChange<Server>) throws(Fault) {
        guard let old = change.old, let new = change.new else { return }
        if old.deletedAt == nil, new.deletedAt != nil {
            if old.host != nil { try tell("shutdown.end", old, try current(old.id)) }
            return
        }
        if old.host == nil, new.host != nil, new.vmState == .building, new.taskState == .networking {
            try tell("create.start", new, try current(new.id))
        }
        guard old.taskState != new.taskState else { return }
        let stages: [String]
        switch (old.taskState, new.taskState) {
        case (.resizePrep, .resizeMigrating): stages = ["resize_prep.end", "resize.start"]
        case (.resizeMigrating, .resizeMigrated): stages = ["resize.end"]
        case (.resizeMigrated, .resizeFinish): stages = ["resize_finish.start"]
        default: stages = []
        }
        guard !stages.isEmpty else { return }
        let (action, move) = (
            try current(new.id), try transaction.first(ServerMigration.self, ServerMigration.open(new.id))
        )
        for stage in stages {
            let isThere = !stage.hasPrefix("resize.")
            try tell(stage, new, action, on: isThere ? move?.dest : move?.source)
        }
    }

    /// Leaving the host follows shelving, at once or later.
    private func offloading(_ change: RowChange<Server>) throws(Fault) {
        guard let old = change.old, let new = change.new else { return }
        if new.taskState == .shelvingOffloading, old.taskState != .shelvingOffloading {
            try tell("shelve_offload.start", new, try current(new.id, orLast: true))
        }
        if new.vmState == .shelvedOffloaded, old.vmState != .shelvedOffloaded {
            try tell("shelve_offload.end", new, try last(new.id), on: old.host)
        }
    }
}
