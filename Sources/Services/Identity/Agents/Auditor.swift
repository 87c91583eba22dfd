// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells of changes and logins, as CADF audit events or as upstream's short notifications.
struct Auditor: Sendable {
    let notifications: any Notifications
    let options: NotificationOptions

    func tell(_ event: AuditEvent, _ call: EndedCall) async {
        guard options.drivers.isLogged || options.drivers.isSent, !options.silenced.contains(event.topic) else {
            return
        }
        let request = call.request
        let payload: JSON
        switch options.form {
        case .basic:
            // Logins and role assignments have no short form; upstream sends the long one.
            payload = event.id == nil ? await audit(event, call) : brief(event, request)
        case .cadf: payload = await audit(event, call)
        }
        await notifications.send([
            "message_id": .string(request.ids.uuid()), "publisher_id": "identity.apus",
            "event_type": .string(event.type), "priority": "INFO", "payload": payload,
            "timestamp": .string(request.now.iso8601Micro),
        ])
    }

    private func brief(_ event: AuditEvent, _ request: Request) -> JSON {
        var members: [(String, JSON)] = [("resource_info", event.id.map(JSON.string) ?? .null)]
        members += event.members
        members.append(("request_id", .string(request.id)))
        return .object(JSONObject(members))
    }

    private func audit(_ event: AuditEvent, _ call: EndedCall) async -> JSON {
        let request = call.request
        let isPerson = event.operation.isEmpty || event.resource == "role_assignment"
        let target = isPerson ? AuditEvent.person : AuditEvent.targets[event.resource] ?? "unknown"
        var observer: [(String, JSON)] = [("typeURI", "service/security")]
        let own = try? await request.database.first(CatalogService.self, "type = 'identity' ORDER BY id")
        if let own { observer.append(("id", .string(own.id))) }
        var members: [(String, JSON)] = [
            ("typeURI", "http://schemas.dmtf.org/cloud/audit/1.0/event"), ("eventType", "activity"),
            ("id", .string(request.ids.uuid())), ("eventTime", .string(request.now.iso8601Micro)),
            ("action", .string(event.action)), ("outcome", event.isSuccess ? "success" : "failure"),
            ("initiator", .object(await initiator(event, call))),
            ("target", ["typeURI": .string(target), "id": .string(event.id ?? request.ids.uuid())]),
            ("observer", .object(JSONObject(observer))),
        ]
        if case .failure(let fault) = call.outcome {
            members.append(
                ("reason", ["reasonType": .string(fault.message), "reasonCode": .string("\(fault.status)")]))
        }
        if let id = event.id { members.append(("resource_info", .string(id))) }
        members += event.members
        return .object(JSONObject(members))
    }

    /// Who did it, from where. At a login it is whoever the token is for, or was asked for.
    private func initiator(_ event: AuditEvent, _ call: EndedCall) async -> JSONObject {
        let request = call.request
        var person = (id: request.caller.userID, name: request.caller.userName)
        if event.operation.isEmpty { person = Auditor.claimant(call) }
        var host = JSONObject([("address", .string(request.http.peer))])
        if let agent = request.header("User-Agent") { host["agent"] = .string(agent) }
        var initiator = JSONObject([
            ("typeURI", .string(AuditEvent.person)),
            ("id", .string(person.id.isEmpty ? request.ids.uuid() : person.id)), ("host", .object(host)),
        ])
        if !person.id.isEmpty { initiator["user_id"] = .string(person.id) }
        if !person.name.isEmpty { initiator["username"] = .string(person.name) }
        if let id = request.caller.projectID { initiator["project_id"] = .string(id) }
        if let id = request.caller.domainID { initiator["domain_id"] = .string(id) }
        initiator["request_id"] = .string(request.id)
        if let id = request.header("X-Openstack-Request-Id") { initiator["global_request_id"] = .string(id) }
        return initiator
    }

    private static func claimant(_ call: EndedCall) -> (id: String, name: String) {
        if case .success(let response) = call.outcome, case .bytes(let bytes) = response.body,
            let answer = try? JSON.parse(bytes, limits: .trusted), let user = answer["token"]?["user"]
        {
            return (user["id"]?.string ?? "", user["name"]?.string ?? "")
        }
        let identity = call.request.json?["auth"]?["identity"]
        for method in ["password", "totp", "application_credential"] {
            guard let user = identity?[method]?["user"] else { continue }
            return (user["id"]?.string ?? "", user["name"]?.string ?? "")
        }
        return ("", "")
    }
}

extension IdentityService: CallWatcher {
    package static func hears(_ method: String, _ path: String) -> Bool {
        method != "GET" && method != "HEAD" || method == "GET" && AuditEvent.isLogin(method, path)
    }

    package func ended(_ call: EndedCall) async {
        guard let event = AuditEvent(call) else { return }
        await auditor.tell(event, call)
    }
}
