// SPDX-License-Identifier: Apache-2.0
import Kernel
import Placement
import Simulation
import Testing

/// Clients that claim, move and give back at once, of few providers, some from what they read long ago; and a process
/// that ends under them at a moment of the seed's choosing, whose successor takes over the database. Whatever was
/// answered: the books are right, nothing is given out twice, nobody holds what is not there. APUS_SEED repeats one
/// seed; APUS_SEEDS says how many there are.
@Suite(.serialized)
struct ClaimSimulation {
    static let seeds: [UInt64] = {
        if let seed = Environment.variable("APUS_SEED").flatMap(UInt64.init) { return [seed] }
        return (0..<(Environment.variable("APUS_SEEDS").flatMap(UInt64.init) ?? 20)).map { $0 }
    }()

    @Test("Simulated claims never exceed what there is and leave no orphan", arguments: seeds)
    func claims(seed: UInt64) async throws {
        let simulated = Simulated(seed: seed)
        let outcome = await simulated.run { try await Self.play(simulated) }
        #expect(outcome == .done, "seed \(seed)")
    }

    private static func play(_ simulated: Simulated) async throws {
        let path = "/tmp/apus-claims-\(simulated.seed)-\(RandomIdentifiers().hex()).db"
        defer { for suffix in ["", "-wal", "-shm"] { FileSystem.remove(path + suffix) } }
        for life in 0..<3 {
            let process = try await PlacementProcess(path, simulated)
            if life == 0 { try await process.furnish() }
            await withTaskGroup(of: Void.self) { group in
                for client in 0..<4 {
                    group.addTask {
                        await Self.work(process, ClaimSimulation.generator(simulated, life, client), client)
                    }
                }
                group.addTask {
                    let wait = simulated.ids.number(below: 40)
                    for _ in 0..<wait { await Task.yield() }
                    // The last process lives to the end.
                    if life < 2 { await process.database.close() }
                }
            }
            if life == 2 { await process.database.close() }
            let witness = try Database.sqlite(path: path, durable: false)
            simulated.clock.heed(witness)
            #expect(try await Self.problems(witness) == [], "seed \(simulated.seed), life \(life)")
            await witness.close()
        }
    }

    private static func generator(_ simulated: Simulated, _ life: Int, _ client: Int) -> SeededGenerator {
        SeededGenerator(seed: simulated.seed &* 1009 &+ UInt64(life * 10 + client))
    }

    /// A client: mostly claims for new consumers, now and then a move, with a generation it read before, or the end.
    private static func work(_ process: PlacementProcess, _ seeded: SeededGenerator, _ client: Int) async {
        var random = seeded
        func number(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
        var known: [(consumer: String, generation: JSON)] = []
        for turn in 0..<12 {
            let provider = Fixture.id(1 + number(3))
            let resources: JSON = ["VCPU": .integer(Int64(1 + number(3))), "MEMORY_MB": .integer(Int64(1 + number(4)))]
            switch number(5) {
            case 0 where !known.isEmpty:
                let at = number(known.count)
                _ = await process.call("DELETE", "/allocations/\(known[at].consumer)")
                known.remove(at: at)
            case 1 where !known.isEmpty:
                let at = number(known.count)
                _ = await process.call(
                    "PUT", "/allocations/\(known[at].consumer)",
                    process.claim(provider, resources, known[at].generation))
            default:
                let consumer = Fixture.id(Int(random.next() % 900_000_000) + client + turn)
                let answer = await process.call(
                    "PUT", "/allocations/\(consumer)", process.claim(provider, resources, .null))
                if answer.status == 204 { known.append((consumer, 1)) }
                if answer.status == 409 {
                    // What others leave is enough for somebody: look again, as a scheduler does.
                    _ = await process.call(
                        "GET", "/allocation_candidates", query: "resources=VCPU:1,MEMORY_MB:1&limit=2")
                }
            }
        }
    }

    /// What is wrong with the books.
    private static func problems(_ database: Database) async throws(Fault) -> [String] {
        let questions: [(String, SQL)] = [
            (
                "used is not what the allocations come to",
                """
                SELECT i.provider_id FROM placement_inventories i WHERE i.used <> COALESCE((SELECT SUM(a.used)
                FROM placement_allocations a WHERE a.provider_id = i.provider_id
                AND a.resource_class = i.resource_class), 0)
                """
            ),
            (
                "more is given out than there is",
                "SELECT provider_id FROM placement_inventories WHERE used > (total - reserved) * allocation_ratio"
            ),
            (
                "an allocation has no consumer",
                """
                SELECT consumer_id FROM placement_allocations
                WHERE consumer_id NOT IN (SELECT id FROM placement_consumers)
                """
            ),
            (
                "a consumer holds nothing",
                """
                SELECT id FROM placement_consumers
                WHERE id NOT IN (SELECT consumer_id FROM placement_allocations)
                """
            ),
            (
                "an allocation has no inventory",
                """
                SELECT a.provider_id FROM placement_allocations a WHERE NOT EXISTS (SELECT 1
                FROM placement_inventories i WHERE i.provider_id = a.provider_id
                AND i.resource_class = a.resource_class)
                """
            ),
        ]
        var problems: [String] = []
        for (problem, query) in questions where try await !database.rows(query).isEmpty { problems.append(problem) }
        return problems
    }
}

/// Placement in a process of its own, as far as a test can have one: its own connections, its own index.
struct PlacementProcess: Sendable {
    let database: Database
    private let front: Front
    private let ids: SeededIdentifiers

    init(_ path: String, _ simulated: Simulated) async throws {
        let database = try Database.sqlite(path: path, durable: false, clock: simulated.clock)
        simulated.clock.heed(database)
        try await database.migrate(PlacementService.index.migrations)
        let service = PlacementService(
            database: database, clock: simulated.clock, ids: simulated.ids, log: .silent)
        let metrics = Metrics()
        let provisions = Provisions(
            database: database, clock: simulated.clock, ids: simulated.ids, log: .silent, metrics: metrics,
            policy: try Policy(PlacementService.index.rules))
        front = Front(
            [OpenService(service, provisions)], authority: Strangers(), ids: simulated.ids, log: .silent,
            metrics: metrics)
        ids = simulated.ids
        self.database = database
    }

    private struct Strangers: Authority {
        func caller(token: String) async throws(Fault) -> Caller { throw .unauthorized() }
    }

    func call(_ method: String, _ path: String, _ body: JSON? = nil, query: String = "") async -> TestCloud.Answer {
        var headers = HTTPHeaders()
        headers.add("Host", "cloud.test")
        headers.add("OpenStack-API-Version", "placement 1.39")
        if body != nil { headers.add("Content-Type", "application/json") }
        let request = HTTPRequest(
            method: method, path: path, query: query, headers: headers,
            body: body.map { HTTPBody(bytes: $0.bytes()) } ?? .empty, tag: "placement",
            trusted: TrustedCaller(.admin(), requestID: "req-" + ids.uuid()))
        return await TestCloud.read(await front.handle(request))
    }

    func furnish() async throws {
        for number in 1...3 {
            let id = Fixture.id(number)
            _ = await call("POST", "/resource_providers", ["uuid": .string(id), "name": .string("p\(number)")])
            let answer = await call(
                "PUT", "/resource_providers/\(id)/inventories",
                [
                    "resource_provider_generation": 0,
                    "inventories": ["VCPU": ["total": 9, "allocation_ratio": 1.5], "MEMORY_MB": ["total": 20]],
                ])
            #expect(answer.status == 200)
        }
    }

    func claim(_ provider: String, _ resources: JSON, _ generation: JSON) -> JSON {
        [
            "allocations": .object([provider: ["resources": resources]]), "project_id": "project-a",
            "user_id": "user-a", "consumer_generation": generation, "consumer_type": "INSTANCE",
        ]
    }
}
