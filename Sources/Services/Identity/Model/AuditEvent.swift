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
    var members: [(String, JSON)] = []

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
        let request = call.request
        var response: HTTPResponse?
        if case .success(let answer) = call.outcome, answer.status < 400 { response = answer }
        isSuccess = response != nil
        if AuditEvent.isLogin(call.method, call.path) {
            guard AuditEvent.concludes(call) else { return nil }
            (resource, operation, id) = ("authenticate", "", nil)
            return
        }
        if call.path.contains("/roles/{role_id}"), !call.path.hasPrefix("/roles"), call.method != "PATCH",
            !call.path.contains("OS-OAUTH1")
        {
            (resource, operation, id) = ("role_assignment", call.method == "PUT" ? "created" : "deleted", nil)
            members = AuditEvent.assignment(request, call.path)
            return
        }
        guard let response else { return nil }
        if let group = AuditEvent.membership(call) {
            (resource, operation, id) = ("group", "updated", group)
            members = [
                ("actor_id", .string(request["user_id"])), ("actor_type", "user"),
                ("actor_operation", call.method == "PUT" ? "added" : "removed"),
            ]
            return
        }
        if call.path == "/users/{user_id}/password" {
            (resource, operation, id) = ("user", "updated", request["user_id"])
            return
        }
        guard let found = AuditEvent.change(call, response) else { return nil }
        (resource, operation, id) = found
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

    /// A member of a collection made, changed or deleted.
    private static func change(_ call: EndedCall, _ response: HTTPResponse) -> (String, String, String?)? {
        if call.method == "POST", let collection = collections.first(where: { $0.path == call.path }) {
            guard case .bytes(let bytes) = response.body, let answer = try? JSON.parse(bytes, limits: .trusted),
                let member = answer.object?.keys.first
            else { return nil }
            return (collection.resource, "created", answer[member]?["id"]?.string)
        }
        guard call.path.hasSuffix("}"), let cut = call.path.lastIndex(of: "/"),
            let collection = collections.first(where: { $0.path == call.path[..<cut] })
        else { return nil }
        let parameter = String(call.path[cut...].dropFirst(2).dropLast())
        let operation: String
        switch call.method {
        case "PUT": operation = "created"
        case "PATCH": operation = "updated"
        case "DELETE": operation = "deleted"
        default: return nil
        }
        return (collection.resource, operation, call.request[parameter])
    }

    private static func membership(_ call: EndedCall) -> String? {
        call.path == "/groups/{group_id}/users/{user_id}" ? call.request["group_id"] : nil
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
