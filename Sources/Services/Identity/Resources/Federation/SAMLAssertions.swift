// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// This cloud as an identity provider: assertions about its users for the clouds that take them.
enum SAMLAssertions: Resource {
    static let routes: [Route] = [
        .open("GET", "/OS-FEDERATION/saml2/metadata", "Show this cloud as an identity provider", metadata),
        .open("POST", "/auth/OS-FEDERATION/saml2", "Create SAML assertion") { request async throws(Fault) in
            try await assertion(request, isWrapped: false)
        },
        .open("POST", "/auth/OS-FEDERATION/saml2/ecp", "Create SAML assertion for an enhanced client") {
            request async throws(Fault) in
            try await assertion(request, isWrapped: true)
        },
    ]

    static func metadata(_ request: Request) async throws(Fault) -> Reply {
        Reply.body(.bytes(Array(try issuer(request).metadata.utf8)), type: "text/xml")
    }

    private static func assertion(_ request: Request, isWrapped: Bool) async throws(Fault) -> Reply {
        let (text, providerID) = try asked(request)
        let provider = try await request.database.one(
            ServiceProvider.self, "id = \(providerID)", or: .noServiceProvider(providerID))
        guard provider.enabled else { throw .forbidden("Service Provider \(providerID) is disabled") }
        let token: Token
        do {
            token = try await request.identity.tokens.open(text)
        } catch {
            guard error.status == 401 else { throw error }
            throw .notFound("token", text)
        }
        let subject = try await subject(token, request)
        let issuer = try issuer(request)
        let response = try issuer.response(
            about: subject, to: provider.spURL, at: request.now, ids: request.ids)
        let document =
            isWrapped
            ? issuer.envelope(response, relayState: provider.relayStatePrefix + request.ids.hex()) : response
        return Reply.body(.bytes(Array(document.utf8)), type: "text/xml")
            .header("X-sp-url", provider.spURL).header("X-auth-url", provider.authURL)
    }

    /// The token and the other cloud that a request names.
    private static func asked(_ request: Request) throws(Fault) -> (token: String, provider: String) {
        var auth = try request.body("auth")
        var identity = try auth.needObject("identity")
        var token = try identity.needObject("token")
        let text = try token.need("id", .text)
        try token.end()
        identity.ignore("methods")
        try identity.end()
        var scope = try auth.needObject("scope")
        var provider = try scope.needObject("service_provider")
        let id = try provider.need("id", .text)
        try provider.end()
        try scope.end()
        try auth.end()
        return (text, id)
    }

    private static func subject(_ token: Token, _ request: Request) async throws(Fault) -> SAMLIssuer.Subject {
        let bearer = token.bearer
        guard case .project = token.payload.scope, let project = bearer.project, let domain = bearer.projectDomain
        else {
            throw .forbidden(
                "You are not authorized to perform the requested action: Use a project scoped token when attempting "
                    + "to create a SAML assertion.")
        }
        var attributes = [
            ("openstack_user", [bearer.user.name]), ("openstack_roles", bearer.roles.map(\.name)),
            ("openstack_project", [project.name]), ("openstack_project_domain", [domain.name]),
            ("openstack_user_domain", [bearer.userDomain.name]),
        ]
        let groups = try await groups(of: bearer.user, request)
        if !groups.isEmpty { attributes.append(("openstack_groups", groups)) }
        return SAMLIssuer.Subject(
            user: bearer.user.name, attributes: attributes.map { (name: $0.0, values: $0.1) })
    }

    /// Groups with their domains, as other clouds' mappings read them.
    private static func groups(of user: User, _ request: Request) async throws(Fault) -> [String] {
        let now = request.now
        let groups = try await request.database.all(
            Group.self,
            """
            id IN (SELECT group_id FROM identity_memberships WHERE user_id = \(user.id)) OR id IN
            (SELECT group_id FROM identity_expiring_memberships WHERE user_id = \(user.id) AND expires_at > \(now))
            ORDER BY name, id
            """)
        let domains = try await request.database.all(Project.self, "id IN \(groups.map(\.domainID))")
        return groups.map { group in
            let name = domains.first { $0.id == group.domainID }?.name ?? ""
            let document: JSON = ["name": .string(group.name), "domain": ["name": .string(name)]]
            return "JSON:" + document.text()
        }
    }

    private static func issuer(_ request: Request) throws(Fault) -> SAMLIssuer {
        let options = request.identity.options.federation.saml
        guard let signing = request.identity.doors.signing, let xml = request.identity.doors.xml,
            let entityID = options.entityID
        else {
            // Upstream falls over a file it cannot find, with 500.
            throw .notFound(
                "This cloud is no identity provider: [saml] idp_entity_id, certfile and keyfile say what it is.")
        }
        return SAMLIssuer(options: options, signing: signing, entityID: entityID, xml: xml)
    }
}
