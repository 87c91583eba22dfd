// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A domain as requests name it.
enum DomainReference: Sendable {
    case id(String), name(String)

    init(_ body: inout Body, of target: String) throws(Fault) {
        guard var domain = try body.takeObject("domain") else { throw .expecting("domain", in: target) }
        try self.init(&domain)
    }

    init(_ domain: inout Body) throws(Fault) {
        if let name = try domain.option("name", .text) {
            self = .name(name)
        } else if let id = try domain.option("id", .text) {
            self = .id(id)
        } else {
            throw .expecting("id or name", in: "domain")
        }
    }
}

/// A user or a project as requests name it: by id, or by a name in a domain.
enum NameReference: Sendable {
    case id(String), name(String, DomainReference)

    init(_ body: inout Body, of target: String) throws(Fault) {
        if let name = try body.option("name", .text) {
            self = .name(name, try DomainReference(&body, of: target))
        } else if let id = try body.option("id", .text) {
            self = .id(id)
        } else {
            throw .expecting("id or name", in: target)
        }
    }
}

/// What `POST /v3/auth/tokens` asks for.
struct AuthRequest: Sendable {
    enum Method: Sendable {
        case password(NameReference, String)
        case token(String)
        case applicationCredential(CredentialReference, String)
        /// A consumer's, whose signature stands in the request's header.
        case oauth
        case totp(NameReference, passcode: String)
        /// Whom a trusted proxy names.
        case external(NameReference)
    }

    /// An application credential by its id, or by its name and user.
    enum CredentialReference: Sendable {
        case id(String), name(String, NameReference)
    }

    enum Scope: Sendable {
        case none, unscoped, system
        case domain(DomainReference)
        case project(NameReference)
        case trust(String)
    }

    let methods: [Method]
    let scope: Scope

    init(methods: [Method], scope: Scope = .none) {
        self.methods = methods
        self.scope = scope
    }

    init(_ request: Request) throws(Fault) {
        var auth = try request.body("auth")
        var identity = try auth.needObject("identity")
        var names: [String] = []
        for name in try identity.need("methods", .list(.text)) where !names.contains(name) { names.append(name) }
        for name in names where !identity.has(name) { throw .expecting(name, in: "identity") }
        let open = request.identity.options.tokens.methods
        guard names.allSatisfy({ open.contains($0) }) else { throw .unauthorized() }
        // Whoever is named from outside needs to name no method.
        let external = open.contains("external") ? RemoteUser(request)?.reference : nil
        var methods = external.map { [Method.external($0)] } ?? []
        for name in names {
            if name == "external", external != nil { continue }
            methods.append(try AuthRequest.method(name, &identity))
        }
        guard !methods.isEmpty else { throw .unauthorized() }
        self.methods = methods
        scope = try AuthRequest.scope(&auth)
    }

    private static func method(_ name: String, _ identity: inout Body) throws(Fault) -> Method {
        var body = try identity.needObject(name)
        switch name {
        case "password":
            guard var user = try body.takeObject("user") else { throw .expecting("user", in: "password") }
            let reference = try NameReference(&user, of: "user")
            return .password(reference, try user.option("password", .text) ?? "")
        case "token":
            guard let id = try body.option("id", .text) else { throw .expecting("id", in: "token") }
            return .token(id)
        case "oauth1": return .oauth
        case "totp":
            guard var user = try body.takeObject("user") else { throw .expecting("user", in: "totp") }
            let reference = try NameReference(&user, of: "user")
            return .totp(reference, passcode: try user.option("passcode", .text) ?? "")
        case "application_credential":
            let secret = try body.option("secret", .text) ?? ""
            if let id = try body.option("id", .text) { return .applicationCredential(.id(id), secret) }
            guard let name = try body.option("name", .text) else {
                throw .expecting("name or ID", in: "application credential")
            }
            guard var user = try body.takeObject("user") else { throw .expecting("user", in: "application credential") }
            return .applicationCredential(.name(name, try NameReference(&user, of: "user")), secret)
        default: throw .unauthorized()
        }
    }

    private static func scope(_ auth: inout Body) throws(Fault) -> Scope {
        guard auth.has("scope") else { return .none }
        if auth.peek("scope")?.string == "unscoped" { return .unscoped }
        guard var scope = try auth.takeObject("scope") else { return .none }
        let known = ["system", "project", "domain", "unscoped", "OS-TRUST:trust"].filter { scope.has($0) }
        guard known.count == 1 else {
            throw .expecting("system, project, domain, OS-TRUST:trust or unscoped", in: "scope")
        }
        switch known[0] {
        case "system":
            var system = try scope.needObject("system")
            guard try system.take("all", .bool) == true else { throw .expecting("all", in: "system") }
            return .system
        case "project":
            var project = try scope.needObject("project")
            return .project(try NameReference(&project, of: "project"))
        case "domain":
            var domain = try scope.needObject("domain")
            return .domain(try DomainReference(&domain))
        case "OS-TRUST:trust":
            var trust = try scope.needObject("OS-TRUST:trust")
            guard let id = try trust.option("id", .text) else { throw .expecting("trust_id", in: "trust") }
            return .trust(id)
        default: return .unscoped
        }
    }
}
