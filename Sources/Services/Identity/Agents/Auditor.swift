// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells of changes and logins, as CADF audit events or as upstream's short notifications.
struct Auditor: Sendable {
    let notifications: any Notifications
    let options: NotificationOptions
    let database: Database

    /// Whether anybody is to be told.
    private func isWanted(_ event: AuditEvent) -> Bool {
        (options.drivers.isLogged || options.drivers.isSent) && !options.silenced.contains(event.topic)
    }

    /// Tells of a call that has ended: the log now, the bus by a row, unless its transaction has written that.
    func tell(_ event: AuditEvent, _ call: EndedCall) async {
        guard isWanted(event) else { return }
        let told = call.notes.note
        let message: JSON
        if let told {
            message = told
        } else {
            let own = try? await call.request.database.first(CatalogService.self, Auditor.ownService)
            message = compose(event, call.request, call, observer: own?.id)
        }
        await notifications.send(message)
        guard options.drivers.isSent, told == nil else { return }
        let now = call.request.now
        do throws(Fault) {
            try await database.transaction { transaction throws(Fault) in
                try IdentityNotice.keep(message, at: now, transaction)
            }
        } catch {
            call.request.log.error("a notification is lost", ["event": event.type, "error": error.description])
        }
    }

    /// The database for a call whose transactions write what the bus is told of them.
    func database(for call: BegunCall) -> Database? {
        guard options.drivers.isSent, let audited = AuditedTable.of(call.method, call.path) else { return nil }
        let (request, notes) = (call.request, call.notes)
        return request.database.telling([audited.table]) { changes, transaction throws(Fault) in
            let (isThere, made) = audited.seen(in: changes)
            guard isThere, notes.note == nil,
                let event = AuditEvent(request, call.method, call.path, made: made), isWanted(event)
            else { return }
            let own = try transaction.first(CatalogService.self, Auditor.ownService)
            let message = compose(event, request, nil, observer: own?.id)
            try IdentityNotice.keep(message, at: request.now, transaction)
            transaction.afterCommit { notes.write(message) }
        }
    }

    private static let ownService: SQL = "type = 'identity' ORDER BY id"

    /// - Parameter call: how it ended; nil while it is being written.
    private func compose(
        _ event: AuditEvent, _ request: Request, _ call: EndedCall?, observer: String?
    ) -> JSON {
        // Logins and role assignments have no short form; upstream sends the long one.
        let isBrief = options.form == .basic && event.id != nil
        return [
            "message_id": .string(request.ids.uuid()), "publisher_id": "identity.apus",
            "event_type": .string(event.type), "priority": "INFO",
            "payload": isBrief ? brief(event, request) : audit(event, request, call, observer),
            "timestamp": .string(request.now.iso8601Micro),
        ]
    }

    private func brief(_ event: AuditEvent, _ request: Request) -> JSON {
        var members: [(String, JSON)] = [("resource_info", event.id.map(JSON.string) ?? .null)]
        members += event.members
        members.append(("request_id", .string(request.id)))
        return .object(JSONObject(members))
    }

    private func audit(
        _ event: AuditEvent, _ request: Request, _ call: EndedCall?, _ observing: String?
    ) -> JSON {
        let isPerson = event.operation.isEmpty || event.resource == "role_assignment"
        let target = isPerson ? AuditEvent.person : AuditEvent.targets[event.resource] ?? "unknown"
        var observer: [(String, JSON)] = [("typeURI", "service/security")]
        if let observing { observer.append(("id", .string(observing))) }
        var members: [(String, JSON)] = [
            ("typeURI", "http://schemas.dmtf.org/cloud/audit/1.0/event"), ("eventType", "activity"),
            ("id", .string(request.ids.uuid())), ("eventTime", .string(request.now.iso8601Micro)),
            ("action", .string(event.action)), ("outcome", event.isSuccess ? "success" : "failure"),
            ("initiator", .object(initiator(event, request, call))),
            ("target", ["typeURI": .string(target), "id": .string(event.id ?? request.ids.uuid())]),
            ("observer", .object(JSONObject(observer))),
        ]
        if case .failure(let fault) = call?.outcome {
            members.append(
                ("reason", ["reasonType": .string(fault.message), "reasonCode": .string("\(fault.status)")]))
        }
        if let id = event.id { members.append(("resource_info", .string(id))) }
        members += event.members
        return .object(JSONObject(members))
    }

    /// Who did it, from where. At a login it is whoever the token is for, or was asked for.
    private func initiator(_ event: AuditEvent, _ request: Request, _ call: EndedCall?) -> JSONObject {
        var person = (id: request.caller.userID, name: request.caller.userName)
        if event.operation.isEmpty, let call { person = Auditor.claimant(call) }
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

    package func database(for call: BegunCall) -> Database? { auditor.database(for: call) }

    package func ended(_ call: EndedCall) async {
        guard let event = AuditEvent(call) else { return }
        await auditor.tell(event, call)
    }
}
