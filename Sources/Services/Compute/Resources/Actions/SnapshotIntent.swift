// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// An image that is about to be reserved for a server's disk. It is written before the image is made and gone with the
/// transaction that queues the work, so that one nobody works on is found, and deleted, after a crash between the two.
struct SnapshotIntent: Record {
    static let table = "compute_snapshot_intents"

    let imageID: String
    let serverID: String
    let createdAt: Timestamp

    static let migration: Migration = """
        2026-11-30 compute snapshot intents
        CREATE TABLE compute_snapshot_intents (
            image_id VARCHAR(36) NOT NULL PRIMARY KEY, server_id VARCHAR(36) NOT NULL, created_at BIGINT NOT NULL)
        """

    /// Reserves an image in the name of whoever asks; its bytes come when the work is done.
    static func reserve(
        _ name: String, of server: Server, type: String?, _ metadata: [String: String], _ request: Request
    ) async throws(Fault) -> String {
        let (id, images) = (request.ids.uuid(), request.compute.images)
        let intent = SnapshotIntent(imageID: id, serverID: server.id, createdAt: request.now)
        try await request.database.transaction { transaction throws(Fault) in try transaction.insert(intent) }
        try await keeping(id, request) { () async throws(Fault) in
            let draft = try await draft(id, name, server, type, metadata, request)
            do throws(Fault) {
                try await images.create(draft, requestID: request.id, as: request.caller)
                if server.projectID != request.caller.projectID {
                    try await images.share(id, with: server.projectID, requestID: request.id, as: request.caller)
                }
            } catch {
                // What the image service refuses is the request's mistake; that it is out of order is not.
                throw error.status == 413 ? .forbidden(error.message) : error
            }
        }
        return id
    }

    /// Does what follows a reservation; when that fails the image is let go.
    static func keeping(
        _ image: String, _ request: Request, _ deed: () async throws(Fault) -> Void
    ) async throws(Fault) {
        do throws(Fault) { try await deed() } catch {
            try? await forget(image, request.compute, requestID: request.id)
            throw error
        }
    }

    static func settle(_ image: String, _ transaction: Transaction) throws(Fault) {
        _ = try transaction.delete(SnapshotIntent.self, "image_id = \(image)")
    }

    /// Lets an image go that nobody works on.
    static func forget(_ image: String, _ room: ComputeService, requestID: String) async throws(Fault) {
        try await room.images.delete(image, requestID: requestID)
        try await room.database.transaction { transaction throws(Fault) in try settle(image, transaction) }
    }
}

extension SnapshotIntent {
    /// Properties that say something of the old image's bytes, or are others' (nova/compute/utils.py).
    private static let notInherited: Set<String> = [
        "cinder_encryption_key_id", "cinder_encryption_key_deletion_policy", "img_signature",
        "img_signature_hash_method", "img_signature_key_type", "img_signature_certificate_uuid", "cache_in_nova",
        "bittorrent", "base_image_ref", "backup_type", "instance_owner",
    ]

    /// The image as upstream describes a server's disk: what it was made from, whose it is, what it needs.
    /// - Parameter type: nil of a server whose disks are volumes, of which less is told.
    private static func draft(
        _ id: String, _ name: String, _ server: Server, _ type: String?, _ metadata: [String: String],
        _ request: Request
    ) async throws(Fault) -> JSONObject {
        var draft: JSONObject = [
            "id": .string(id), "name": .string(name), "disk_format": type == nil ? "raw" : "qcow2",
            "container_format": "bare",
        ]
        for (key, value) in server.imageProperties where !notInherited.contains(key) && !key.hasPrefix("os_glance") {
            draft[key] = .string(value)
        }
        let isOwner = server.projectID == request.caller.projectID
        draft["visibility"] = .string(isOwner ? "private" : "shared")
        guard let type else {
            draft["root_device_name"] = server.rootDeviceName.map(JSON.string)
            if !isOwner { draft["instance_owner"] = .string(server.projectID) }
            for (key, value) in metadata { draft[key] = .string(value) }
            return draft
        }
        if let base = server.imageID {
            draft["base_image_ref"] = .string(base)
            if let image = try await request.compute.images.find(base, requestID: request.id) {
                draft["min_disk"] = .integer(Int64(image.minDisk))
                draft["min_ram"] = .integer(Int64(image.minRAM))
            }
        }
        draft["instance_uuid"] = .string(server.id)
        draft["user_id"] = .string(request.caller.userID)
        draft["owner_id"] = .string(server.projectID)
        draft["image_type"] = .string(type)
        draft["image_location"] = "snapshot"
        draft["image_state"] = "available"
        if !isOwner { draft["instance_owner"] = .string(server.projectID) }
        for (key, value) in metadata { draft[key] = .string(value) }
        return draft
    }
}
