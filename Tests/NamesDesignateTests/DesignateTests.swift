// SPDX-License-Identifier: Apache-2.0
import Kernel
import NamesDesignate
import Network
import Testing

/// The client against a server that answers as Designate's reference says.
struct DesignateTests {
    private static let web = PublishedName(
        domain: "example.org.", name: "web", addresses: [.v4(203, 0, 113, 7), IPAddress("2001:db8::7")!],
        projectID: "project-a")

    @Test("A name has its records by family, and its addresses lead back to it in zones made when they are missing")
    func publishing() async throws {
        try await StandIn.with(zones: ["example.org.": "project-a"]) { designate, dns in
            try await dns.publish(Self.web)
            try await dns.publish(Self.web)
            #expect(await designate.records("web.example.org.", "A") == ["203.0.113.7"])
            #expect(await designate.records("web.example.org.", "AAAA") == ["2001:db8::7"])
            #expect(await designate.records("7.113.0.203.in-addr.arpa.", "PTR") == ["web.example.org."])
            #expect(await designate.zoneNames.contains("113.0.203.in-addr.arpa."))
            let last = String(repeating: "0.", count: 20) + "8.b.d.0.1.0.0.2.ip6.arpa."
            #expect(await designate.zoneNames.contains("0.0." + last))
            #expect(await designate.emails == ["admin@example.org"])
            try await dns.withdraw(Self.web)
            try await dns.withdraw(Self.web)
            #expect(await designate.isBare, "zones stay, records go")
        }
    }

    @Test("A name that somebody else has, and a zone that is not there, are told apart from a service that is away")
    func refusals() async throws {
        try await StandIn.with(zones: ["example.org.": "project-a"]) { designate, dns in
            try await dns.publish(Self.web)
            let other = PublishedName(
                domain: "example.org.", name: "web", addresses: [.v4(203, 0, 113, 8)], projectID: "project-a")
            await #expect(throws: Fault.self) { try await dns.publish(other) }
            do throws(Fault) { try await dns.publish(other) } catch { #expect(error.status == 409) }
            try await dns.withdraw(other)
            #expect(await designate.records("web.example.org.", "A") == ["203.0.113.7"], "not ours to take")
            let lost = PublishedName(
                domain: "example.net.", name: "web", addresses: other.addresses, projectID: "project-a")
            do throws(Fault) { try await dns.publish(lost) } catch { #expect(error.status == 404) }
            await designate.breakDown()
            do throws(Fault) { try await dns.publish(lost) } catch { #expect(error.status == 503) }
        }
    }

    @Test("A token that is not taken any more is got anew")
    func tokens() async throws {
        try await StandIn.with(zones: ["example.org.": "project-a"]) { designate, dns in
            try await dns.publish(Self.web)
            await designate.expireTokens()
            try await dns.withdraw(Self.web)
            #expect(await designate.isBare)
            #expect(await designate.logins == 2)
        }
    }
}

/// An identity service and Designate's v2 API in one, with their checks.
private actor StandIn {
    private struct Zone {
        let id: String
        let name: String
        let project: String
        var sets: [String: (name: String, type: String, records: [String])] = [:]
    }

    private var zones: [Zone] = []
    private var isBroken = false
    private var token = 0
    private var count = 0
    private(set) var emails: Set<String> = []
    var logins: Int { token }

    static func with(
        zones: [String: String], _ test: (StandIn, Designate) async throws -> Void
    ) async throws {
        let stand = StandIn(zones)
        let server = try HTTPServer(loops: 1) { request in await stand.answer(request) }
        let port = try server.listen(host: "127.0.0.1", port: 0, tag: "test", tls: nil)
        let running = Task { await server.run() }
        var problem: (any Error)?
        do {
            var options = DesignateOptions()
            options.url = "http://127.0.0.1:\(port)/v2"
            let login = DesignateOptions.Login(
                authURL: "http://127.0.0.1:\(port)/v3", user: "neutron", password: "sesame", project: "service")
            try await test(stand, try Designate(options, own: login))
        } catch { problem = error }
        running.cancel()
        await running.value
        if let problem { throw problem }
    }

    private init(_ zones: [String: String]) {
        for (name, project) in zones { self.zones.append(Zone(id: "z-\(name)", name: name, project: project)) }
    }

    var zoneNames: [String] { zones.map(\.name) }
    var isBare: Bool { zones.allSatisfy(\.sets.isEmpty) }
    func breakDown() { isBroken = true }
    func expireTokens() { valid = nil }
    private var valid: String?

    func records(_ name: String, _ type: String) -> [String]? {
        zones.flatMap(\.sets.values).first { $0.name == name && $0.type == type }?.records
    }

    private func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let bytes = (try? await request.body.collect(limit: 1 << 20)) ?? []
        let body = (try? JSON.parse(bytes)) ?? .null
        if request.path == "/v3/auth/tokens" { return login(body) }
        if isBroken { return StandIn.reply(503, ["message": "away"]) }
        guard let given = request.headers["X-Auth-Token"], given == valid else { return StandIn.reply(401, .null) }
        let sudo = request.headers["X-Auth-Sudo-Project-ID"]
        let sees: (Zone) -> Bool = { sudo == nil || $0.project == sudo }
        let parts = request.path.split(separator: "/").map(String.init)
        let name = QueryString.parse(request.query)?.first { $0.0 == "name" }?.1
        switch (request.method, parts.count) {
        case ("GET", 2):
            let found = zones.filter { sees($0) && (name == nil || $0.name == name) }
            return StandIn.reply(
                200, ["zones": .array(found.map { ["id": .string($0.id), "name": .string($0.name)] })])
        case ("POST", 2): return makeZone(body, isManaged: request.headers["X-Designate-Edit-Managed-Records"] != nil)
        default:
            guard let at = zones.firstIndex(where: { $0.id == parts[2] && sees($0) }) else {
                return StandIn.reply(404, ["message": "Could not find Zone"])
            }
            return sets(request.method, at, parts.count > 4 ? parts[4] : nil, name, body)
        }
    }

    private func login(_ body: JSON) -> HTTPResponse {
        guard body["auth"]?["identity"]?["password"]?["user"]?["password"]?.string == "sesame" else {
            return StandIn.reply(401, .null)
        }
        token += 1
        valid = "token-\(token)"
        return HTTPResponse(
            status: 201, headers: [("X-Subject-Token", "token-\(token)")], body: .bytes(Array("{}".utf8)))
    }

    private func makeZone(_ body: JSON, isManaged: Bool) -> HTTPResponse {
        guard isManaged, let name = body["name"]?.string, let email = body["email"]?.string else {
            return StandIn.reply(400, ["message": "no"])
        }
        guard !zones.contains(where: { $0.name == name }) else {
            return StandIn.reply(409, ["message": "Duplicate Zone"])
        }
        emails.insert(email)
        zones.append(Zone(id: "z-\(name)", name: name, project: "service"))
        return StandIn.reply(202, ["id": .string("z-\(name)")])
    }

    private func sets(_ method: String, _ at: Int, _ id: String?, _ name: String?, _ body: JSON) -> HTTPResponse {
        switch method {
        case "POST":
            guard let name = body["name"]?.string, let type = body["type"]?.string, name.hasSuffix(zones[at].name)
            else {
                return StandIn.reply(400, ["message": "Invalid recordset"])
            }
            guard !zones[at].sets.values.contains(where: { $0.name == name && $0.type == type }) else {
                return StandIn.reply(409, ["message": "Duplicate RecordSet"])
            }
            count += 1
            zones[at].sets["r\(count)"] = (name, type, body["records"]?.array?.compactMap(\.string) ?? [])
            return StandIn.reply(202, .null)
        case "DELETE":
            guard let id, zones[at].sets.removeValue(forKey: id) != nil else {
                return StandIn.reply(404, ["message": "Could not find RecordSet"])
            }
            return StandIn.reply(202, .null)
        default:
            let found = zones[at].sets.filter { name == nil || $0.value.name == name }
            return StandIn.reply(
                200,
                [
                    "recordsets": .array(
                        found.map { id, set in
                            [
                                "id": .string(id), "name": .string(set.name), "type": .string(set.type),
                                "records": .array(set.records.map { .string($0) }),
                            ]
                        })
                ])
        }
    }

    private static func reply(_ status: Int, _ json: JSON) -> HTTPResponse {
        HTTPResponse(status: status, body: .bytes(json.bytes()))
    }
}
