// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A server's root disk on its way into an image: the deeds that snapshots, backups and shelving share.
struct DiskCopy: Sendable {
    let server: String
    let image: String
    /// What the server is marked with while the disk is copied, and while the copy is uploaded.
    var copying = TaskState.imagePendingUpload
    var uploading = TaskState.imageUploading

    /// Puts a copy aside on the server's host; it bears the image's id.
    func take(_ site: ComputeSite) async throws(Fault) {
        await site.context.report(0.1, "copying the disk")
        try await site.mark(server, copying)
        let row = try await site.server(server)
        let freeze = GuestFreeze(properties: row.imageProperties)
        guard let key = try await site.room.imageKey(for: image, of: row) else {
            let host = try site.ability((any GuestSnapshots).self, of: row, to: "snapshot")
            return try await host.takeSnapshot(image, of: server, freeze: freeze)
        }
        // What the image is must stand in it before it is whole.
        let about = [
            "hw_ephemeral_encryption": "True", "hw_ephemeral_encryption_format": "luks",
            DiskEncryption.secretProperty: key,
        ]
        try await site.room.images.set(about, of: image, requestID: site.requestID)
        let host = try site.ability((any EncryptedDisks).self, of: row, to: "snapshot")
        try await host.takeSnapshot(image, of: server, freeze: freeze, key: key)
    }

    /// Streams the copy into the image, unless a run before this one has.
    func upload(_ site: ComputeSite) async throws(Fault) {
        await site.context.report(0.5, "uploading the copy")
        try await site.mark(server, uploading)
        guard let found = try await site.room.images.find(image, requestID: site.requestID) else {
            throw .notFound("Image \(image) could not be found.")
        }
        guard found.status != "active" else { return }
        let row = try await site.server(server)
        let copy = try await site.ability((any GuestSnapshots).self, of: row, to: "snapshot").readSnapshot(image)
        try await site.room.images.upload(image, size: copy.size, requestID: site.requestID, copy.read)
    }

    /// Removes the copy from the host.
    func drop(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        guard row.host != nil else { return }
        try await site.ability((any GuestSnapshots).self, of: row, to: "snapshot").dropSnapshot(image)
    }

    /// Deletes the image unless it is whole: nobody shall boot from half a disk.
    func forget(_ site: ComputeSite) async throws(Fault) {
        guard try await site.room.images.find(image, requestID: site.requestID)?.status != "active" else { return }
        try await discard(site)
    }

    /// Deletes the image, whole or not.
    func discard(_ site: ComputeSite) async throws(Fault) {
        try await site.room.deleteImage(image, requestID: site.requestID)
    }
}
