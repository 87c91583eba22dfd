// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// The volumes of a server that changes hosts: held for the new host beside the old one until the server is there, and
/// from then on for that one only. All may be repeated.
///
///     prepare ─► the guest is made over there ─► complete ─► turn (with the server's row) ─► release
///                                       forget, as long as nothing has turned
struct VolumeJourney {
    private let room: ComputeService
    private let requestID: String

    init(_ room: ComputeService, requestID: String) {
        self.room = room
        self.requestID = requestID
    }

    init(_ site: ComputeSite) { self.init(site.room, requestID: site.requestID) }

    private var storage: BlockStorageClient { room.storage }

    /// Holds the volumes once more and connects a host to them.
    func prepare(_ server: String, for host: String) async throws(Fault) {
        let devices = try await held(server)
        guard !devices.isEmpty else { return }
        guard let hypervisor = try room.hosts.find(host) as? any GuestVolumes else {
            throw .conflict("The host \(host) cannot attach the volumes of instance \(server).")
        }
        let connector = try await hypervisor.connector().json.object ?? [:]
        for device in devices where device.otherHost != host || device.otherConnection == nil {
            var device = device
            try await letGo(&device)
            var described = connector
            if let name = device.device { described["mountpoint"] = .string(name) }
            let held = try await storage.reserve(
                device.volumeID ?? "", for: server, connector: .object(described), requestID: requestID)
            device.otherHost = host
            device.otherAttachmentID = held.id
            _ = try VolumeConnection(held.connection)
            device.otherConnection = held.connection.text()
            try await save(device)
        }
    }

    /// The guest has the volumes where they were prepared for it, or where it is.
    func complete(_ server: String, at host: String?) async throws(Fault) {
        for device in try await held(server) where device.connection != nil {
            let isOther = host != nil && device.otherHost == host
            let attachment = isOther ? device.otherAttachmentID : device.attachmentID
            if let attachment { try await storage.complete(attachment, requestID: requestID) }
        }
    }

    /// In the transaction that gives the server its host: from now on the hold of that host is the server's.
    static func turn(
        _ server: String, to host: String?, from old: String?, _ transaction: Transaction
    ) throws(Fault) {
        guard let host, host != old else { return }
        for device in try transaction.all(BlockDevice.self, "server_id = \(server) AND other_host = \(host)") {
            _ = try transaction.update(
                BlockDevice.self,
                set: """
                    attachment_id = \(device.otherAttachmentID), connection = \(device.otherConnection),
                    other_host = \(old), other_attachment_id = \(device.attachmentID),
                    other_connection = \(device.connection)
                    """,
                where: "id = \(device.id)")
        }
    }

    /// Lets go of what is not the server's hold: of the old host once it has turned, of the new one when it does not.
    func release(_ server: String) async throws(Fault) {
        for device in try await held(server) where device.otherHost != nil {
            var device = device
            try await letGo(&device)
            try await save(device)
        }
    }

    /// The same after a move that came to nothing, with what an interrupted run may have reserved and not noted.
    func forget(_ server: String) async throws(Fault) {
        for device in try await held(server) {
            var device = device
            do throws(Fault) { try await letGo(&device) } catch {
                try await room.leave(device.volumeID ?? "", of: server, error)
                continue
            }
            try await save(device)
        }
    }

    /// The same where the move is over already: what cannot be let go now is let go by `ReleaseOldVolumes`.
    func releaseIfPossible(_ server: String) async {
        do throws(Fault) { try await release(server) } catch {
            room.log.warning(
                "volumes are held for a server's old host still", ["server": server, "error": error.message])
        }
    }

    /// Leaves a server without a host its volumes, reserved and connected to none.
    /// - Parameter only: the block device's id when it is about one of them.
    func disconnect(_ server: String, only: String? = nil) async throws(Fault) {
        for device in try await held(server) where device.connection != nil && (only ?? device.id) == device.id {
            guard let (new, old) = try await holdAnew(device) else { continue }
            do throws(Fault) { try await storage.release(old, requestID: requestID) } catch {
                // Half way is nowhere: what is refused now is asked for again.
                throw Fault(503, error.message)
            }
            try await save(new)
        }
    }

    /// The same for a server that goes on from a host which would not have it. What Block storage refuses, it refuses.
    func leave(_ server: String) async throws(Fault) {
        for device in try await held(server) where device.connection != nil {
            guard let (new, old) = try await holdAnew(device) else { continue }
            try await storage.release(old, requestID: requestID)
            try await save(new)
        }
    }

    /// A hold for no host, beside the one that is to go: it comes first, so that nobody else gets the volume.
    private func holdAnew(_ device: BlockDevice) async throws(Fault) -> (BlockDevice, old: String)? {
        guard let volume = device.volumeID, let old = device.attachmentID else { return nil }
        let known = try await storage.attachments(of: volume, by: device.serverID, requestID: requestID)
        var held = known.first { $0.id != old }?.id
        if held == nil { held = try await storage.reserve(volume, for: device.serverID, requestID: requestID).id }
        var new = device
        (new.attachmentID, new.connection) = (held, nil)
        return (new, old)
    }
}

extension VolumeJourney {
    private func held(_ server: String) async throws(Fault) -> [BlockDevice] {
        try await BlockDevice.of(server, room.database).filter {
            $0.destination == .volume && $0.volumeID != nil && $0.attachmentID != nil
        }
    }

    /// Releases every hold of the server on the volume but its own.
    private func letGo(_ device: inout BlockDevice) async throws(Fault) {
        let (volume, server) = (device.volumeID ?? "", device.serverID)
        for attachment in try await storage.attachments(of: volume, by: server, requestID: requestID)
        where attachment.id != device.attachmentID {
            try await storage.release(attachment.id, requestID: requestID)
        }
        (device.otherHost, device.otherAttachmentID, device.otherConnection) = (nil, nil, nil)
    }

    private func save(_ device: BlockDevice) async throws(Fault) {
        let now = room.clock.now()
        _ = try await room.database.update(
            BlockDevice.self,
            set: """
                attachment_id = \(device.attachmentID), connection = \(device.connection),
                other_host = \(device.otherHost), other_attachment_id = \(device.otherAttachmentID),
                other_connection = \(device.otherConnection), updated_at = \(now)
                """,
            where: "id = \(device.id)")
    }
}
