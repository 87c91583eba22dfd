// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

// What Block storage refuses when something is undone it would refuse again, and all else that is to be done to the
// server, its deletion included, would wait behind that. So nothing waits: it is told, and what is held still is noted.

extension ComputeService {
    /// Leaves what a server holds of a volume, and should not, to `MoveKeeper`. What may pass is thrown again.
    func leave(_ volume: String, of server: String, _ refusal: Fault) async throws(Fault) {
        guard refusal.status < 500 else { throw refusal }
        log.warning(
            "Block storage does not take a volume back; it is asked again later",
            ["volume": volume, "server": server, "error": refusal.message])
        let hold = VolumeHold(id: ids.uuid(), serverID: server, volumeID: volume, createdAt: clock.now())
        try await database.transaction { transaction throws(Fault) in try transaction.insert([hold]) }
    }
}

extension ComputeSite {
    /// Lets go of all that a server has reserved of a volume which it shall not have.
    func drop(_ volume: String, of server: String) async throws(Fault) {
        do throws(Fault) {
            for held in try await room.storage.attachments(of: volume, by: server, requestID: requestID) {
                try await room.storage.release(held.id, requestID: requestID)
            }
        } catch {
            try await room.leave(volume, of: server, error)
        }
    }

    /// Does what brings something back to how it was, if Block storage will have it so; it is asked a few times.
    func unlessRefused(_ server: String, _ deed: () async throws(Fault) -> Void) async throws(Fault) {
        do throws(Fault) { try await deed() } catch {
            let tried = try await database.first(OperationRecord.self, "id = \(context.id)")?.attempt ?? 0
            guard error.status < 500, tried >= 3 else { throw error }
            room.log.warning(
                "Block storage refuses what would bring a server's volumes back to how they were",
                ["server": server, "error": error.message])
        }
    }
}
