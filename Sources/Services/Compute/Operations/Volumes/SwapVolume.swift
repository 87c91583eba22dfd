// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Moves a guest's disk from one volume to another while Block storage migrates it.
struct SwapVolume: Operation {
    static let kind = "compute.swap-volume"

    let server: String
    /// The block device's id.
    let device: String
    let old: String
    let new: String

    var subject: String { server }
    var deadline: Duration { .seconds(7200) }

    var steps: [Step<ComputeSite>] {
        [
            Step("reserve", do: connect, undo: letGo),
            Step("swap", attempts: 1, budget: .seconds(7000), pace: .long, do: swap),
            Step("complete", attempts: 30, do: complete),
        ]
    }

    private func find(_ site: ComputeSite) async throws(Fault) -> BlockDevice {
        try await site.database.one(
            BlockDevice.self, "id = \(device)", or: .notFound("Block device \(device) could not be found."))
    }

    /// The hold on the new volume, connected to the server's host.
    private func attachment(_ site: ComputeSite) async throws(Fault) -> BlockStorageClient.Attachment {
        let (storage, request) = (site.room.storage, site.requestID)
        if let held = try await storage.attachments(of: new, by: server, requestID: request).first { return held }
        return try await storage.reserve(new, for: server, requestID: request)
    }

    private func connection(_ site: ComputeSite) async throws(Fault) -> BlockStorageClient.Attachment {
        let server = try await site.server(server)
        guard let hypervisor = try site.hypervisor(of: server) as? any GuestVolumes else {
            throw .conflict("The host of instance \(server.id) cannot attach volumes.")
        }
        let held = try await attachment(site)
        let connector = try await hypervisor.connector().json
        return try await site.room.storage.connect(held.id, connector, requestID: site.requestID)
    }

    private func connect(_ site: ComputeSite) async throws(Fault) {
        let isOldEncrypted = try await find(site).keyID != nil
        guard !isOldEncrypted, !VolumeConnection.isEncrypted(try await connection(site).connection) else {
            throw .conflict(
                "Swap volume is not supported for encrypted volumes when native LUKS decryption is enabled.")
        }
    }

    private func letGo(_ site: ComputeSite) async throws(Fault) {
        try await site.drop(new, of: server)
    }

    private func swap(_ site: ComputeSite) async throws(Fault) {
        let (server, device) = (try await site.server(server), try await find(site))
        guard let hypervisor = try site.hypervisor(of: server) as? any GuestVolumeSwap else {
            throw .conflict("The host of instance \(server.id) cannot swap volumes.")
        }
        let connection = try VolumeConnection(try await connection(site).connection)
        let volume = GuestVolume(
            volumeID: new, connection: connection, device: device.device ?? "", bus: device.bus, kind: device.kind)
        try await hypervisor.swap(volume: old, for: volume, of: server.id)
    }

    private func complete(_ site: ComputeSite) async throws(Fault) {
        var device = try await find(site)
        let (storage, request) = (site.room.storage, site.requestID)
        guard device.volumeID == old, device.state != .attached else { return }
        let held = try await attachment(site)
        try await storage.complete(held.id, requestID: request)
        let last = device.attachmentID
        let id = try await storage.completeMigration(from: old, to: new, requestID: request)
        (device.volumeID, device.attachmentID, device.connection) = (id, held.id, held.connection.text())
        device.state = .attached
        try await ServerVolumes(site).save(device)
        if let last, last != held.id { try await storage.release(last, requestID: request) }
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.finish(server, nil) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        if var device = try await site.database.first(BlockDevice.self, "id = \(device)") {
            device.state = .attached
            try await ServerVolumes(site).save(device)
        }
        // Block storage waits to hear of it, and drops the new volume then. The server waits for nobody: it is told
        // once.
        do throws(Fault) {
            try await site.room.storage.completeMigration(
                from: old, to: new, hasFailed: true, requestID: site.requestID)
        } catch {
            site.room.log.error(
                "Block storage was not told of a swap that failed: reset the migration state of the volume there",
                ["volume": old, "new_volume": new, "error": error.message])
        }
        try await site.finish(server, fault.message)
    }
}
