// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Which secret a server's disk is encrypted with; the secret itself is in the key manager.
struct DiskKey: Record {
    static let table = "compute_disk_keys"

    let serverID: String
    /// `root`, `ephemeral0`, `swap`, `rescue`; and `tpm`, which is the trusted module's.
    let disk: String
    let secretID: String
    let createdAt: Timestamp
}

/// Which secret an image of a server's encrypted disk is encrypted with, and whose it is.
struct ImageKey: Record {
    static let table = "compute_image_keys"

    let imageID: String
    let secretID: String
    let projectID: String
    let createdAt: Timestamp
}

extension DiskKey: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-30 compute secrets
        CREATE TABLE compute_secrets (
            id VARCHAR(36) NOT NULL PRIMARY KEY, sealed TEXT NOT NULL, created_at BIGINT NOT NULL);
        CREATE TABLE compute_disk_keys (
            server_id VARCHAR(36) NOT NULL, disk VARCHAR(16) NOT NULL, secret_id VARCHAR(36) NOT NULL,
            created_at BIGINT NOT NULL, PRIMARY KEY (server_id, disk));
        CREATE TABLE compute_image_keys (
            image_id VARCHAR(36) NOT NULL PRIMARY KEY, secret_id VARCHAR(36) NOT NULL,
            project_id VARCHAR(64) NOT NULL, created_at BIGINT NOT NULL);
        CREATE INDEX compute_image_keys_secret ON compute_image_keys (secret_id)
        """, SealedSecret.migration, SealedSecret.index,
    ]
}

/// How a guest's local disks are encrypted (nova/virt/hardware.py, `get_ephemeral_encryption_constraint`).
enum DiskEncryption {
    static let formats = ["plain", "luks", "luksv2"]
    /// What an image of an encrypted disk says of it.
    static let secretProperty = "hw_ephemeral_encryption_secret_uuid"

    /// Whether flavor or image want it.
    static func isWanted(_ wishes: GuestWishes) throws(Fault) -> Bool {
        let (flavor, image) = wishes.truths("ephemeral_encryption")
        if let flavor, let image, flavor != image {
            throw .badRequest(
                "Flavor \(wishes.flavorName) has hw:ephemeral_encryption extra spec explicitly set to "
                    + "\(wishes.spec("hw:ephemeral_encryption") ?? ""), conflicting with image \(wishes.imageName) "
                    + "which has hw_eph_encryption property explicitly set to \(image ? "True" : "False")")
        }
        return flavor ?? image ?? false
    }

    /// The format they want, if they name one.
    static func format(_ wishes: GuestWishes) throws(Fault) -> String? {
        guard let format = try wishes.agreed("ephemeral_encryption_format") else { return nil }
        guard formats.contains(format) else {
            throw .badRequest(
                "Invalid ephemeral encryption format \(format). Allowed values: \(formats.joined(separator: ", "))")
        }
        return format
    }

    /// What the API refuses; a format counts only where there is encryption.
    static func check(_ wishes: GuestWishes) throws(Fault) { if try isWanted(wishes) { _ = try format(wishes) } }

    /// A server's disks are not encrypted, or decrypted, on their way to another size.
    static func checkChange(of server: Server, to flavor: FlavorSnapshot) throws(Fault) {
        var wishes = GuestWishes(server)
        let isEncrypted = try isWanted(wishes)
        (wishes.flavorName, wishes.extraSpecs) = (flavor.name, flavor.extraSpecs)
        guard try isWanted(wishes) != isEncrypted else { return }
        throw .badRequest(
            "Unable to change the encryption of local disks: hw:ephemeral_encryption differs between the flavors.")
    }
}

extension GuestWishes {
    init(_ server: Server) {
        self.init(
            vcpus: server.flavor.vcpus, memoryMiB: server.flavor.memoryMiB, flavorName: server.flavor.name,
            extraSpecs: server.flavor.extraSpecs, properties: server.imageProperties)
    }
}

// MARK: - Servers' disks

extension ComputeService {
    /// Notes in a guest's description which secrets its disks are encrypted with, and makes those that are missing.
    func addKeys(to guest: inout GuestSpec) async throws(Fault) {
        guard try DiskEncryption.isWanted(GuestWishes(guest)) else { return }
        var disks = ["rescue"]
        if !guest.isVolumeBacked { disks.append("root") }
        let count = guest.ephemeralGiB == 0 ? 0 : max(1, guest.ephemeralDisks.count)
        disks += (0..<count).map { "ephemeral\($0)" }
        if guest.swapMiB > 0 { disks.append("swap") }
        let server = guest.server
        let known = try await database.all(DiskKey.self, "server_id = \(server)")
        for disk in disks {
            let found = known.first { $0.disk == disk }?.secretID
            guest.diskKeys[disk] = if let found { found } else { try await newKey(for: disk, of: server) }
        }
    }

    /// The secret is kept before anything is encrypted with it.
    func newKey(for disk: String, of server: String) async throws(Fault) -> String {
        let (id, now) = (try await newSecret(), clock.now())
        let winner = try await database.transaction { transaction throws(Fault) in
            // Two who need it at once need the same.
            if let other = try transaction.first(DiskKey.self, "server_id = \(server) AND disk = \(disk)") {
                return other.secretID
            }
            try transaction.insert(DiskKey(serverID: server, disk: disk, secretID: id, createdAt: now))
            return id
        }
        if winner != id { try await secrets.forget(id) }
        return winner
    }

    /// A passphrase of 256 bits of chance, as text: libvirt and QEMU take it as it is.
    private func newSecret() async throws(Fault) -> String {
        let id = ids.uuid()
        try await secrets.keep(Array(Base64.encode(ids.bytes(32)).utf8), as: id)
        return id
    }

    /// Destroys the secrets of a server that is gone: what is left of its disks anywhere is noise from then on.
    func forgetKeys(of server: String) async throws(Fault) {
        for key in try await database.all(DiskKey.self, "server_id = \(server)") { try await forget(key) }
    }

    func forget(_ key: DiskKey) async throws(Fault) {
        try await secrets.forget(key.secretID)
        try await database.transaction { transaction throws(Fault) in
            _ = try transaction.delete(DiskKey.self, "server_id = \(key.serverID) AND disk = \(key.disk)")
        }
    }
}

// MARK: - Images of encrypted disks

extension ComputeService {
    /// The secret that an image of a server's disk is encrypted with: its own, for the image may outlive the server.
    /// Nil when the server's disks are plain.
    func imageKey(for image: String, of server: Server) async throws(Fault) -> String? {
        guard try DiskEncryption.isWanted(GuestWishes(server)), !server.isVolumeBacked else { return nil }
        if let known = try await database.first(ImageKey.self, "image_id = \(image)") { return known.secretID }
        let (id, now, project) = (try await newSecret(), clock.now(), server.projectID)
        let winner = try await database.transaction { transaction throws(Fault) in
            if let other = try transaction.first(ImageKey.self, "image_id = \(image)") { return other.secretID }
            try transaction.insert(ImageKey(imageID: image, secretID: id, projectID: project, createdAt: now))
            return id
        }
        if winner != id { try await secrets.forget(id) }
        return winner
    }

    /// The secret that an image says it is encrypted with; nil of a plain one. A project reads with its own only:
    /// anybody may write anything into an image's properties.
    func secret(of image: ImageClient.Image, for project: String) async throws(Fault) -> String? {
        guard let id = image.guestProperties[DiskEncryption.secretProperty], !id.isEmpty else { return nil }
        guard try await database.first(ImageKey.self, "secret_id = \(id) AND project_id = \(project)") != nil else {
            throw .secretNotFound(id)
        }
        return id
    }

    /// Looks whether some of the images are still there: nobody tells when users delete theirs. A few at a time, from a
    /// place that chance picks, so that each has its turn.
    func forgetKeysOfDeletedImages() async throws(Fault) {
        let (from, requestID) = (ids.uuid(), "req-" + ids.uuid())
        var some = try await database.all(ImageKey.self, "image_id >= \(from) ORDER BY image_id LIMIT 20")
        if some.count < 20 {
            some += try await database.all(
                ImageKey.self, "image_id < \(from) ORDER BY image_id LIMIT \(20 - some.count)")
        }
        for key in some where try await images.find(key.imageID, requestID: requestID) == nil {
            try await forgetKey(ofImage: key.imageID)
        }
    }

    /// Deletes an image of a server's disk, and what it was encrypted with. One that somebody protects or uses is
    /// theirs from now on: the server goes its way without, as upstream does it.
    func deleteImage(_ image: String, requestID: String) async throws(Fault) {
        do throws(Fault) { try await images.delete(image, requestID: requestID) } catch {
            guard error.status == 403 || error.status == 409 else { throw error }
            return log.warning(
                "an image that has served its purpose stays", ["image": image, "error": error.message])
        }
        try await forgetKey(ofImage: image)
    }

    /// Destroys the secret of an image that is gone.
    private func forgetKey(ofImage image: String) async throws(Fault) {
        guard let key = try await database.first(ImageKey.self, "image_id = \(image)") else { return }
        try await secrets.forget(key.secretID)
        try await database.transaction { transaction throws(Fault) in
            _ = try transaction.delete(ImageKey.self, "image_id = \(image)")
        }
    }
}
