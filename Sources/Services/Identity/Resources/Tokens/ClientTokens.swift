// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// OAuth 2.0's client credentials (RFC 6749, 4.4): a token for the secret of an application credential, or for a
/// client's certificate, to which it is then bound (RFC 8705).
enum ClientTokens: Resource {
    static let routes: [Route] = [
        .open("POST", "/OS-OAUTH2/token", "Create OAuth 2.0 access token", status: 200, payload: .stream, create)
    ]

    static func create(_ request: Request) async throws(Fault) -> Reply {
        do {
            let token = try await token(request)
            return .json([
                "access_token": .string(token.text), "token_type": "Bearer",
                "expires_in": .integer(request.identity.options.tokenLifetime.components.seconds),
            ])
        } catch {
            return refusal(error, request)
        }
    }

    private static func token(_ request: Request) async throws(Fault) -> Token {
        let form = try await form(request)
        guard let grant = form["grant_type"] else {
            throw Fault(400, code: "invalid_request", "The parameter grant_type is required.")
        }
        guard grant == "client_credentials" else {
            throw Fault(400, code: "unsupported_grant_type", "The parameter grant_type \(grant) is not supported.")
        }
        let identity = request.identity
        let methods = identity.options.delegation.clientMethods
        if let certificate = request.clientCertificate {
            guard methods.contains("tls_client_auth"), let id = form["client_id"], !id.isEmpty else { throw failed }
            return try await identity.token(for: certificate, of: id, request)
        }
        let basic = basic(request)
        guard let id = basic?.id ?? form["client_id"], !id.isEmpty,
            let secret = basic?.secret ?? form["client_secret"], !secret.isEmpty,
            methods.contains("client_secret_basic")
        else { throw failed }
        let login = try await identity.authenticate(
            AuthRequest(methods: [.applicationCredential(.id(id), secret)]), request)
        // A program has no second factor to offer.
        guard case .token(let token) = login else { throw failed }
        return token
    }

    static let failed = Fault.unauthorized("Client authentication failed.")

    // MARK: Wire

    private static func form(_ request: Request) async throws(Fault) -> [String: String] {
        guard (request.header("Content-Type") ?? "").lowercased().hasPrefix("application/x-www-form-urlencoded") else {
            return [:]
        }
        let bytes = try await request.http.body.collect(limit: 1 << 16)
        guard let pairs = QueryString.parse(String(decoding: bytes, as: UTF8.self)) else { return [:] }
        return Dictionary(pairs.map { ($0.0, $0.1) }) { first, _ in first }
    }

    private static func basic(_ request: Request) -> (id: String, secret: String)? {
        guard let header = request.header("Authorization"), header.lowercased().hasPrefix("basic "),
            let bytes = Base64.decode(String(header.dropFirst("basic ".count)).trimmedOfSpace)
        else { return nil }
        let pair = String(decoding: bytes, as: UTF8.self).split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        return pair.count == 2 ? (String(pair[0]), String(pair[1])) : nil
    }

    /// OAuth's own words for what went wrong.
    private static func refusal(_ fault: Fault, _ request: Request) -> Reply {
        let error: String
        switch fault.status {
        case 401: error = "invalid_client"
        case 400: error = fault.code.isEmpty ? "invalid_request" : fault.code
        default: error = "other_error"
        }
        let description =
            error == "other_error"
            ? "An unknown error occurred and failed to get an OAuth2.0 access token." : fault.message
        let reply = Reply.json(["error": .string(error), "error_description": .string(description)])
            .status(fault.status)
        return fault.status == 401 ? reply.header("WWW-Authenticate", "Keystone uri=\"\(request.root)\"") : reply
    }
}

extension Request {
    /// The certificate that a proxy we believe has checked.
    fileprivate var clientCertificate: ClientCertificate? {
        let options = identity.options.delegation
        guard let name = options.certificateHeader, options.certificateProxies.contains(http.peer),
            let text = header(name)
        else { return nil }
        return ClientCertificate(header: Percent.decode(text) ?? text)
    }
}

extension IdentityService {
    /// A token for the client's default project, bound to the certificate, whose names the mapping finds to be the
    /// client's.
    fileprivate func token(
        for certificate: ClientCertificate, of userID: String, _ request: Request
    ) async throws(Fault) -> Token {
        guard let user = try await people.user(userID), let projectID = user.defaultProjectID,
            let domain = try await database.first(Project.self, "id = \(user.domainID) AND is_domain = 1")
        else { throw ClientTokens.failed }
        let mappingID = options.delegation.certificateMappingID
        guard let mapping = try await database.first(FederationMapping.self, "id = \(mappingID)") else {
            request.log.info("an OAuth 2.0 client was refused: there is no such mapping", ["mapping_id": mappingID])
            throw ClientTokens.failed
        }
        var names: [String: String] = [:]
        for name in certificate.subject { names["SSL_CLIENT_SUBJECT_DN_\(name.type.uppercased())"] = name.value }
        for name in certificate.issuer { names["SSL_CLIENT_ISSUER_DN_\(name.type.uppercased())"] = name.value }
        let mapped: MappedIdentity
        do {
            mapped = try MappingEngine(id: mapping.id, rules: mapping.rules, version: mapping.schemaVersion)
                .process(names)
        } catch {
            throw ClientTokens.failed
        }
        let known: [(JSON?, String?)] = [
            (mapped.user["name"], user.name), (mapped.user["id"], user.id),
            (mapped.user["email"], user.extra["email"]?.string),
            (mapped.user["domain"]?["id"], domain.id), (mapped.user["domain"]?["name"], domain.name),
        ]
        for (asked, own) in known {
            guard let asked = asked?.string, !asked.isEmpty else { continue }
            guard asked == own else { throw ClientTokens.failed }
        }
        return try await tokens.issue(
            to: user.id, methods: ["oauth2_credential"],
            scope: .certificate(project: projectID, thumbprint: certificate.thumbprint))
    }
}
