// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// An image that is gone: its id is not given again, and while the delay lasts it can come back with its bytes.
package struct DeletedImage: Record {
    package static let table = "image_deleted"
    package enum Status: String, Codable, Sendable {
        case deleted
        case pending = "pending_delete"
    }

    let id: String
    var status: Status
    let owner: String?
    /// The whole image while it can come back, else nothing.
    var image: JSON
    let deletedAt: Timestamp
}

extension DeletedImage: Resource {
    package static let routes: [Route] = [
        .post(
            "/images/{image_id}/actions/restore", "Restore an image whose deletion is delayed", of: Anything.from,
            allow: .rule("restore_image", ImageRules.admin), restore, status: 204)
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-21 image deleted
        CREATE TABLE image_deleted (
            id VARCHAR(36) PRIMARY KEY, status VARCHAR(30) NOT NULL, owner VARCHAR(255), image TEXT NOT NULL,
            deleted_at BIGINT NOT NULL);
        CREATE INDEX image_deleted_status ON image_deleted (status, deleted_at)
        """
    ]

    /// What upstream's operators do with its scrubber.
    static func restore(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = request["image_id"]
        let now = request.now
        try await request.database.transaction { transaction throws(Fault) in
            let gone = try transaction.first(DeletedImage.self, "id = \(id)")
            guard let gone else { throw .imageNotFound(id) }
            guard gone.status == .pending else {
                throw .conflict("Image \(id) is deleted and cannot be restored.")
            }
            var image: ImageRecord
            do { image = try JSON.decode(ImageRecord.self, from: gone.image) } catch {
                throw .internalError("the deleted image \(id) cannot be read: \(error)")
            }
            image.updatedAt = now
            try transaction.delete(DeletedImage.self, "id = \(id)")
            try transaction.insert(image, or: .conflict("Image ID \(id) already exists!"))
            try image.saveWords(transaction)
        }
        return .empty
    }
}

extension ImageRecord {
    /// Takes the image out of its table and remembers it; gives the bytes that are to go now.
    func bury(delayed: Bool, _ now: Timestamp, _ transaction: Transaction) throws(Fault) -> [ImageLocation] {
        // Without bytes there is nothing to bring back.
        let waits = delayed && !locations.isEmpty
        let kept: JSON
        do { kept = waits ? try JSON.encode(self) : .null } catch {
            throw .internalError("the image \(id) cannot be remembered: \(error)")
        }
        try transaction.insert(
            DeletedImage(
                id: id, status: waits ? .pending : .deleted, owner: owner, image: kept, deletedAt: now),
            or: .conflict("Image \(id) is deleted already."))
        return waits ? [] : locations
    }
}
