// SPDX-License-Identifier: Apache-2.0
package import Clients
package import Kernel

/// The key manager as hosts ask it: what disks of ours are encrypted with is kept by another store; what volumes are
/// encrypted with is in the key manager that Block storage uses, and is asked for in the name of the server's owner,
/// whose it is.
package struct VolumeKeys: SecretStore {
    /// What upstream calls the format that QEMU reads by itself.
    static let providers: Set<String> = [
        "luks", "LuksEncryptor", "nova.volume.encryptors.luks.LuksEncryptor",
        "os_brick.encryptors.luks.LuksEncryptor",
    ]

    private let own: any SecretStore
    private let database: Database
    private let ids: any Identifiers
    private let transport: any Transport
    private let options: VolumeKeyOptions

    package init(
        own: any SecretStore, _ database: Database, ids: any Identifiers, over transport: any Transport,
        options: VolumeKeyOptions
    ) {
        self.own = own
        self.database = database
        self.ids = ids
        self.transport = transport
        self.options = options
    }

    package func keep(_ secret: [UInt8], as id: String) async throws(Fault) { try await own.keep(secret, as: id) }
    package func forget(_ id: String) async throws(Fault) { try await own.forget(id) }

    /// Of a volume by its id: the passphrase is the key written in hexadecimal digits, as upstream has it.
    package func secret(_ id: String) async throws(Fault) -> [UInt8] {
        let devices = try await database.all(BlockDevice.self, "volume_id = \(id) AND key_id IS NOT NULL")
        guard let device = devices.first, let key = device.keyID else { return try await own.secret(id) }
        return Array(Hex.encode(try await self.key(key, for: device.serverID)).utf8)
    }

    private func key(_ id: String, for server: String) async throws(Fault) -> [UInt8] {
        if let fixed = options.fixedKey {
            // Upstream's stand-in for a key manager: the same key for everything, under this id.
            guard id == "00000000-0000-0000-0000-000000000000" else { throw .secretNotFound(id) }
            return fixed
        }
        let owner = try await database.one(Server.self, "id = \(server)", or: .serverNotFound(server))
        let caller = Caller(userID: owner.userID, projectID: owner.projectID)
        return try await SecretsClient(over: transport, as: caller).payload(of: id, requestID: "req-" + ids.uuid())
    }
}
