// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A secret in the database, sealed with a key that is not in it.
struct SealedSecret: Record {
    static let table = "compute_secrets"

    let id: String
    /// Hexadecimal.
    let sealed: String
    let createdAt: Timestamp
    /// Which key it is sealed with; empty in rows from before keys had names.
    let keyID: String

    static let migration: Migration = """
        2026-11-30 compute secrets name their key
        ALTER TABLE compute_secrets ADD COLUMN key_id VARCHAR(16) NOT NULL DEFAULT ''
        """

    static let index: Migration = """
        2026-11-30 compute secrets are counted by key
        CREATE INDEX compute_secrets_key ON compute_secrets (key_id)
        """
}

/// The key manager of a cloud that has no other: secrets in the cloud's own database, each sealed with a key that every
/// machine of the cloud has in a file. Keys rotate: the newest seals, all of them open, and what older ones have sealed
/// is sealed anew bit by bit.
package struct SealedSecrets: SecretStore {
    let database: Database
    let keys: any SealingKeys
    private let clock: any WallClock
    private let chance: any Identifiers

    package init(_ database: Database, keys: any SealingKeys, clock: any WallClock, chance: any Identifiers) {
        self.database = database
        self.keys = keys
        self.clock = clock
        self.chance = chance
    }

    package func keep(_ secret: [UInt8], as id: String) async throws(Fault) {
        let (keys, chance, now) = (keys, chance, clock.now())
        try await database.transaction { transaction throws(Fault) in
            guard try transaction.first(SealedSecret.self, "id = \(id)") == nil else { return }
            // Read here: whoever drops keys asks in a transaction, which comes before this one or sees its row.
            let key = try keys.all()[0]
            let sealed = Hex.encode(try key.seal(secret, for: id, chance))
            try transaction.insert(SealedSecret(id: id, sealed: sealed, createdAt: now, keyID: key.id))
        }
    }

    package func secret(_ id: String) async throws(Fault) -> [UInt8] {
        guard let row = try await database.first(SealedSecret.self, "id = \(id)") else { throw .secretNotFound(id) }
        guard let secret = row.open(try keys.all()) else {
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

// MARK: - Rotation

extension SealedSecrets {
    /// How many secrets each key has sealed, by the key's name.
    package func census() async throws(Fault) -> [String: Int] {
        let rows = try await database.rows(
            "SELECT key_id, COUNT(*) AS number FROM compute_secrets GROUP BY key_id")
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.text("key_id") ?? "", $0.int("number") ?? 0) })
    }

    /// Seals with the newest key what was sealed with another; what no key opens stays as it is.
    /// - Parameter told: how many of all were looked at.
    /// - Returns: how many were sealed anew, and how many could not be.
    package func sealAnew(
        _ told: @Sendable (_ done: Int, _ all: Int) async -> Void = { _, _ in }
    ) async throws(Fault) -> (done: Int, lost: Int) {
        var done = 0
        while true {
            let (some, lost) = try await sealAnew(with: try keys.all()[0], told)
            done += some
            if let lost { return (done, lost) }
        }
    }

    /// - Returns: no number of those that could not be sealed when another key is the newest meanwhile.
    private func sealAnew(
        with newest: SealingKey, _ told: @Sendable (_ done: Int, _ all: Int) async -> Void
    ) async throws(Fault) -> (done: Int, lost: Int?) {
        let all = try await database.count(SealedSecret.self, "key_id <> \(newest.id)")
        var (last, done, lost) = ("", 0, 0)
        while true {
            guard let portion = try await portion(after: last, newest) else { return (done, nil) }
            (done, lost) = (done + portion.opened, lost + portion.lost)
            guard let next = portion.last else { return (done, lost) }
            last = next
            await told(done + lost, all)
        }
    }

    /// - Returns: nil, and nothing is changed, when another key is the newest.
    private func portion(
        after last: String, _ newest: SealingKey
    ) async throws(Fault) -> (last: String?, opened: Int, lost: Int)? {
        let (keys, chance) = (keys, chance)
        return try await database.transaction { transaction throws(Fault) in
            // Read here, as in `keep`: a key that was dropped before must seal nothing any more.
            let known = try keys.all()
            guard known[0].id == newest.id else { return nil }
            let rows = try transaction.all(
                SealedSecret.self, "key_id <> \(newest.id) AND id > \(last) ORDER BY id LIMIT 100")
            var opened = 0
            for row in rows {
                guard let secret = row.open(known) else { continue }
                let sealed = Hex.encode(try newest.seal(secret, for: row.id, chance))
                opened += try transaction.update(
                    SealedSecret.self, set: "sealed = \(sealed), key_id = \(newest.id)", where: "id = \(row.id)")
            }
            return (last: rows.last?.id, opened: opened, lost: rows.count - opened)
        }
    }

    /// How many secrets nothing but a given key opens.
    static func needing(_ key: SealingKey, _ transaction: Transaction) throws(Fault) -> Int {
        try transaction.all(SealedSecret.self, "key_id = \(key.id) OR key_id = ''").count { $0.open([key]) != nil }
    }

    /// Drops all keys of a file but the newest.
    /// - Returns: how many went. 409 when a secret needs one of them.
    package func drop(from file: SealingKeyFile) async throws(Fault) -> Int {
        try await database.transaction { transaction throws(Fault) in
            try file.drop { key throws(Fault) in
                let count = try SealedSecrets.needing(key, transaction)
                guard count == 0 else {
                    throw .conflict(
                        "\(count) secrets are sealed with the key \(key.id): let the cloud seal them anew (a running "
                            + "one does so by itself), or run apus secrets reseal, and then drop it.")
                }
                return false
            }
        }
    }
}

extension SealedSecret {
    func open(_ keys: [SealingKey]) -> [UInt8]? {
        guard let box = Hex.decode(sealed) else { return nil }
        for key in keys where keyID.isEmpty || keyID == key.id {
            if let secret = key.open(box, from: id) { return secret }
        }
        return nil
    }
}
