// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Images of servers whose root disk is a volume: nothing but a list of snapshots, which the disks of other servers are
/// made of (upstream's `snapshot_volume_backed`).
extension ServerImages {
    static func createVolumeImage(
        _ name: String, _ metadata: [String: String], _ server: Server, _ request: Request
    ) async throws(Fault) -> Reply {
        let volumes = try await BlockDevice.of(server.id, request.database).count { $0.volumeID != nil }
        let storage = request.compute.storage.acting(as: request.caller)
        if let left = try await storage.snapshotsLeft(requestID: request.id), left < volumes {
            throw .forbidden("Quota exceeded for resources: snapshots")
        }
        let image = try await SnapshotIntent.reserve(name, of: server, type: nil, metadata, request)
        try await SnapshotIntent.keeping(image, request) { () async throws(Fault) in
            try await server.begin(.createImage, request) { row, transaction throws(Fault) in
                try SnapshotIntent.settle(image, transaction)
                return ActionStart(work: SnapshotVolumes(server: row.id, image: image, name: "snapshot for \(name)"))
            }
        }
        return await reply(image, request, hasLocation: true)
    }
}

/// Makes a snapshot of each volume of a server and writes down in the image which they are.
struct SnapshotVolumes: Operation {
    static let kind = "compute.snapshot-volumes"

    let server: String
    let image: String
    /// What each snapshot is called.
    let name: String

    var subject: String { server }
    var deadline: Duration { .seconds(10_800) }

    var steps: [Step<ComputeSite>] {
        let copy = DiskCopy(server: server, image: image)
        return [
            Step("reserve", do: { _ async throws(Fault) in }, undo: copy.forget),
            Step("quiesce_instance", attempts: 1, do: freeze, undo: thaw),
            Step("snapshot_volumes", budget: .seconds(600), pace: .long, do: snapshot, undo: drop),
            Step("unquiesce_instance", attempts: 8, do: thaw),
            Step("create_image", attempts: 8, do: activate),
        ]
    }

    // MARK: - Quiet

    /// The guest's file systems come to rest; one that cannot is snapshotted all the same, unless its image forbids it.
    private func freeze(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        guard row.host != nil, row.vmState == .active else { return }
        let wish = GuestFreeze(properties: row.imageProperties)
        guard wish != .none else { return }
        do throws(Fault) {
            try await site.ability((any GuestQuieting).self, of: row, to: "quiesce").quiet(server)
        } catch {
            guard wish != .needed else { throw error }
            site.room.log.info("a guest is not quiesced", ["server": server, "reason": error.message])
        }
    }

    private func thaw(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        guard row.host != nil, GuestFreeze(properties: row.imageProperties) != .none,
            let host = try site.hypervisor(of: row) as? any GuestQuieting
        else { return }
        try await host.unquiet(server)
    }

    // MARK: - Snapshots

    private func volumes(_ site: ComputeSite) async throws(Fault) -> [BlockDevice] {
        try await BlockDevice.of(server, site.database).filter { $0.destination == .volume && $0.volumeID != nil }
    }

    private func storage(_ site: ComputeSite) async throws(Fault) -> BlockStorageClient {
        site.room.storage.acting(as: site.room.caller(for: try await site.server(server)))
    }

    private func snapshot(_ site: ComputeSite) async throws(Fault) {
        let storage = try await storage(site)
        for device in try await volumes(site) {
            _ = try await storage.createSnapshot(
                of: device.volumeID ?? "", name: name, mark: image, requestID: site.requestID)
        }
    }

    private func drop(_ site: ComputeSite) async throws(Fault) {
        let storage = try await storage(site)
        for device in try await volumes(site) {
            try await storage.deleteSnapshot(
                of: device.volumeID ?? "", name: name, mark: image, requestID: site.requestID)
        }
    }

    // MARK: - The image

    private func activate(_ site: ComputeSite) async throws(Fault) {
        let images = site.room.images
        guard let found = try await images.find(image, requestID: site.requestID) else {
            throw .notFound("Image \(image) could not be found.")
        }
        guard found.status != "active" else { return }
        let storage = try await storage(site)
        var mapping: [JSON] = []
        for device in try await BlockDevice.of(server, site.database) {
            var snapshot: String?
            if device.destination == .volume, let volume = device.volumeID {
                snapshot = try await storage.createSnapshot(
                    of: volume, name: name, mark: image, requestID: site.requestID
                ).id
            }
            mapping.append(device.imageMapping(snapshot: snapshot))
        }
        try await images.set(
            ["block_device_mapping": JSON.array(mapping).text(), "bdm_v2": "True"], of: image,
            requestID: site.requestID)
        try await images.upload(image, size: 0, requestID: site.requestID) { _, _ async throws(Fault) in [] }
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.settle(server) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.settle(server, message: fault.message)
    }
}

extension BlockDevice {
    /// The device as an image tells of it; a volume is its snapshot.
    fileprivate func imageMapping(snapshot: String?) -> JSON {
        func text(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
        func number(_ value: Int?) -> JSON { value.map { .integer(Int64($0)) } ?? .null }
        let isVolume = snapshot != nil
        return [
            "source_type": .string(isVolume ? "snapshot" : source.rawValue),
            "destination_type": .string(destination.rawValue), "snapshot_id": text(snapshot), "volume_id": .null,
            "image_id": isVolume ? .null : text(imageID), "no_device": .null, "device_name": text(device),
            "boot_index": number(bootIndex), "volume_size": number(size),
            "delete_on_termination": .bool(deletesWithServer), "disk_bus": text(bus), "device_type": text(kind),
            "guest_format": isVolume ? .null : text(guestFormat), "volume_type": .null, "tag": .null,
            "encrypted": .null, "encryption_secret_uuid": .null, "encryption_format": .null,
            "encryption_options": .null,
        ]
    }
}
