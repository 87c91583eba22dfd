// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel

/// `apus secrets`: the keys that a cloud's secrets are sealed with, whether it runs or not; one that runs notices.
enum SecretsCommand {
    private static let usage = """
        apus secrets: say
          apus secrets status --data DIR   the keys, newest first, and how many secrets each has sealed
          apus secrets rotate --data DIR   a new key; older ones still open what they have sealed
          apus secrets reseal --data DIR   everything under the newest key, now; a cloud that runs does so by itself
          apus secrets drop --data DIR     only the newest key stays; refused while a secret needs another
        """

    static func run(_ words: [String]) async throws(Fault) {
        let verbs = ["status": status, "rotate": rotate, "reseal": reseal, "drop": drop]
        guard let verb = words.first, let deed = verbs[verb] else { throw .badRequest(usage) }
        let settings = try UpSettings(try Flags(Array(words.dropFirst()), known: ["data", "config"]))
        guard FileSystem.exists(settings.databasePath) else {
            throw .notFound("there is no cloud in \(settings.data): \(settings.databasePath) is missing")
        }
        let (clock, ids) = (MachineClock(), RandomIdentifiers())
        let database = try Database.sqlite(path: settings.databasePath, clock: clock)
        try await database.migrate(Cloud.migrations)
        let file = try SealingKeyFile(settings.data + "/keys/secrets", chance: ids)
        try await deed(file, SealedSecrets(database, keys: file, clock: clock, chance: ids))
        await database.close()
    }

    private typealias Deed = @Sendable (SealingKeyFile, SealedSecrets) async throws(Fault) -> Void

    private static let status: Deed = { file, secrets async throws(Fault) in
        var census = try await secrets.census()
        for (at, key) in try file.all().enumerated() {
            let count = census.removeValue(forKey: key.id) ?? 0
            Terminal.say("\(key.id)  \(count) secrets\(at == 0 ? "  (seals)" : "")")
        }
        for (key, count) in census.sorted(by: { $0.key < $1.key }) {
            Terminal.say(
                key.isEmpty ? "\(count) secrets from before keys had names" : "\(key)  \(count) secrets  (LOST)")
        }
    }

    private static let rotate: Deed = { file, _ async throws(Fault) in
        try file.rotate()
        let keys = try file.all()
        Terminal.say("\(file.path) holds \(keys.count) keys; \(keys[0].id) seals from now on")
    }

    private static let reseal: Deed = { _, secrets async throws(Fault) in
        let (done, lost) = try await secrets.sealAnew { done, all in Terminal.say("\(done) of \(all)") }
        Terminal.say(
            "\(done) secrets are sealed with the newest key\(lost == 0 ? "" : "; no key opens \(lost) others")")
        if lost > 0 { Terminal.exit(1) }
    }

    private static let drop: Deed = { file, secrets async throws(Fault) in
        let (dropped, left) = (try await secrets.drop(from: file), try file.all())
        Terminal.say("\(dropped) keys dropped; \(left[0].id) seals")
    }
}
