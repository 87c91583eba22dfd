// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// EC2 keys: credentials of the type `ec2` in the shape that the older extension gives them.
enum EC2Credentials: Resource {
    static let routes: [Route] = [
        .get(
            path, "List EC2 credentials", of: User.found,
            allow: .rule(
                "ec2_list_credentials", "(rule:admin_required) or (role:reader and system_scope:all) or rule:owner",
                scopes: [.system, .project]), index),
        .post(
            path, "Create EC2 credential", of: owner,
            allow: .rule("ec2_create_credential", changers, scopes: [.system, .project]), create),
        .get(
            path + "/{credential_id}", "Show EC2 credential", of: found,
            allow: .rule(
                "ec2_get_credential",
                "(rule:admin_required) or (role:reader and system_scope:all) or "
                    + "user_id:%(target.credential.user_id)s", scopes: [.system, .project]), show),
        .delete(
            path + "/{credential_id}", "Delete EC2 credential", of: found,
            allow: .rule("ec2_delete_credential", changers, scopes: [.system, .project]), delete),
    ]

    private static let path = "/users/{user_id}/credentials/OS-EC2"
    private static let changers =
        "(rule:admin_required) or (role:member and user_id:%(target.credential.user_id)s)"

    /// The user that keys are made for.
    static func owner(_ request: Request) async throws(Fault) -> Found<User> {
        let id = request["user_id"]
        let user = try await request.people.user(id)
        return Found(user, or: .notFound("user", id), ["target.credential.user_id": .string(id)])
    }

    /// A key by its access part, of the user in the path.
    static func found(_ request: Request) async throws(Fault) -> Found<Credential> {
        let (access, userID) = (request["credential_id"], request["user_id"])
        let credential = try await request.database.first(
            Credential.self, "id = \(Digest.hex(.sha256, access)) AND user_id = \(userID) AND type = 'ec2'")
        if let credential { try credential.requireReach(of: request.caller) }
        return Found(
            credential, or: .notFound("credential", access), ["target.credential.user_id": .string(userID)])
    }

    static func index(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        let user = try found.get()
        let keys = request.identity.credentialKeys
        let all = try await request.database.all(
            Credential.self, "user_id = \(user.id) AND type = 'ec2' ORDER BY id")
        let isDelegated = request.caller.trustID != nil || request.caller.applicationCredentialID != nil
        let seen = all.filter { !isDelegated || $0.projectID == request.caller.projectID }
        return .list(
            "credentials", seen.map { credential in { write(credential, &$0, keys) } }, page: try request.page())
    }

    static func create(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        try request.requireUnrestrictedCredential()
        let user = try found.get()
        var body = try request.body()
        let projectID = try body.need("tenant_id", .id)
        guard try await request.database.count(Project.self, "id = \(projectID)") > 0 else {
            throw .notFound("project", projectID)
        }
        let access = request.ids.hex()
        let blob: JSON = [
            "access": .string(access), "secret": .string(request.ids.hex()),
            "trust_id": .attribute(request.caller.trustID),
        ]
        let keys = request.identity.credentialKeys
        let credential = Credential(
            id: Digest.hex(.sha256, access), userID: user.id, projectID: projectID, type: "ec2",
            encryptedBlob: keys.encrypt(blob.bytes(), at: request.now), extra: [:],
            keyHash: keys.keys.first?.fingerprint)
        try credential.requireReach(of: request.caller)
        try await request.database.insert(credential)
        return .object("credential") { write(credential, &$0, keys) }
    }

    static func show(_ request: Request, _ found: Found<Credential>) async throws(Fault) -> Reply {
        let credential = try found.get()
        let keys = request.identity.credentialKeys
        return .object("credential") { write(credential, &$0, keys) }
    }

    static func delete(_ request: Request, _ found: Found<Credential>) async throws(Fault) -> Reply {
        try request.requireUnrestrictedCredential()
        let id = try found.get().id
        try await request.database.delete(Credential.self, "id = \(id)", or: .notFound("credential", id))
        return .empty
    }

    private static func write(_ credential: Credential, _ view: inout View, _ keys: FernetKeys) {
        let blob = (try? JSON.parse(Array(credential.blob(keys).utf8)))?.object ?? [:]
        let access = blob["access"]?.string ?? ""
        view.put("user_id", credential.userID)
        view.put("tenant_id", credential.projectID)
        view.put("access", access)
        view.put("secret", blob["secret"]?.string)
        view.put("trust_id", blob["trust_id"]?.string)
        view.links("users/\(credential.userID)/credentials/OS-EC2/\(access)")
    }
}
