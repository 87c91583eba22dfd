// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A secret in the database, sealed with a key that is not in it.
struct SealedSecret: Record {
    static let table = "compute_secrets"

    let id: String
    /// Hexadecimal.
    let sealed: String
    let createdAt: Timestamp
}

/// The key manager of a cloud that has no other: secrets in the cloud's own database, each sealed with a key that every
/// machine of the cloud has in a file.
package struct SealedSecrets: SecretStore {
    private let database: Database
    private let key: SealingKey
    private let clock: any WallClock
    private let chance: any Identifiers

    package init(_ database: Database, key: SealingKey, clock: any WallClock, chance: any Identifiers) {
        self.database = database
        self.key = key
        self.clock = clock
        self.chance = chance
    }

    package func keep(_ secret: [UInt8], as id: String) async throws(Fault) {
        let sealed = Hex.encode(try key.seal(secret, for: id, chance))
        let row = SealedSecret(id: id, sealed: sealed, createdAt: clock.now())
        try await database.transaction { transaction throws(Fault) in
            guard try transaction.first(SealedSecret.self, "id = \(id)") == nil else { return }
            try transaction.insert(row)
        }
    }

    package func secret(_ id: String) async throws(Fault) -> [UInt8] {
        guard let row = try await database.first(SealedSecret.self, "id = \(id)") else { throw .secretNotFound(id) }
        guard let box = Hex.decode(row.sealed), let secret = key.open(box, from: id) else {
            throw .internalError("The encryption secret \(id) was sealed with another key than this machine's.")
        }
        return secret
    }

    package func forget(_ id: String) async throws(Fault) {
        _ = try await database.transaction { transaction throws(Fault) in
            try transaction.delete(SealedSecret.self, "id = \(id)")
        }
    }
}
