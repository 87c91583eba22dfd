// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// The volumes of a server towards Block storage: made, reserved and connected at boot, let go of at delete. All may be
/// repeated.
struct ServerVolumes {
    let site: ComputeSite

    init(_ site: ComputeSite) { self.site = site }

    var storage: BlockStorageClient { site.room.storage }
    var requestID: String { site.requestID }

    // MARK: - At boot

    /// What whoever waits for a server's volumes is told by.
    static func topic(_ server: String) -> String { "volumes of " + server }

    /// How long a volume may take: from a large image it may be minutes.
    static let patience = Duration.seconds(300)

    /// Makes what is to be made, and when all of it is there connects the host to it.
    func connect(_ server: Server, _ patience: Patience) async throws(Fault) -> Wait {
        var isReady = true
        for device in try await BlockDevice.of(server.id, site.database) where device.destination == .volume {
            let made = try await make(device, server)
            guard made.isOurs, made.attachmentID == nil else { continue }
            do throws(Fault) { isReady = try await isMade(made.volumeID ?? "", patience) && isReady } catch {
                return try patience.outlast(error, within: Self.patience)
            }
        }
        // Block storage tells nobody when a volume is ready.
        guard isReady else { return patience.next(within: Self.patience, .milliseconds(500)...(.seconds(3))) }
        try await connect(server)
        return .over
    }

    /// Connects the host to what is there.
    func connect(_ server: Server) async throws(Fault) {
        for device in try await BlockDevice.of(server.id, site.database) where device.destination == .volume {
            try await connect(device, server)
        }
    }

    /// The device with a volume, which may be in the making still.
    private func make(_ device: BlockDevice, _ server: Server) async throws(Fault) -> BlockDevice {
        var device = device
        if device.volumeID == nil {
            var members: JSONObject = [
                "size": .integer(Int64(device.size ?? 1)),
                "name": device.source == .blank ? .string(server.id + "-blank-vol") : "",
                "description": "",
            ]
            if let type = device.volumeType { members["volume_type"] = .string(type) }
            if let image = device.imageID { members["imageRef"] = .string(image) }
            if let snapshot = device.snapshotID { members["snapshot_id"] = .string(snapshot) }
            device.volumeID = try await storage.acting(as: site.room.caller(for: server)).createVolume(
                .object(members), requestID: requestID
            ).id
            device.isOurs = true
            try await save(device)
        }
        return device
    }

    /// Whether a volume can be had by now.
    func isMade(_ volume: String, _ patience: Patience, within limit: Duration = ServerVolumes.patience)
        async throws(Fault) -> Bool
    {
        guard let found = try await storage.volume(volume, requestID: requestID) else {
            throw .notFound("Volume \(volume) could not be found.")
        }
        if found.status == "available" || found.status == "in-use" || found.status == "reserved" { return true }
        let seconds = patience.waited.components.seconds
        guard found.status == "creating" || found.status == "downloading" else {
            throw .badRequest(
                "Volume \(volume) did not finish being created even after we waited \(seconds) seconds or "
                    + "\(max(1, seconds / 3)) attempts. And its status is \(found.status).")
        }
        guard patience.waited < limit else {
            site.room.log.warning(
                "a volume is not made in time: look at Block storage's log",
                ["volume": volume, "status": found.status, "seconds": Int(seconds)])
            throw .timeout("Volume \(volume) was not made in time.")
        }
        return false
    }

    /// Reserves the volume for the server and tells Block storage which host will use it.
    func connect(_ device: BlockDevice, _ server: Server) async throws(Fault) {
        guard let volume = device.volumeID else { return }
        var device = device
        if device.attachmentID == nil {
            // What an interrupted run reserved is ours.
            let held = try await storage.attachments(of: volume, by: server.id, requestID: requestID).first
            if let held {
                device.attachmentID = held.id
            } else {
                device.attachmentID = try await storage.reserve(volume, for: server.id, requestID: requestID).id
            }
            device.state = .attaching
            try await save(device)
        }
        guard server.host != nil, let attachment = device.attachmentID else { return }
        guard let hypervisor = try site.hypervisor(of: server) as? any GuestVolumes else {
            throw .conflict("The host of instance \(server.id) cannot attach volumes.")
        }
        var connector = try await hypervisor.connector().json.object ?? [:]
        if let name = device.device { connector["mountpoint"] = .string(name) }
        let connected: BlockStorageClient.Attachment
        do throws(Fault) {
            connected = try await storage.connect(attachment, .object(connector), requestID: requestID)
        } catch {
            // While the server was without a host somebody may have let go of its hold: then it is taken anew.
            guard error.status == 404, try await storage.attachment(attachment, requestID: requestID) == nil else {
                throw error
            }
            let held = try await storage.reserve(volume, for: server.id, requestID: requestID).id
            device.attachmentID = held
            try await save(device)
            connected = try await storage.connect(held, .object(connector), requestID: requestID)
        }
        _ = try VolumeConnection(connected.connection)
        device.keyID = try await key(of: volume, connected.connection)
        device.connection = connected.connection.text()
        try await save(device)
    }

    /// The secret that a volume is encrypted with, in its own key manager; nil of a plain one.
    func key(of volume: String, _ connection: JSON) async throws(Fault) -> String? {
        guard VolumeConnection.isEncrypted(connection) else { return nil }
        let encryption = try await storage.encryption(of: volume, requestID: requestID)
        guard VolumeKeys.providers.contains(encryption.provider ?? ""), encryption.location == "front-end",
            let key = encryption.keyID
        else {
            throw .badRequest(
                "Volume \(volume) is encrypted by '\(encryption.provider ?? "nobody")', "
                    + "which this cloud's hosts do not know.",
                code: "EncryptionUnsupported")
        }
        return key
    }

    /// The guest runs with its volumes.
    func complete(_ server: Server) async throws(Fault) {
        for var device in try await BlockDevice.of(server.id, site.database) where device.state != .attached {
            if let attachment = device.attachmentID, device.connection != nil {
                try await storage.complete(attachment, requestID: requestID)
            }
            device.state = .attached
            try await save(device)
        }
    }

    // MARK: - At the end

    /// Lets go of all volumes after a boot that failed on the last host there was for it, and deletes those that were
    /// made for it. What Block storage holds on to stays the server's until that is deleted.
    func giveBack(_ server: String) async throws(Fault) {
        for var device in try await BlockDevice.of(server, site.database) where device.destination == .volume {
            guard try await orNote(device, { () async throws(Fault) in try await releaseAll(device) }) else { continue }
            (device.attachmentID, device.connection, device.state) = (nil, nil, .wanted)
            if device.isOurs, let volume = device.volumeID {
                let isGone = try await orNote(device) { () async throws(Fault) in
                    try await storage.deleteVolume(volume, requestID: requestID)
                }
                if isGone { (device.volumeID, device.isOurs) = (nil, false) }
            }
            try await save(device)
        }
    }

    /// Lets go of all volumes of a server that is deleted, and deletes those that are to go with it. The row of one
    /// that Block storage holds on to stays, for `ReleaseOldVolumes` to ask again.
    func release(_ server: Server) async throws(Fault) {
        for device in try await BlockDevice.of(server.id, site.database) {
            guard try await orNote(device, { () async throws(Fault) in try await releaseAll(device) }) else { continue }
            // One that was made for a boot which failed, and would not go then, goes now.
            let isLeftOver = device.isOurs && device.state == .wanted
            if device.deletesWithServer || isLeftOver, let volume = device.volumeID, device.destination == .volume {
                _ = try await orNote(device) { () async throws(Fault) in
                    try await storage.deleteVolume(volume, requestID: requestID)
                }
            }
            _ = try await site.database.delete(BlockDevice.self, "id = \(device.id)")
        }
    }

    /// What a move under way, or an interrupted run, has reserved goes as well.
    private func releaseAll(_ device: BlockDevice) async throws(Fault) {
        if let attachment = device.attachmentID { try await storage.release(attachment, requestID: requestID) }
        guard device.destination == .volume, let volume = device.volumeID else { return }
        for other in try await storage.attachments(of: volume, by: device.serverID, requestID: requestID) {
            try await storage.release(other.id, requestID: requestID)
        }
    }

    /// Somebody else has the volume still, or Block storage will not: the server goes all the same.
    /// - Returns: whether it was done.
    private func orNote(_ device: BlockDevice, _ deed: () async throws(Fault) -> Void) async throws(Fault) -> Bool {
        do throws(Fault) {
            try await deed()
            return true
        } catch {
            guard error.status < 500 else { throw error }
            site.room.log.warning(
                "a volume was not let go of, or not deleted, with its server",
                ["volume": device.volumeID ?? "", "server": device.serverID, "error": error.message])
            return false
        }
    }

    func save(_ device: BlockDevice) async throws(Fault) {
        var device = device
        device.updatedAt = site.clock.now()
        let changed = device
        _ = try await site.database.update(
            BlockDevice.self,
            set: """
                volume_id = \(changed.volumeID), attachment_id = \(changed.attachmentID),
                connection = \(changed.connection), is_ours = \(changed.isOurs), state = \(changed.state),
                device = \(changed.device), size = \(changed.size), key_id = \(changed.keyID),
                updated_at = \(changed.updatedAt)
                """,
            where: "id = \(changed.id)")
    }
}

extension ComputeService {
    /// Compute, acting for a server's project: what is made belongs to that.
    func caller(for server: Server) -> Caller {
        var caller = caller
        caller.projectID = server.projectID
        caller.userID = server.userID
        return caller
    }
}
