// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Network
import Simulation
import Synchronization
import Testing

/// The room on a private database, with networks in memory and a Compute that writes down what it is told.
struct NetworkCloud {
    let cloud: TestCloud
    let service: NetworkService
    let backend: FakeNetworkBackend
    let told: ToldCompute

    init(options: NetworkOptions = NetworkOptions()) async throws {
        let backend = FakeNetworkBackend(hosts: [ChassisFact(id: "chassis-1", hostname: "host-1", isGateway: true)])
        let told = ToldCompute()
        let made = Made()
        cloud = try await TestCloud(rooms: { parts in
            let service = NetworkService(
                database: parts.database, clock: parts.clock, ids: parts.ids, log: parts.log, transport: told,
                caller: .service("neutron"), backend: backend, options: options)
            made.service.withLock { $0 = service }
            return service
        })
        service = try #require(made.service.withLock { $0 })
        self.backend = backend
        self.told = told
    }

    func call(
        _ method: String, _ path: String, _ body: JSON? = nil, as caller: Caller = .member(), query: String = "",
        headers: [(String, String)] = []
    ) async -> TestCloud.Answer {
        await cloud.call("network", method, "/v2.0" + path, body, as: caller, query: query, headers: headers)
    }

    /// Hands everything that changed to the back end.
    func sync() async throws { while try await service.sync.applyOnce() > 0 {} }

    // MARK: Made in one word

    func make(
        _ noun: String, _ path: String, _ members: JSON, as caller: Caller = .member(),
        _ place: SourceLocation = #_sourceLocation
    ) async throws -> JSON {
        let answer = await call("POST", path, .object(JSONObject([(noun, members)])), as: caller)
        try #require(answer.status == 201, "\(String(decoding: answer.bytes, as: UTF8.self))", sourceLocation: place)
        return answer[noun]
    }

    func network(_ members: JSON = ["name": "inner"], as caller: Caller = .member()) async throws -> String {
        try await make("network", "/networks", members, as: caller).id
    }

    func subnet(_ network: String, _ cidr: String = "10.0.0.0/24", as caller: Caller = .member()) async throws -> String
    {
        try await make(
            "subnet", "/subnets", ["network_id": .string(network), "ip_version": 4, "cidr": .string(cidr)], as: caller
        ).id
    }

    func port(_ network: String, _ more: JSONObject = JSONObject(), as caller: Caller = .member()) async throws -> JSON
    {
        var members = more
        members["network_id"] = .string(network)
        return try await make("port", "/ports", .object(members), as: caller)
    }

    /// An external network with a subnet, made by the administrator.
    func outside() async throws -> (network: String, subnet: String) {
        let network = try await network(
            [
                "name": "public", "router:external": true, "provider:network_type": "flat",
                "provider:physical_network": "external",
            ], as: .admin())
        return (network, try await subnet(network, "203.0.113.0/24", as: .admin()))
    }
}

private final class Made: Sendable {
    let service = Mutex<NetworkService?>(nil)
}

/// Stands for Compute: keeps the events it is sent.
final class ToldCompute: Transport {
    private let bodies = Mutex<[JSON]>([])
    var events: [JSON] { bodies.withLock { $0.flatMap { $0["events"]?.array ?? [] } } }

    func send(_ service: String, _ request: HTTPRequest, as caller: Caller, requestID: String) async -> HTTPResponse {
        let bytes = (try? await request.body.collect(limit: 1 << 20)) ?? []
        if let body = try? JSON.parse(bytes) { bodies.withLock { $0.append(body) } }
        return HTTPResponse(status: 200, body: .bytes(Array("{}".utf8)))
    }
}

extension JSON {
    var id: String { self["id"]?.string ?? "" }
    func text(_ key: String) -> String { self[key]?.string ?? "" }
    var addresses: [String] { self["fixed_ips"]?.array?.compactMap { $0["ip_address"]?.string } ?? [] }
}

extension TestCloud.Answer {
    var type: String { self["NeutronError"].text("type") }
    var message: String { self["NeutronError"].text("message") }
}
