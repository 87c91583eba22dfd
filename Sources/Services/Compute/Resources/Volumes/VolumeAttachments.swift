// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Volumes of a server: seen, plugged in and taken out while it runs. Upstream names an attachment by its volume.
enum VolumeAttachments: Resource {
    static let routes: [Route] = [
        .get(
            path, "List a server's volumes", of: Server.visible, allow: .reader("os-volumes-attachments:index"), index),
        .post(
            path, "Attach a volume", of: Server.visible, allow: .member("os-volumes-attachments:create"), create,
            status: ["2.1": 200, "2.101": 202]),
        .get(
            item, "Show a volume of a server", of: Server.visible, allow: .reader("os-volumes-attachments:show"), show),
        .put(
            item, "Update or swap a volume of a server", of: VolumeChange.from,
            allow: .rule("os-volumes-attachments:update", "rule:project_member_or_admin"), update, status: 202),
        .delete(
            item, "Detach a volume", of: Server.visible, allow: .member("os-volumes-attachments:delete"), delete,
            status: 202),
    ]

    static let migrations: [Migration] = BlockDevice.migrations

    private static let path = "/servers/{server_id}/os-volume_attachments"
    private static let item = "/servers/{server_id}/os-volume_attachments/{volume_id}"
    private static let states: [VMState] = [
        .active, .paused, .stopped, .resized, .softDelete, .shelved, .shelvedOffloaded,
    ]
}

// MARK: - Looking

extension VolumeAttachments {
    private static func index(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var devices = try await BlockDevice.of(server.id, request.database).filter { $0.volumeID != nil }
        if request.version >= "2.89" { devices.removeAll { $0.attachmentID == nil } }
        if let offset = try number("offset", request) { devices = Array(devices.dropFirst(offset)) }
        devices = Array(devices.prefix(try number("limit", request) ?? request.compute.options.maxLimit))
        return .list("volumeAttachments", devices.map { device in { write(device, &$0) } })
    }

    private static func number(_ name: String, _ request: Request) throws(Fault) -> Int? {
        guard let text = request.query(name) else { return nil }
        guard let number = Int(text), number >= 0 else {
            throw request.index.wording.invalid(name, .string(text), "'\(text)' does not match '^[0-9]*$'")
        }
        return number
    }

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let device = try await find(request, server)
        if request.version >= "2.89", device.attachmentID == nil { throw .notAttached(request["volume_id"], server) }
        return .object("volumeAttachment") { write(device, &$0) }
    }

    static func find(_ request: Request, _ server: Server) async throws(Fault) -> BlockDevice {
        let volume = request["volume_id"]
        return try await request.database.one(
            BlockDevice.self, "server_id = \(server.id) AND volume_id = \(volume)", or: .notAttached(volume, server))
    }

    private static func write(_ device: BlockDevice, _ view: inout View) {
        view.put("id", device.volumeID ?? "", until: "2.89")
        view.put("volumeId", device.volumeID ?? "")
        view.put("serverId", device.serverID)
        if let name = device.device { view.put("device", name) }
        view.put("tag", device.tag, since: "2.70")
        view.put("delete_on_termination", device.deletesWithServer, since: "2.79")
        view.put("attachment_id", device.attachmentID, since: "2.89")
        view.put("bdm_uuid", device.id, since: "2.89")
    }
}

// MARK: - Attaching

extension VolumeAttachments {
    private struct Wish: Sendable {
        let volume: String
        let device: String?
        let tag: String?
        let deletesWithServer: Bool

        init(_ request: Request) throws(Fault) {
            var body = try request.body("volumeAttachment")
            volume = try body.need("volumeId", .uuid)
            device = try body.option("device", .devicePath)
            tag = try body.take("tag", .tag, since: "2.49")
            deletesWithServer = try body.take("delete_on_termination", .bool, since: "2.79") ?? false
            try body.end()
        }
    }

    private static func create(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let wish = try Wish(request)
        try server.refuseIfLocked(request)
        try requireVolumes(server, "attach_volume", request)
        let storage = request.compute.storage.acting(as: request.caller)
        guard let volume = try await storage.volume(wish.volume, requestID: request.id) else {
            throw .notFound("Volume \(wish.volume) could not be found.")
        }
        try volume.requireFree(request)
        try await requireSameZone(volume, server, request)
        if server.vmState == .shelvedOffloaded {
            if volume.isMultiattach {
                throw .badRequest("Attaching multiattach volumes is not supported for shelved-offloaded instances.")
            }
            if wish.tag != nil {
                throw .badRequest("Tagged volume attachment is not supported for shelved-offloaded instances.")
            }
        }
        try server.requireNoTask("attach_volume")
        let held = try await VolumeReservation([volume.id], for: server.id, request)
        let id = request.ids.uuid()
        do throws(Fault) { try await begin(wish, volume, held, as: id, server, request) } catch {
            await held.giveBack(request)
            throw error
        }
        guard request.version < "2.101" else { return .empty }
        let made = try await request.database.first(BlockDevice.self, "id = \(id)")
        return .object("volumeAttachment") { view in
            view.put("id", wish.volume)
            view.put("serverId", server.id)
            view.put("volumeId", wish.volume)
            view.put("device", made?.device ?? wish.device)
            view.put("tag", wish.tag, since: "2.70")
            view.put("delete_on_termination", wish.deletesWithServer, since: "2.79")
        }
    }

    /// Writes down the device, and the work that connects and plugs it.
    private static func begin(
        _ wish: Wish, _ volume: BlockStorageClient.Volume, _ held: VolumeReservation, as id: String,
        _ server: Server, _ request: Request
    ) async throws(Fault) {
        let (now, options) = (request.now, request.compute.options.storage)
        try await server.begin("attach_volume", request) { server, transaction throws(Fault) in
            try server.requireNoTask("attach_volume")
            let devices = try BlockDevice.of(server.id, transaction)
            try refuseIfHeld(volume, server, transaction)
            var names = server.deviceNames(devices)
            if let device = wish.device, names.isTaken(device) {
                throw .conflict("The supplied device path (\(device)) is in use.")
            }
            try options.admit(disks: names.count + 1)
            guard let name = wish.device ?? names.next() else {
                throw .forbidden("No name is left for another disk of instance \(server.id).")
            }
            try transaction.insert(
                BlockDevice(
                    id: id, serverID: server.id, position: (devices.map(\.position).max() ?? 0) + 1, bootIndex: nil,
                    source: .volume, destination: .volume, volumeID: wish.volume, snapshotID: nil, imageID: nil,
                    size: volume.size, volumeType: nil, guestFormat: nil, bus: nil, kind: nil,
                    device: name.hasPrefix("/dev/") ? name : "/dev/" + name, tag: wish.tag,
                    deletesWithServer: wish.deletesWithServer, attachmentID: held.attachments[volume.id],
                    isShared: volume.isMultiattach, state: .attaching, createdAt: now, updatedAt: now))
            try held.keep(transaction)
            return ActionStart(work: AttachVolume(server: server.id, device: id), about: ["volume": wish.volume])
        }
    }

    private static func delete(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let id = request["volume_id"]
        try server.refuseIfLocked(request)
        try requireVolumes(server, "detach_volume", request)
        let storage = request.compute.storage.acting(as: request.caller)
        guard let volume = try await storage.volume(id, requestID: request.id) else {
            throw .notFound("Volume \(id) could not be found.")
        }
        let device = try await find(request, server)
        if server.vmState != .shelvedOffloaded { try await ServerMoves.requireUp(server.host, request) }
        if device.isRoot { throw .badRequest("Cannot detach a root device volume") }
        let now = request.now
        try server.requireNoTask("detach_volume")
        guard device.state == .attached else { throw notAttachedNow(id) }
        // When the call is answered the volume is no longer in use: clients wait for what it is next. One that is
        // on its way for nobody was begun by a call that came to nothing.
        let begins = server.host != nil && volume.status != "detaching"
        if begins { try await storage.act("os-begin_detaching", on: id, requestID: request.id) }
        do throws(Fault) {
            try await server.begin("detach_volume", request) { server, transaction throws(Fault) in
                try server.requireNoTask("detach_volume")
                let count = try transaction.update(
                    BlockDevice.self, set: "state = 'detaching', updated_at = \(now)",
                    where: "id = \(device.id) AND state = 'attached'")
                guard count == 1 else { throw notAttachedNow(id) }
                return ActionStart(work: DetachVolume(server: server.id, device: device.id), about: ["volume": id])
            }
        } catch {
            if begins { await giveBack(id, storage, request) }
            throw error
        }
        return .empty
    }

    /// `[cinder] cross_az_attach`.
    private static func requireSameZone(
        _ volume: BlockStorageClient.Volume, _ server: Server, _ request: Request
    ) async throws(Fault) {
        guard !request.compute.options.storage.crossesZones else { return }
        let zones = try await AvailabilityZones.byHost(request.database)
        let zone = server.host.map { zones[$0] ?? AvailabilityZones.usual } ?? server.zone ?? AvailabilityZones.usual
        guard zone != volume.zone else { return }
        throw .badRequest(
            "Invalid volume: Instance \(server.id) and volume \(volume.id) are not in the same availability_zone. "
                + "Instance is in \(zone). Volume is in \(volume.zone)")
    }

    /// Block storage's own word on whether a volume is free is not enough: administrators may reset it.
    static func refuseIfHeld(
        _ volume: BlockStorageClient.Volume, _ server: Server, _ transaction: Transaction
    ) throws(Fault) {
        // What was given back when no host would have its server is as free as Block storage says.
        let holders = try transaction.all(
            BlockDevice.self,
            """
            volume_id = \(volume.id) AND NOT (state = 'wanted' AND attachment_id IS NULL
            AND server_id IN (SELECT id FROM compute_servers WHERE vm_state = 'error'))
            ORDER BY created_at, id
            """)
        if !volume.isMultiattach, !holders.isEmpty {
            throw .badRequest(
                "Invalid volume: volume \(volume.id) is already attached to instances: "
                    + holders.map(\.serverID).joined(separator: " "))
        }
        guard !holders.contains(where: { $0.serverID == server.id }) else {
            throw .badRequest("Invalid volume: volume \(volume.id) already attached")
        }
    }

    /// Nothing was detached after all. Why is more worth telling than that the volume could not be told so.
    private static func giveBack(_ id: String, _ storage: BlockStorageClient, _ request: Request) async {
        do throws(Fault) { try await storage.act("os-roll_detaching", on: id, requestID: request.id) } catch {
            request.compute.log.warning(
                "a volume that is not detached after all stays 'detaching': reset its state",
                ["volume": id, "error": error.message])
        }
    }

    private static func notAttachedNow(_ volume: String) -> Fault {
        .badRequest("Invalid volume: Volume \(volume) is not attached, or is on its way already.")
    }

    private static func requireVolumes(_ server: Server, _ action: String, _ request: Request) throws(Fault) {
        let isShelved = server.vmState == .shelved || server.vmState == .shelvedOffloaded
        guard states.contains(server.vmState), !isShelved || request.version >= "2.20" else {
            throw .serverState(server.id, "vm_state", server.vmState.rawValue, action)
        }
    }
}

extension Server {
    /// Refuses what may not happen beside something else.
    fileprivate func requireNoTask(_ action: String) throws(Fault) {
        if let taskState { throw .serverState(id, "task_state", taskState.rawValue, action) }
    }
}

extension Format where Value == String {
    fileprivate static var devicePath: Format {
        text(1...255).map { text throws(Misfit) in
            var rest = text[...]
            if rest.hasPrefix("/dev/") { rest = rest.dropFirst(5) }
            let isName = !rest.isEmpty && rest.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) }
            guard isName, rest.utf8.first.map({ $0 > 96 }) == true else {
                throw Misfit(
                    "'\(text)' does not match '(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$'")
            }
            return text
        }
    }
}

extension Fault {
    static func notAttached(_ volume: String, _ server: Server) -> Fault {
        .notFound("Instance \(server.id) is not attached to volume \(volume)")
    }
}
