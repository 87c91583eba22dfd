// SPDX-License-Identifier: Apache-2.0
package import Base
internal import JSON

/// Tokens as signed documents, with Keystone's names for what they say.
extension JWSKeys {
    package func token(_ payload: TokenPayload, at time: Timestamp) -> String { encode(payload.claims(at: time)) }

    /// 401 for what is not ours, or says less than a token must.
    package func payload(_ token: String) throws(Fault) -> (payload: TokenPayload, issuedAt: Timestamp) {
        guard let claims = decode(token), let issued = claims["iat"]?.integer,
            let payload = TokenPayload(claims: claims)
        else { throw .unauthorized() }
        return (payload, Timestamp(seconds: Int64(issued)))
    }
}

extension TokenPayload {
    func claims(at time: Timestamp) -> JSONObject {
        var claims: JSONObject = [
            "sub": .string(userID), "iat": .integer(time.seconds), "exp": .integer(expiresAt.seconds),
            "openstack_methods": .array(methods.map(JSON.string)),
            "openstack_audit_ids": .array(auditIDs.map(JSON.string)),
        ]
        func put(_ name: String, _ value: String?) { if let value { claims["openstack_" + name] = .string(value) } }
        switch scope {
        case .unscoped: break
        case .system: put("system", "all")
        case .domain(let id): put("domain_id", id)
        case .project(let id): put("project_id", id)
        case .trust(let project, let trust):
            put("project_id", project)
            put("trust_id", trust)
        case .applicationCredential(let project, let credential):
            put("project_id", project)
            put("app_cred_id", credential)
        case .oauth(let project, let accessToken):
            put("project_id", project)
            put("access_token_id", accessToken)
        case .certificate(let project, let thumbprint):
            put("project_id", project)
            put("thumbprint", thumbprint)
        }
        if let federation {
            claims["openstack_group_ids"] = .array(federation.groupIDs.map { ["id": .string($0)] })
            put("idp_id", federation.identityProvider)
            put("protocol_id", federation.protocolID)
        }
        return claims
    }

    init?(claims: JSONObject) {
        func text(_ name: String) -> String? { claims["openstack_" + name]?.string }
        guard let userID = claims["sub"]?.string, !userID.isEmpty, let expires = claims["exp"]?.integer,
            abs(expires) < 1 << 40, let methods = claims["openstack_methods"]?.array?.compactMap(\.string),
            let audits = claims["openstack_audit_ids"]?.array?.compactMap(\.string), (1...2).contains(audits.count)
        else { return nil }
        let project = text("project_id")
        let scope: Scope
        if let trust = text("trust_id") {
            scope = .trust(project: project, trust: trust)
        } else if let credential = text("app_cred_id") {
            scope = .applicationCredential(project: project, credential: credential)
        } else if let accessToken = text("access_token_id") {
            scope = .oauth(project: project, accessToken: accessToken)
        } else if let thumbprint = text("thumbprint") {
            scope = .certificate(project: project, thumbprint: thumbprint)
        } else if let project {
            scope = .project(project)
        } else if let domain = text("domain_id") {
            scope = .domain(domain)
        } else {
            scope = text("system") == nil ? .unscoped : .system
        }
        var federation: Federation?
        if let provider = text("idp_id"), let protocolID = text("protocol_id") {
            federation = Federation(
                groupIDs: claims["openstack_group_ids"]?.array?.compactMap { $0["id"]?.string } ?? [],
                identityProvider: provider, protocolID: protocolID)
        }
        self.init(
            userID: userID, methods: methods, scope: scope, expiresAt: Timestamp(seconds: Int64(expires)),
            auditIDs: audits, federation: federation)
    }
}
