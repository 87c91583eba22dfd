// SPDX-License-Identifier: Apache-2.0
package import Compute
package import Kernel

/// Passphrases of encrypted disks. They are handed to libvirt when a guest needs them, in memory and unreadable through
/// it; a daemon that was restarted has forgotten them, and is told again.
extension LibvirtHypervisor {
    /// The passphrases of a guest's disks, and of the image they are made from.
    func passphrases(_ keys: [String: String], image: ImageSource? = nil) async throws(Fault) -> DiskPassphrases {
        var found = DiskPassphrases()
        for (name, id) in keys { found.disks[name] = try await passphrase(id) }
        if let key = image?.key { found.image = try await passphrase(key) }
        return found
    }

    func passphrase(_ id: String) async throws(Fault) -> EncryptedDisk.Passphrase {
        guard let secrets else { throw .conflict("This host has no key manager and encrypts no disks.") }
        return try await secrets.secret(id)
    }

    /// Gives libvirt passphrases by their ids.
    func unlock(_ ids: some Collection<String>) async throws(Fault) {
        for id in Set(ids).sorted() {
            try await keep(.passphrase(id), try await passphrase(id))
        }
    }

    /// What a domain's disks are encrypted with; nothing of a plain one or one that is not there.
    func diskKeys(of server: String) async throws(Fault) -> [String: String] {
        try await session.call { connection throws(Fault) in
            guard let domain = try Domain(server, on: connection) else { return [:] }
            return try domain.xml(running: false).diskKeys
        }
    }

    /// The encrypted volumes of a domain; none of one that is not there.
    func encryptedVolumes(of server: String) async throws(Fault) -> [String] {
        try await session.call { connection throws(Fault) in
            guard let domain = try Domain(server, on: connection) else { return [] }
            return try domain.xml(running: false).encryptedVolumes
        }
    }

    /// Has libvirt forget passphrases.
    func lock(_ ids: some Collection<String>) async throws(Fault) {
        for id in Set(ids) { try await forget(.passphrase(id)) }
    }
}

extension GuestSecret {
    /// The passphrase of a disk.
    static func passphrase(_ id: String) -> GuestSecret { GuestSecret(use: .volume, name: "apus-disk-" + id, id: id) }
}

extension LibvirtHypervisor: EncryptedDisks {
    package func takeSnapshot(
        _ name: String, of server: String, freeze: GuestFreeze, key: String
    ) async throws(Fault) {
        try await takeSnapshot(name, of: server, freeze: freeze, as: key)
    }
}
