// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A volume that a request reserves for a server, noted before Block storage is asked: when the process ends in
/// between, `MoveKeeper` gives it back. The note goes with the transaction that says what the volume is reserved for.
/// Also one that Block storage would not take back when what it was reserved for had failed.
struct VolumeHold: Record {
    static let table = "compute_volume_holds"

    let id: String
    let serverID: String
    let volumeID: String
    let createdAt: Timestamp
}

extension VolumeHold: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-30 compute volumes that requests reserve
        CREATE TABLE compute_volume_holds (
            id VARCHAR(36) NOT NULL PRIMARY KEY, server_id VARCHAR(36) NOT NULL, volume_id VARCHAR(36) NOT NULL,
            created_at BIGINT NOT NULL)
        """
    ]
}

/// The volumes that a request has reserved for a server: nobody else gets them from now on.
struct VolumeReservation: Sendable {
    private let holds: [VolumeHold]
    /// Block storage's attachments, by volume.
    private(set) var attachments: [String: String] = [:]

    /// Reserves volumes in the caller's name.
    /// - Throws: 400 when a volume is not free; then nothing is reserved.
    init(_ volumes: [String], for server: String, _ request: Request) async throws(Fault) {
        let (ids, now) = (request.ids, request.now)
        let holds = Set(volumes).sorted().map {
            VolumeHold(id: ids.uuid(), serverID: server, volumeID: $0, createdAt: now)
        }
        self.holds = holds
        guard !holds.isEmpty else { return }
        try await request.database.transaction { transaction throws(Fault) in try transaction.insert(holds) }
        let storage = request.compute.storage.acting(as: request.caller)
        do throws(Fault) {
            for volume in holds.map(\.volumeID) {
                attachments[volume] = try await storage.reserve(volume, for: server, requestID: request.id).id
            }
        } catch {
            // Of a call that was cut off nobody knows what it did: its note stays.
            await giveBack(request, isClear: error.status < 500)
            guard error.status == 400 || error.status == 409 else { throw error }
            throw .badRequest("Invalid input received: \(error.message)")
        }
    }

    /// In the transaction that writes down what the volumes are reserved for.
    func keep(_ transaction: Transaction) throws(Fault) {
        for hold in holds { _ = try transaction.delete(VolumeHold.self, "id = \(hold.id)") }
    }

    /// Nothing came of the request. What cannot be given back now is given back later.
    func giveBack(_ request: Request, isClear: Bool = true) async {
        do throws(Fault) {
            for attachment in attachments.values {
                try await request.compute.storage.release(attachment, requestID: request.id)
            }
            for hold in holds where isClear || attachments[hold.volumeID] != nil {
                _ = try await request.database.delete(VolumeHold.self, "id = \(hold.id)")
            }
        } catch {
            request.compute.log.warning(
                "volumes that a refused request reserved are given back later",
                ["volumes": holds.map(\.volumeID).joined(separator: " "), "error": error.message])
        }
    }
}

extension MoveKeeper {
    /// Longer than any request takes.
    private static let forgotten = Duration.seconds(600)

    /// Gives back volumes that were reserved by requests of which nothing came, because a process ended, and those that
    /// Block storage would not take back before. One that it holds on to keeps no other one.
    func giveForgottenVolumesBack() async throws(Fault) {
        let oldest = room.clock.now() - MoveKeeper.forgotten
        for hold in try await room.database.all(VolumeHold.self, "created_at < \(oldest) ORDER BY created_at, id") {
            do throws(Fault) { try await giveBack(hold, youngerThan: oldest) } catch {
                room.log.warning(
                    "a volume that was reserved for nothing could not be given back",
                    ["volume": hold.volumeID, "server": hold.serverID, "error": error.message])
            }
        }
    }

    private func giveBack(_ hold: VolumeHold, youngerThan oldest: Timestamp) async throws(Fault) {
        let (server, volume, requestID) = (hold.serverID, hold.volumeID, "req-" + room.ids.uuid())
        // What is being reserved right now is nobody's yet, either.
        let busy = try await room.database.count(
            OperationRecord.self, "subject = \(server) AND " + OperationRecord.unfinished)
        let asked = try await room.database.count(
            VolumeHold.self, "server_id = \(server) AND volume_id = \(volume) AND created_at >= \(oldest)")
        guard busy == 0, asked == 0 else { return }
        let devices = try await BlockDevice.of(server, room.database)
        let own = devices.flatMap { [$0.attachmentID, $0.otherAttachmentID] }
        for held in try await room.storage.attachments(of: volume, by: server, requestID: requestID)
        where !own.contains(held.id) {
            room.log.warning(
                "a volume is given back that was reserved for nothing", ["volume": volume, "server": server])
            try await room.storage.release(held.id, requestID: requestID)
        }
        _ = try await room.database.delete(VolumeHold.self, "id = \(hold.id)")
    }
}
