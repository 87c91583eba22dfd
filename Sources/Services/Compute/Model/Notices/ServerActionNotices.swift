// SPDX-License-Identifier: Apache-2.0
import Kernel

// What is told of actions and moves.

extension ServerNotices {
    /// Actions that are told of as they begin and end, by their name in the log.
    static let verbs: [String: String] = [
        "delete": "delete", "start": "power_on", "stop": "power_off", "reboot": "reboot", "pause": "pause",
        "unpause": "unpause", "suspend": "suspend", "resume": "resume", "confirmResize": "resize_confirm",
        "revertResize": "resize_revert", "rescue": "rescue", "unrescue": "unrescue", "shelve": "shelve",
        "unshelve": "unshelve", "createImage": "snapshot", "createBackup": "snapshot",
        "attach_volume": "volume_attach", "detach_volume": "volume_detach", "swap_volume": "volume_swap",
        "attach_interface": "interface_attach", "detach_interface": "interface_detach", "restore": "restore",
        "trigger_crash_dump": "trigger_crash_dump", "rebuild": "rebuild",
        "live_migration_force_complete": "live_migration_force_complete",
        "live_migration_cancel": "live_migration_abort",
    ]
    /// Those whose failure has an event of its own; of the others only the exception is told.
    static let failing: Set<String> = [
        "create", "reboot", "rebuild", "resize", "volume_attach", "volume_swap", "interface_attach",
    ]

    func action(_ change: RowChange<InstanceAction>, was old: Server?) throws(Fault) {
        guard let action = change.new, let server = try transaction.first(Server.self, "id = \(action.serverID)")
        else { return }
        if change.old == nil { try begun(action, server) }
        guard action.finishedAt != nil, change.old?.finishedAt == nil else { return }
        if let message = action.message {
            try failed(action, server, was: old ?? server, message)
        } else {
            try ended(action, server, was: old)
        }
    }

    private func begun(_ action: InstanceAction, _ server: Server) throws(Fault) {
        switch action.action {
        case "resize", "migrate":
            try exists(server, action)
            return try tell("resize_prep.start", server, action)
        // The server's host is down: it is the API that says so.
        case "evacuate": return try tell("evacuate", server, action, from: .api, on: server.host)
        case "rebuild":
            try tell("rebuild_scheduled", server, action, from: .conductor, on: server.host)
            try exists(server, action)
        case "shelve", "revertResize": try exists(server, action)
        default: break
        }
        guard let verb = verb(action, server) else { return }
        try tell(verb + ".start", server, action)
        if verb == "rescue" { try exists(server, action) }
        if verb == "delete", server.host != nil { try tell("shutdown.start", server, action) }
    }

    private func ended(_ action: InstanceAction, _ server: Server, was old: Server?) throws(Fault) {
        switch action.action {
        case "create": try tell("create.end", server, action)
        case "resize", "migrate": try tell("resize_finish.end", server, action)
        case "lock", "unlock": try tell(action.action, server, action, from: .api)
        case "evacuate": try tell("rebuild.end", server, action)
        default:
            guard let verb = verb(action, server) else { return }
            try tell(verb + ".end", server, action, on: server.host ?? old?.host)
        }
    }

    /// What is marked to be deleted later is in the log as deleted.
    private func verb(_ action: InstanceAction, _ server: Server) -> String? {
        let isSoft = server.taskState == .softDeleting || server.vmState == .softDelete && action.action == "delete"
        if isSoft, server.taskState != .deleting, action.action == "delete" { return "soft_delete" }
        return Self.verbs[action.action]
    }

    private func failed(
        _ action: InstanceAction, _ server: Server, was old: Server, _ message: String
    ) throws(Fault) {
        let move = try transaction.first(
            ServerMigration.self, "server_id = \(server.id) ORDER BY number DESC")
        let task: String?
        switch action.action {
        case "create" where old.host == nil: task = "build_instances"
        case "resize" where move?.dest == nil, "migrate" where move?.dest == nil,
            "live-migration" where move?.dest == nil:
            task = "migrate_server"
        case "evacuate" where move?.dest == nil: task = "rebuild_server"
        default: task = nil
        }
        if let task { return try self.task(task, server, message) }
        let verb: String? =
            switch action.action {
            case "create": "create"
            case "resize", "migrate": "resize"
            case "evacuate": "rebuild"
            default: self.verb(action, server)
            }
        if let verb, Self.failing.contains(verb) {
            try tell(verb + ".error", server, action, on: server.host ?? old.host, fault: message)
        }
        try notices.tell(
            "compute.exception", .compute, on: server.host ?? old.host, as: .error,
            NoticePayload.exception(verb ?? action.action, message), transaction)
    }

    /// Nothing was found for a server to be done on.
    private func task(_ name: String, _ server: Server, _ message: String) throws(Fault) {
        try notices.tell(
            "compute_task.\(name).error", .conductor, as: .error,
            NoticePayload.object(
                "ComputeTaskPayload", "1.0",
                [
                    "instance_uuid": .string(server.id), "state": .string(server.vmState.rawValue),
                    "request_spec": server.requestSpec(count: 1), "reason": NoticePayload.exception(name, message),
                ]), transaction)
    }

    // MARK: - Moves

    func migration(_ change: RowChange<ServerMigration>) throws(Fault) {
        guard let old = change.old, let new = change.new, old.status != new.status,
            let server = try transaction.first(Server.self, "id = \(new.serverID)")
        else { return }
        var action = try current(new.serverID)
        if action == nil { action = try latest(new) }
        switch new.kind {
        case .live: try live(old, new, server, action)
        case .evacuation where new.status == .preMigrating:
            try tell("rebuild_scheduled", server, action, from: .conductor, on: new.dest)
            try exists(server, action)
            try tell("rebuild.start", server, action, on: new.dest)
        default: break
        }
    }

    /// The action that a move was asked for by, when the transaction has ended it already.
    private func latest(_ move: ServerMigration) throws(Fault) -> InstanceAction? {
        try transaction.first(
            InstanceAction.self,
            "server_id = \(move.serverID) AND action IN ('live-migration', 'evacuate') ORDER BY started_at DESC")
    }

    private func live(
        _ old: ServerMigration, _ new: ServerMigration, _ server: Server, _ action: InstanceAction?
    ) throws(Fault) {
        func say(_ stages: [String], on host: String?) throws(Fault) {
            for stage in stages { try tell("live_migration_" + stage, server, action, on: host) }
        }
        switch new.status {
        case .preparing: try say(["pre.start"], on: new.dest)
        case .running: try say(["pre.end"], on: new.dest)
        case .postMigrating:
            try say(["post.start"], on: new.source)
            try say(["post_dest.start"], on: new.dest)
        case .completed:
            try say(["post_dest.end"], on: new.dest)
            try say(["post.end"], on: new.source)
        case .failed, .cancelled, .error:
            // What has not begun, or has arrived, is not taken back.
            guard old.status == .preparing || old.status == .running else { return }
            try say(["rollback.start"], on: new.source)
            try say(["rollback_dest.start", "rollback_dest.end"], on: new.dest)
            try say(["rollback.end"], on: new.source)
        default: break
        }
    }
}

extension Server {
    /// What the scheduler is asked, as it is told of. Of the image no more is kept than its id and properties.
    func requestSpec(count: Int) -> JSON {
        let unknown = [
            "name", "status", "visibility", "protected", "checksum", "owner", "size", "virtual_size",
            "container_format", "disk_format", "created_at", "updated_at", "tags", "direct_url", "min_ram", "min_disk",
        ]
        var image = JSONObject(unknown.map { ($0, JSON.null) })
        image["id"] = NoticePayload.text(imageID)
        let properties = imageProperties.filter {
            ($0.key.hasPrefix("hw_") || $0.key.hasPrefix("os_")) && $0.key != DiskEncryption.secretProperty
        }
        image["properties"] = NoticePayload.object("ImageMetaPropsPayload", "1.20", object(properties))
        let pci = NoticePayload.object(
            "InstancePCIRequestsPayload", "1.0", ["instance_uuid": .string(id), "requests": []])
        return NoticePayload.object(
            "RequestSpecPayload", "1.1",
            [
                "instance_uuid": .string(id), "project_id": .string(projectID), "user_id": .string(userID),
                "availability_zone": NoticePayload.text(scheduling.zone), "flavor": NoticePayload.flavor(flavor),
                "image": imageID == nil ? .null : NoticePayload.object("ImageMetaPayload", "1.0", image),
                "num_instances": NoticePayload.number(count), "ignore_hosts": .null, "numa_topology": .null,
                "pci_requests": pci,
                "scheduler_hints": .object(
                    JSONObject(
                        scheduling.hints.sorted { $0.key < $1.key }.map { hint in
                            (hint.key, hint.value.array == nil ? JSON.array([hint.value]) : hint.value)
                        })),
                "security_groups": NoticePayload.texts(securityGroups),
                "force_hosts": NoticePayload.text(scheduling.isForced == true ? scheduling.host : nil),
                "force_nodes": NoticePayload.text(scheduling.isForced == true ? scheduling.node : nil),
                "instance_group": .null, "requested_destination": .null, "retry": .null,
            ])
    }

    private func object(_ pairs: [String: String]) -> JSONObject {
        JSONObject(pairs.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
    }
}
