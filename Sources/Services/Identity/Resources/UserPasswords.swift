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
        let user = try await request.identity.authenticate(.id(id), password: original, request, judgesExpiry: false)
        try await request.people.requireWritable(user)
        guard user.options["lock_password"]?.bool != true else {
            throw .badRequest("Password change is not allowed: the password of this user is locked.")
        }
        let hash = try await request.identity.passwords.hash(password)
        let now = request.now
        try await request.change { transaction throws(Fault) in
            // The hash that was verified must still be the one that is replaced.
            guard let current = try transaction.first(User.self, "id = \(id)"),
                current.passwordHash == user.passwordHash
            else { throw .unauthorized() }
            var changed = current
            changed.passwordHash = hash
            changed.passwordSetAt = now
            changed.passwordExpiresAt = nil
            try transaction.save(changed, was: current, at: now)
        }
        return .empty
    }
}
