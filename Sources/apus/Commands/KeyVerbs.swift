// SPDX-License-Identifier: Apache-2.0
import Glibc
import Identity
import Kernel

/// The verbs of `apus identity` that make and rotate keys. A running cloud notices by itself within a second.
enum KeyVerbs {
    static let all: [IdentityCommand.Verb] = [
        .init(name: "fernet_setup", help: "keys of tokens and receipts, where there are none") { task throws(Fault) in
            try setUp(task, task.places.tokens(task.ids), "tokens")
            try setUp(task, task.places.receipts(task.ids), "receipts")
        },
        .init(name: "fernet_rotate", help: "a new key for tokens, and one for receipts") { task throws(Fault) in
            let keys = task.options.tokens.keys
            let (tokens, receipts) = (task.places.tokens(task.ids), task.places.receipts(task.ids))
            try rotate(task, tokens, keys.tokenKeysMax, "tokens")
            guard receipts.directory != tokens.directory else { return }
            try rotate(task, receipts, keys.receiptKeysMax, "receipts")
        },
        .init(name: "token_setup", help: "keys of tokens, where there are none") { task throws(Fault) in
            try setUp(task, task.places.tokens(task.ids), "tokens")
        },
        .init(name: "token_rotate", help: "a new key for tokens") { task throws(Fault) in
            try rotate(task, task.places.tokens(task.ids), task.options.tokens.keys.tokenKeysMax, "tokens")
        },
        .init(name: "receipt_setup", help: "keys of receipts, where there are none") { task throws(Fault) in
            try setUp(task, task.places.receipts(task.ids), "receipts")
        },
        .init(name: "receipt_rotate", help: "a new key for receipts") { task throws(Fault) in
            try rotate(task, task.places.receipts(task.ids), task.options.tokens.keys.receiptKeysMax, "receipts")
        },
        .init(name: "credential_setup", help: "keys of credentials, where there are none") { task throws(Fault) in
            try setUp(task, task.places.credentials(task.ids), "credentials")
        },
        .init(name: "credential_rotate", help: "a new key for credentials, once all are under the last") {
            task throws(Fault) in
            try await task.administration().requireMigratedCredentials()
            try rotate(task, task.places.credentials(task.ids), 3, "credentials")
        },
        .init(
            name: "create_jws_keypair", help: "private.pem and public.pem in the current directory",
            switches: ["force"]
        ) { task throws(Fault) in
            let pair = try JWSKeys.makePair(task.options.tokens.keys.algorithm)
            let files = [("private.pem", pair.privateKey, 0o600), ("public.pem", pair.publicKey, 0o644)]
            let here = FileSystem.absolute(".")
            for (name, _, _) in files where FileSystem.exists("\(here)/\(name)") && task.flags["force"] == nil {
                throw .conflict("\(here)/\(name) already exists; --force replaces it")
            }
            for (name, text, mode) in files {
                try FileSystem.write(text, to: "\(here)/\(name)", mode: UInt32(mode))
                try give(task, "\(here)/\(name)")
            }
            Terminal.say("wrote \(here)/private.pem and \(here)/public.pem")
        },
    ]

    private static func setUp(_ task: IdentityTask, _ repository: FernetRepository, _ kind: String) throws(Fault) {
        let isNew = try repository.create()
        try giveAll(task, repository.directory)
        Terminal.say("keys of \(kind): \(repository.directory)\(isNew ? "" : " (were there)")")
    }

    private static func rotate(
        _ task: IdentityTask, _ repository: FernetRepository, _ count: Int, _ kind: String
    ) throws(Fault) {
        guard FileSystem.isDirectory(repository.directory) else {
            throw .notFound("\(repository.directory) does not exist: there are no keys of \(kind) to rotate")
        }
        try repository.rotate(maxActive: count)
        try giveAll(task, repository.directory)
        Terminal.say("keys of \(kind) rotated: \(repository.directory) holds \(try repository.count())")
    }

    // MARK: Whose files they are

    private static func giveAll(_ task: IdentityTask, _ directory: String) throws(Fault) {
        try give(task, directory)
        for name in FileSystem.list(directory) where !FileSystem.isDirectory("\(directory)/\(name)") {
            try give(task, "\(directory)/\(name)")
        }
    }

    /// To whom the flags say; without them files stay whose who made them.
    private static func give(_ task: IdentityTask, _ path: String) throws(Fault) {
        var (user, group) = (uid_t.max, gid_t.max)
        if let name = task.flags["keystone-user"] {
            guard let entry = getpwnam(name) else {
                throw .badRequest("Unknown user '\(name)' in --keystone-user")
            }
            user = entry.pointee.pw_uid
        }
        if let name = task.flags["keystone-group"] {
            guard let entry = getgrnam(name) else {
                throw .badRequest("Unknown group '\(name)' in --keystone-group")
            }
            group = entry.pointee.gr_gid
        }
        guard user != uid_t.max || group != gid_t.max else { return }
        guard chown(path, user, group) == 0 else { throw SystemError.fault("Cannot give \(path) away") }
    }
}
