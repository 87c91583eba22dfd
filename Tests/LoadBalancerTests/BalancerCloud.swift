// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import LoadBalancer
import Network
import Simulation
import Synchronization
import Testing

/// The room beside a real Network on a private database, with providers in memory that tests drive by hand.
struct BalancerCloud {
    let cloud: TestCloud
    let service: LoadBalancerService
    let haproxy: FakeLoadBalancerProvider
    let ovn = FakeLoadBalancerProvider(.ovn)
    let certificates = FakeCertificateStore()
    let network: String
    let subnet: String

    /// - Parameter trouble: stands between the room and its providers.
    init(
        options: LoadBalancerOptions = LoadBalancerOptions(), clock: any WallClock = MachineClock(),
        ids: any Identifiers = RandomIdentifiers(),
        trouble: (any LoadBalancerProvider) -> any LoadBalancerProvider = { $0 }
    ) async throws {
        let haproxy = FakeLoadBalancerProvider(.haproxy)
        let providers = BalancerProviders(haproxy: trouble(haproxy), ovn: trouble(ovn))
        let made = Made()
        let store = certificates
        cloud = try await TestCloud(
            clock: clock, ids: ids,
            rooms: { parts in
                NetworkService(
                    database: parts.database, clock: parts.clock, ids: parts.ids, log: parts.log,
                    transport: InProcess(parts.front), caller: .service("neutron"),
                    backend: FakeNetworkBackend(hosts: []))
            },
            { parts in
                let service = LoadBalancerService(
                    database: parts.database, clock: parts.clock, ids: parts.ids, log: parts.log,
                    transport: InProcess(parts.front), caller: .service("octavia"), providers: providers,
                    certificates: store, options: options)
                made.service.withLock { $0 = service }
                return service
            })
        service = try #require(made.service.withLock { $0 })
        self.haproxy = haproxy
        let network = await cloud.call("network", "POST", "/v2.0/networks", ["network": ["name": "inner"]])
        self.network = network["network"].id
        let subnet = await cloud.call(
            "network", "POST", "/v2.0/subnets",
            ["subnet": ["network_id": .string(self.network), "ip_version": 4, "cidr": "10.0.0.0/24"]])
        self.subnet = subnet["subnet"].id
    }

    func call(
        _ method: String, _ path: String, _ body: JSON? = nil, as caller: Caller = .member(), query: String = ""
    ) async -> TestCloud.Answer {
        await cloud.call("load-balancer", method, "/v2" + path, body, as: caller, query: query)
    }

    /// Hands everything that changed to the providers.
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

    func balancer(_ more: JSONObject = [:], as caller: Caller = .member()) async throws -> JSON {
        var members = more
        if members["vip_port_id"] == nil { members["vip_subnet_id"] = .string(subnet) }
        let made = try await make("loadbalancer", "/lbaas/loadbalancers", .object(members), as: caller)
        try await sync()
        return made
    }

    func listener(_ balancer: String, _ more: JSONObject = [:]) async throws -> JSON {
        var members: JSONObject = ["protocol": "HTTP", "protocol_port": 80]
        for (name, value) in more { members[name] = value }
        members["loadbalancer_id"] = .string(balancer)
        let made = try await make("listener", "/lbaas/listeners", .object(members))
        try await sync()
        return made
    }

    func pool(_ balancer: String, _ more: JSONObject = [:]) async throws -> JSON {
        var members: JSONObject = ["protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"]
        for (name, value) in more { members[name] = value }
        members["loadbalancer_id"] = .string(balancer)
        let made = try await make("pool", "/lbaas/pools", .object(members))
        try await sync()
        return made
    }

    func member(_ pool: String, _ address: String = "10.0.0.50", _ more: JSONObject = [:]) async throws -> JSON {
        var members: JSONObject = ["address": .string(address), "protocol_port": 8080]
        for (name, value) in more { members[name] = value }
        let made = try await make("member", "/lbaas/pools/\(pool)/members", .object(members))
        try await sync()
        return made
    }

    func show(_ noun: String, _ path: String) async -> JSON { await call("GET", path)[noun] }
}

private final class Made: Sendable {
    let service = Mutex<LoadBalancerService?>(nil)
}

extension JSON {
    var id: String { self["id"]?.string ?? "" }
    func text(_ key: String) -> String { self[key]?.string ?? "" }
    var provisioning: String { text("provisioning_status") }
    var operating: String { text("operating_status") }
}

extension TestCloud.Answer {
    var fault: String { self["faultstring"].string ?? "" }
}
