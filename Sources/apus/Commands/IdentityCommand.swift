// SPDX-License-Identifier: Apache-2.0
import Glibc
import Identity
import Kernel

/// `apus identity`: what `keystone-manage` does, with the same words, on a data directory. Verbs are spelled with
/// underscores or dashes. It works whether the cloud runs or not; one that runs is told to look again.
enum IdentityCommand {
    /// One verb: its flags beside those that all have, those of them that take no value, and what it does.
    struct Verb {
        let name: String
        let help: String
        var flags: [String] = []
        var switches: [String] = []
        let run: @Sendable (IdentityTask) async throws(Fault) -> Void
    }

    /// Where the cloud is, and whose files its keys are.
    static let flags = ["data", "config", "keystone-user", "keystone-group"]

    static let verbs: [Verb] =
        KeyVerbs.all + [
            Verb(
                name: "bootstrap", help: "an administrator with a known password, and what must be there",
                flags: [
                    "bootstrap-username", "bootstrap-password", "bootstrap-project-name", "bootstrap-role-name",
                    "bootstrap-service-name", "bootstrap-admin-url", "bootstrap-public-url", "bootstrap-internal-url",
                    "bootstrap-region-id",
                ], switches: ["immutable-roles", "no-immutable-roles"]
            ) { task throws(Fault) in try await BootstrapVerb(task).run() },
            Verb(name: "credential_migrate", help: "all credentials under the newest key") { task throws(Fault) in
                let count = try await task.administration().migrateCredentials()
                Terminal.say("\(count) credentials encrypted with the newest key")
            },
            Verb(
                name: "trust_flush", help: "forget trusts that have ended or were deleted",
                flags: ["project-id", "trustor-user-id", "trustee-user-id", "date"]
            ) { task throws(Fault) in
                let count = try await task.administration().flushTrusts(
                    projectID: task.flags["project-id"], trustorID: task.flags["trustor-user-id"],
                    trusteeID: task.flags["trustee-user-id"], before: try task.date("date"))
                Terminal.say("\(count) trusts forgotten")
            },
            Verb(name: "doctor", help: "what in the configuration and the keys asks for trouble") {
                task throws(Fault) in
                let symptoms = task.administration(on: nil).symptoms(task.places, task.ids)
                for symptom in symptoms { Terminal.say("WARNING: \(symptom)") }
                guard symptoms.isEmpty else { Terminal.exit(1) }
                Terminal.say("no symptoms")
            },
            Verb(
                name: "db_sync", help: "the database as this program needs it",
                switches: ["expand", "migrate", "contract", "check"]
            ) { task throws(Fault) in try await task.syncDatabase() },
            Verb(name: "db_version", help: "the last change of the database's form") { task throws(Fault) in
                Terminal.say(try await task.applied().last ?? "none")
            },
        ]

    /// Verbs that read all their words themselves.
    static let others: [(name: String, help: String, run: @Sendable ([String]) async throws(Fault) -> Void)] = [
        ("mapping_populate", "ids for a directory's users and groups", MappingCommand.populate),
        ("mapping_purge", "forgets such ids", MappingCommand.purge),
        (
            "mapping_engine", "what a federation mapping makes of an assertion",
            { words throws(Fault) in
                try MappingEngineCommand.run(try Flags(words, known: MappingEngineCommand.flags))
            }
        ),
    ]

    static func run(_ words: [String]) async throws(Fault) {
        let asked = (words.first ?? "").replacing("-", with: "_")
        if let other = others.first(where: { $0.name == asked }) {
            return try await other.run(Array(words.dropFirst()))
        }
        guard let verb = verbs.first(where: { $0.name == asked }) else {
            let all = verbs.map { ($0.name, $0.help) } + others.map { ($0.name, $0.help) }
            let list = all.map { "  \($0.0.padded(22)) \($0.1)" }.joined(separator: "\n")
            throw .badRequest("apus identity VERB [--data DIR] [--config FILE]; verbs are\n\(list)")
        }
        let flags = try Flags(
            Array(words.dropFirst()), known: IdentityCommand.flags + verb.flags, switches: verb.switches)
        try await verb.run(try IdentityTask(flags))
    }
}
