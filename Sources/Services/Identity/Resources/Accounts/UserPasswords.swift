// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A user's own change of password. No token is needed: whoever has forgotten to log in in time may still do it.
enum UserPasswords: Resource {
    static let routes: [Route] = [
        .open("POST", "/users/{user_id}/password", "Change own password", status: 204, change)
    ]

    static func change(_ request: Request) async throws(Fault) -> Reply {
        var body = try request.body("user")
        let original = try body.need("original_password", .text)
        let password = try body.need("password", .text(1...65_535))
        let id = request["user_id"]
        let (identity, now) = (request.identity, request.now)
        let compliance = identity.options.compliance
        let user = try await identity.authenticate(.id(id), password: original, request, judgesExpiry: false)
        try await identity.people.requireWritable(user)
        try identity.passwords.require(password)
        try user.requireChangeable(at: now, compliance)
        try await identity.requireUnused(password, by: user)
        let hash = try await identity.passwords.hash(password)
        try await request.change { transaction throws(Fault) in
            // The hash that was verified must still be the one that is replaced.
            guard let current = try transaction.first(User.self, "id = \(id)"),
                current.passwordHash == user.passwordHash
            else { throw .unauthorized() }
            var changed = current
            changed.setPassword(hash, isOwn: true, at: now, compliance)
            try transaction.save(changed, was: current, at: now, compliance)
        }
        return .empty
    }
}
