// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a call came to, as the world outside is told: `created` `user` and which.
struct AuditEvent: Sendable {
    let resource: String
    /// `created`, `updated`, `deleted`; empty for a login.
    let operation: String
    let id: String?
    let isSuccess: Bool
    /// Members of the event beyond CADF's own: the parts of a role assignment.
    let members: [(String, JSON)]

    var type: String {
        operation.isEmpty ? "identity." + resource : "identity.\(resource).\(operation)"
    }
    var action: String { operation.isEmpty ? resource : "\(operation).\(resource)" }
    /// The name under which operators silence it.
    var topic: String {
        operation.isEmpty ? type + (isSuccess ? ".success" : ".failure") : type
    }

    private static let collections: [(path: String, resource: String)] = [
        ("/users", "user"), ("/groups", "group"), ("/projects", "project"), ("/domains", "domain"),
        ("/roles", "role"), ("/regions", "region"), ("/endpoints", "endpoint"), ("/services", "service"),
        ("/policies", "policy"), ("/credentials", "credential"), ("/OS-TRUST/trusts", "OS-TRUST:trust"),
        ("/OS-OAUTH1/consumers", "OS-OAUTH1:consumer"),
        ("/users/{user_id}/application_credentials", "application_credential"),
        ("/users/{user_id}/OS-OAUTH1/access_tokens", "OS-OAUTH1:access_token"),
        ("/OS-FEDERATION/identity_providers", "identity_provider"),
        ("/OS-FEDERATION/mappings", "mapping"), ("/OS-FEDERATION/service_providers", "service_provider"),
    ]

    /// CADF's names for what is changed.
    static let targets = [
        "group": "data/security/group", "project": "data/security/project", "role": "data/security/role",
        "user": "data/security/account/user", "domain": "data/security/domain", "region": "data/security/region",
        "endpoint": "data/security/endpoint", "service": "data/security/service", "policy": "data/security/policy",
        "OS-TRUST:trust": "data/security/trust", "OS-OAUTH1:access_token": "data/security/credential",
        "OS-OAUTH1:request_token": "data/security/credential", "OS-OAUTH1:consumer": "data/security/account",
        "application_credential": "data/security/credential",
    ]
    static let person = "service/security/account/user"

    /// Nil for calls that nobody is told of: refused ones, but for logins and role assignments.
    init?(_ call: EndedCall) {
        var response: HTTPResponse?
        if case .success(let answer) = call.outcome, answer.status < 400 { response = answer }
        let isSuccess = response != nil
        if AuditEvent.isLogin(call.method, call.path) {
            guard AuditEvent.concludes(call) else { return nil }
            self.init(resource: "authenticate", operation: "", id: nil, isSuccess: isSuccess)
            return
        }
        guard isSuccess || AuditEvent.isAssignment(call.method, call.path) else { return nil }
        let made = response.flatMap(AuditEvent.made)
        self.init(call.request, call.method, call.path, made: made, isSuccess: isSuccess)
    }

    /// A change: one that was made, or that is being written just now.
    /// - Parameter made: the id of what is new; a POST is nothing to tell of without one.
    init?(_ request: Request, _ method: String, _ path: String, made: String?, isSuccess: Bool = true) {
        if AuditEvent.isAssignment(method, path) {
            self.init(
                resource: "role_assignment", operation: method == "PUT" ? "created" : "deleted", id: nil,
                isSuccess: isSuccess, members: AuditEvent.assignment(request, path))
        } else if path == AuditEvent.membership {
            self.init(
                resource: "group", operation: "updated", id: request["group_id"], isSuccess: isSuccess,
                members: [
                    ("actor_id", .string(request["user_id"])), ("actor_type", "user"),
                    ("actor_operation", method == "PUT" ? "added" : "removed"),
                ])
        } else if path == AuditEvent.password {
            self.init(resource: "user", operation: "updated", id: request["user_id"], isSuccess: isSuccess)
        } else {
            guard let found = AuditEvent.change(request, method, path, made) else { return nil }
            self.init(resource: found.0, operation: found.1, id: found.2, isSuccess: isSuccess)
        }
    }

    private init(
        resource: String, operation: String, id: String?, isSuccess: Bool, members: [(String, JSON)] = []
    ) {
        (self.resource, self.operation, self.id) = (resource, operation, id)
        (self.isSuccess, self.members) = (isSuccess, members)
    }

    static let membership = "/groups/{group_id}/users/{user_id}"
    static let password = "/users/{user_id}/password"

    static func isAssignment(_ method: String, _ path: String) -> Bool {
        path.contains("/roles/{role_id}") && !path.hasPrefix("/roles") && method != "PATCH"
            && !path.contains("OS-OAUTH1")
    }

    /// Calls that end in a token when all goes well: those of browsers and of federated clients come by GET, too.
    static func isLogin(_ method: String, _ path: String) -> Bool {
        if path.contains("OS-FEDERATION") {
            return path.hasSuffix("/{protocol_id}/auth") || path.contains("/websso") || path.hasSuffix("/oidc/redirect")
        }
        return method == "POST" && ["/auth/tokens", "/ec2tokens", "/s3tokens", "/OS-OAUTH2/token"].contains(path)
    }

    /// Not a browser's step on its way to a provider, nor a question that was no try to log in.
    private static func concludes(_ call: EndedCall) -> Bool {
        switch call.outcome {
        case .success(let response): response.status < 300 || response.status == 401
        case .failure(let fault): call.path == "/auth/tokens" || fault.status == 401 || fault.status == 403
        }
    }

    /// The collection that a path is, or that it names a member of.
    static func collection(_ method: String, _ path: String) -> String? {
        if method == "POST" { return collections.first { $0.path == path }?.resource }
        guard path.hasSuffix("}"), let cut = path.lastIndex(of: "/") else { return nil }
        return collections.first { $0.path == path[..<cut] }?.resource
    }

    /// A member of a collection made, changed or deleted.
    private static func change(
        _ request: Request, _ method: String, _ path: String, _ made: String?
    ) -> (String, String, String?)? {
        guard let resource = collection(method, path) else { return nil }
        if method == "POST" { return made.map { (resource, "created", $0) } }
        let operations = ["PUT": "created", "PATCH": "updated", "DELETE": "deleted"]
        guard let operation = operations[method], let cut = path.lastIndex(of: "/") else { return nil }
        return (resource, operation, request[String(path[cut...].dropFirst(2).dropLast())])
    }

    /// The id of what an answer shows.
    private static func made(_ response: HTTPResponse) -> String? {
        guard case .bytes(let bytes) = response.body, let answer = try? JSON.parse(bytes, limits: .trusted),
            let member = answer.object?.keys.first
        else { return nil }
        return answer[member]?["id"]?.string
    }

    private static func assignment(_ request: Request, _ path: String) -> [(String, JSON)] {
        var members: [(String, JSON)] = []
        for kind in ["project", "domain", "user", "group"] where path.contains("{\(kind)_id}") {
            members.append((kind, .string(request["\(kind)_id"])))
        }
        members.append(("inherited_to_projects", .bool(path.contains("OS-INHERIT"))))
        members.append(("role", .string(request["role_id"])))
        return members
    }
}
