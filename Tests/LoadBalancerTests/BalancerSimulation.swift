// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import Simulation
import Synchronization
import Testing

/// Balancers that are made, changed and deleted while providers fail and the process dies in the middle of its work: in
/// the end nothing is busy, nothing is left of what was deleted, and providers have what is written.
@Suite(.serialized)
struct BalancerSimulation {
    static let seeds: [UInt64] = {
        if let one = Environment.variable("APUS_SEED").flatMap({ UInt64($0) }) { return [one] }
        return (1...(Environment.variable("APUS_SEEDS").flatMap { UInt64($0) } ?? 6)).map { $0 }
    }()

    @Test("A process may die at any moment of a balancer's life", arguments: seeds)
    func lives(seed: UInt64) async throws {
        let simulated = Simulated(seed: seed)
        let outcome = await simulated.run { try await Self.play(simulated) }
        #expect(outcome == .done, "seed \(seed)")
    }

    private static func play(_ simulated: Simulated) async throws {
        var chance = SeededGenerator(seed: simulated.seed &* 13 &+ 3)
        let trouble = Trouble(simulated.clock, seed: chance.next())
        let cloud = try await BalancerCloud(
            clock: simulated.clock, ids: simulated.ids, trouble: { TroubledProvider($0, trouble) })
        let writer = Writer(cloud: cloud)
        for _ in 0..<16 {
            trouble.set(failing: chance.next() % 3 == 0)
            for _ in 0..<4 { await writer.act(chance.next(), chance.next()) }
            let draws = (0..<6).map { _ in chance.next() }
            await live(cloud, for: .milliseconds(Int(chance.next() % 400)), simulated.clock) {
                for draw in draws {
                    await writer.act(draw, draw >> 8)
                    try? await simulated.clock.sleep(.milliseconds(Int(draw % 50)))
                }
            }
            // Some writes find the process down only after they were taken.
            await writer.act(chance.next(), chance.next())
            if chance.next() % 4 == 0, let lost = await cloud.haproxy.balancers.keys.sorted().first {
                await cloud.haproxy.lose(lost)
            }
        }
        trouble.set(failing: false)
        await live(cloud, for: .seconds(300), simulated.clock)
        try await check(cloud, simulated.seed)
        // Whatever the status: a balancer can be deleted, and nothing of it stays.
        for id in await writer.balancers() {
            let answer = await cloud.call("DELETE", "/lbaas/loadbalancers/\(id)", query: "cascade=true")
            #expect(answer.status == 204, "seed \(simulated.seed): \(answer.fault)")
        }
        await live(cloud, for: .seconds(300), simulated.clock)
        let tables = [
            "load_balancers", "listeners", "pools", "members", "health_monitors", "l7policies", "l7rules", "tags",
        ]
        for table in tables {
            let left = try await cloud.cloud.database.rows("SELECT * FROM load_balancer_\(raw: table)")
            #expect(left.isEmpty, "seed \(simulated.seed): \(table) are left")
        }
        for provider in [cloud.haproxy, cloud.ovn] {
            #expect(await provider.balancers.isEmpty, "seed \(simulated.seed)")
        }
        let listed = await cloud.cloud.call("network", "GET", "/v2.0/ports", as: .admin())["ports"].array ?? []
        // The network's own one goes with the network.
        let ports = listed.filter { $0.text("device_owner") != "network:distributed" }
        #expect(ports.isEmpty, "seed \(simulated.seed): ports of nobody")
    }

    /// A process that lives for so long and is then killed; what is written meanwhile is written to its end.
    private static func live(
        _ cloud: BalancerCloud, for time: Duration, _ clock: SimulatedClock,
        _ writing: @escaping @Sendable () async -> Void = {}
    ) async {
        let sync = cloud.service.sync
        async let written: Void = writing()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await sync.run() }
            group.addTask { try? await clock.sleep(time) }
            await group.next()
            group.cancelAll()
        }
        await written
    }

    private static func check(_ cloud: BalancerCloud, _ seed: UInt64) async throws {
        let database = cloud.cloud.database
        let tables = ["load_balancers", "listeners", "pools", "members", "health_monitors", "l7policies", "l7rules"]
        for table in tables {
            let busy = try await database.rows(
                "SELECT * FROM load_balancer_\(raw: table) WHERE provisioning_status <> 'ACTIVE'")
            #expect(busy.isEmpty, "seed \(seed): \(table) \(busy)")
        }
        let written = try await database.rows("SELECT id, provider, generation FROM load_balancer_load_balancers")
        let made = await cloud.haproxy.balancers.merging(cloud.ovn.balancers) { first, _ in first }
        #expect(Set(made.keys) == Set(written.compactMap { $0.text("id") }), "seed \(seed)")
        for (id, spec) in made {
            let members = try await database.rows("SELECT id FROM load_balancer_members WHERE load_balancer_id = \(id)")
            #expect(
                Set(spec.pools.flatMap(\.members).map(\.id)) == Set(members.compactMap { $0.text("id") }),
                "seed \(seed)")
            let listeners = try await database.rows(
                "SELECT id FROM load_balancer_listeners WHERE load_balancer_id = \(id)")
            #expect(Set(spec.listeners.map(\.id)) == Set(listeners.compactMap { $0.text("id") }), "seed \(seed)")
        }
    }
}

/// Somebody who writes whatever comes to mind; refusals are fine, as long as they are no faults of ours.
private struct Writer {
    let cloud: BalancerCloud

    func balancers() async -> [String] { await ids("/lbaas/loadbalancers", "loadbalancers") }

    private func ids(_ path: String, _ plural: String) async -> [String] {
        await cloud.call("GET", path)[plural].array?.map(\.id) ?? []
    }

    private func one(_ plural: String, _ draw: UInt64) async -> String {
        let all = await ids("/lbaas/\(plural)", plural)
        return all.isEmpty ? "nobody" : all[Int(draw % UInt64(all.count))]
    }

    private func send(_ method: String, _ path: String, _ body: JSON? = nil, query: String = "") async {
        let answer = await cloud.call(method, "/lbaas" + path, body, query: query)
        #expect(answer.status < 500 || answer.status == 501, "\(method) \(path): \(answer.status) \(answer.fault)")
    }

    func act(_ draw: UInt64, _ other: UInt64) async {
        let number = Int(other % 60)
        let balancer = JSON.string(await one("loadbalancers", other))
        let pool = await one("pools", other)
        let listener = await one("listeners", other)
        switch draw % 12 {
        case 0:
            let body: JSON = [
                "loadbalancer": [
                    "vip_subnet_id": .string(cloud.subnet), "provider": other % 3 == 0 ? "ovn" : "haproxy",
                    "vip_address": .string("10.0.0.\(120 + number)"), "tags": ["a"],
                ]
            ]
            await send("POST", "/loadbalancers", body)
        case 1, 2:
            let body: JSON = [
                "listener": [
                    "loadbalancer_id": balancer, "protocol": "TCP", "protocol_port": .integer(Int64(80 + number)),
                    "default_pool_id": other % 2 == 0 ? .string(pool) : .null,
                ]
            ]
            await send("POST", "/listeners", body)
        case 3, 4:
            let algorithm: JSON = other % 3 == 0 ? "SOURCE_IP_PORT" : "ROUND_ROBIN"
            let body: JSON = [
                "pool": ["loadbalancer_id": balancer, "protocol": "TCP", "lb_algorithm": algorithm]
            ]
            await send("POST", "/pools", body)
        case 5, 6:
            let body: JSON = ["member": ["address": .string("10.0.0.\(50 + number)"), "protocol_port": 80]]
            await send("POST", "/pools/\(pool)/members", body)
        case 7:
            let body: JSON = [
                "healthmonitor": [
                    "pool_id": .string(pool), "type": "TCP", "delay": 5, "timeout": 3, "max_retries": 2,
                ]
            ]
            await send("POST", "/healthmonitors", body)
        case 8:
            let members: [JSON] = [["address": .string("10.0.0.\(50 + number)"), "protocol_port": 81]]
            await send("PUT", "/pools/\(pool)/members", ["members": .array(members)])
        case 9:
            let name = JSON.string("name-\(number)")
            await send("PUT", "/listeners/\(listener)", ["listener": ["name": name, "connection_limit": 7]])
        case 10:
            let victim = ["/listeners/\(listener)", "/pools/\(pool)"][number % 2]
            await send("DELETE", victim)
        default:
            let cascade = other % 2 == 0 ? "cascade=true" : ""
            await send("DELETE", "/loadbalancers/\(balancer.string ?? "")", query: cascade)
        }
    }
}

/// When providers fail, and how long they take.
private final class Trouble: Sendable {
    private struct State {
        var chance: SeededGenerator
        var isFailing = false
    }
    private let state: Mutex<State>
    private let clock: SimulatedClock

    init(_ clock: SimulatedClock, seed: UInt64) {
        self.clock = clock
        state = Mutex(State(chance: SeededGenerator(seed: seed)))
    }

    func set(failing: Bool) { state.withLock { $0.isFailing = failing } }

    /// Takes its time, in which the process may end, and may fail.
    func pass() async throws(Fault) {
        let (pause, fails) = state.withLock { state in
            (state.chance.next() % 60, state.isFailing && state.chance.next() % 3 == 0)
        }
        do { try await clock.sleep(.milliseconds(Int(pause))) } catch { throw .unavailable("The process ended.") }
        if fails { throw .unavailable("The provider has its troubles.") }
    }
}

/// A provider that takes time before and after its deeds, and fails on either side of them.
private struct TroubledProvider: LoadBalancerProvider {
    private let provider: any LoadBalancerProvider
    private let trouble: Trouble

    init(_ provider: any LoadBalancerProvider, _ trouble: Trouble) {
        self.provider = provider
        self.trouble = trouble
    }

    var abilities: ProviderAbilities { provider.abilities }

    func put(_ balancer: BalancerSpec) async throws(Fault) {
        try await trouble.pass()
        try await provider.put(balancer)
        try await trouble.pass()
    }

    func remove(_ balancer: String) async throws(Fault) {
        try await trouble.pass()
        try await provider.remove(balancer)
        try await trouble.pass()
    }

    func present() async throws(Fault) -> Set<String> {
        try await trouble.pass()
        return try await provider.present()
    }

    func report(_ balancer: String) async throws(Fault) -> BalancerReport? {
        try await trouble.pass()
        return try await provider.report(balancer)
    }
}
