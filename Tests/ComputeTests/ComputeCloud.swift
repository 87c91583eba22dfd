// SPDX-License-Identifier: Apache-2.0
import Clients
import Compute
import Kernel
import Placement
import Simulation
import Synchronization
import Testing

/// Compute in process with fake hosts, real Placement, and fakes of the two rooms it calls.
struct ComputeCloud {
    let cloud: TestCloud
    let room: ComputeService
    let network: FakeNetwork
    let images: FakeImages
    let hosts: [String: FakeHypervisor]
    let secrets: FakeSecretStore
    /// Nil in a cloud without Block storage.
    let storage: FakeBlockStorage?

    static let image = FakeImages.id

    init(
        hosts count: Int = 1, options: ComputeOptions = ComputeOptions(), each: HostResources? = nil,
        clock: any WallClock = MachineClock(), ids: any Identifiers = RandomIdentifiers(),
        certificates: [String: [UInt8]] = [:],
        storage: FakeBlockStorage? = nil, neighbour: (any Service)? = nil
    ) async throws {
        self.storage = storage
        var drivers: [String: FakeHypervisor] = [:]
        for number in 1...max(1, count) where count > 0 {
            let name = "host-\(number)"
            var facts = each ?? .fake(name)
            facts.hostName = name
            drivers[name] = FakeHypervisor(host: facts, clock: clock)
        }
        let other: any Service = storage.map { $0 as any Service } ?? neighbour ?? FakeNowhere()
        let (hosts, network, images, held) = (drivers, FakeNetwork(), FakeImages(), Held())
        let secrets = FakeSecretStore()
        self.secrets = secrets
        let options = ComputeCloud.calm(options, clock)
        cloud = try await TestCloud(
            clock: clock, ids: ids, log: Log(sink: .stderr, level: .error, clock: MachineClock()),
            rooms: { _ in images }, { _ in network }, { _ in other },
            { PlacementService(database: $0.database, clock: $0.clock, ids: $0.ids, log: $0.log) },
            { parts in
                let room = ComputeService(
                    database: parts.database, clock: parts.clock, ids: parts.ids, log: parts.log,
                    queue: OperationQueue(database: parts.database, clock: parts.clock, ids: parts.ids),
                    transport: InProcess(parts.front), caller: .service(), hosts: HypervisorHosts(hosts),
                    options: options, secrets: secrets,
                    certificates: { id async throws(Fault) in
                        guard let bytes = certificates[id] else { return try await ComputeService.noCertificate(id) }
                        return bytes
                    })
                held.room.withLock { $0 = room }
                return room
            })
        room = try #require(held.room.withLock { $0 })
        self.network = network
        self.images = images
        self.hosts = hosts
        if count > 0 { try await HostReporter(room).report() }
    }

    /// Hosts report once here. On a busy machine a minute of the real clock goes by before a test is over, and they
    /// would be down; whoever wants that has a clock of its own, or forces it.
    private static func calm(_ options: ComputeOptions, _ clock: any WallClock) -> ComputeOptions {
        var options = options
        if clock is MachineClock || clock is AdvancedClock { options.serviceDownTime = .seconds(86_400) }
        return options
    }

    private final class Held: Sendable {
        let room = Mutex<ComputeService?>(nil)
    }

    /// Runs the queued operations until none is left, or until something else is true.
    func work(until isDone: (() async throws -> Bool)? = nil) async throws {
        let queue = room.queue
        try await working { try await until(isDone ?? { try await queue.unfinished() == 0 }) }
    }

    /// Has one process work off the queue while something is done.
    func working(_ body: () async throws -> Void) async throws {
        let worker = Worker(
            room.queue, name: "test", kinds: ComputeKinds.all(room), log: room.log, isExclusive: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await worker.run() }
            try await body()
            group.cancelAll()
        }
    }

    /// Returns when something has come true. What never does fails in the end, long after the slowest machine.
    func until(_ isDone: () async throws -> Bool) async throws {
        let watch = Stopwatch()
        while try await !isDone() {
            guard watch.elapsed < .seconds(600) else {
                throw Fault.internalError("operations do not end: \(try await room.queue.unfinished()) are left")
            }
            await Task.yield()
        }
    }

    func call(
        _ method: String, _ path: String, _ body: JSON? = nil, at version: String = "2.1",
        as caller: Caller = .member(), query: String = ""
    ) async -> TestCloud.Answer {
        await cloud.call("compute", method, "/v2.1" + path, body, at: version, as: caller, query: query)
    }

    /// A flavor by name, made by an administrator.
    func flavor(_ id: String = "small", vcpus: Int = 1, ram: Int = 512, disk: Int = 1) async {
        let answer = await call(
            "POST", "/flavors",
            [
                "flavor": [
                    "id": .string(id), "name": .string("f-" + id), "vcpus": .integer(Int64(vcpus)),
                    "ram": .integer(Int64(ram)), "disk": .integer(Int64(disk)),
                ]
            ], as: .admin())
        #expect(answer.status == 200, "\(answer.json.text())")
    }

    static func draft(_ members: JSONObject = [:]) -> JSON {
        var server: JSONObject = ["name": "web", "imageRef": .string(image), "flavorRef": "small"]
        for (name, value) in members { server[name] = value }
        return ["server": .object(server)]
    }

    /// A server that runs.
    func server(_ members: JSONObject = [:], at version: String = "2.1") async throws -> String {
        let answer = await call("POST", "/servers", Self.draft(members), at: version)
        #expect(answer.status == 202, "\(answer.json.text())")
        try await work()
        return answer["server"]["id"]?.string ?? ""
    }

    func show(_ id: String, at version: String = "2.1", as caller: Caller = .admin()) async -> JSON {
        await call("GET", "/servers/\(id)", at: version, as: caller)["server"]
    }

    @discardableResult
    func act(_ id: String, _ action: JSON, at version: String = "2.1", as caller: Caller = .member()) async
        -> TestCloud.Answer
    {
        await call("POST", "/servers/\(id)/action", action, at: version, as: caller)
    }
}

/// A service nobody asks for, where a cloud is without one.
private final class FakeNowhere: Service {
    static let index = ServiceIndex(
        type: "nowhere", name: "nowhere", title: "Nowhere", port: 1, mount: "/nowhere", base: "/v1",
        versions: .fixed("1.0"), envelope: .plain, wording: .nova, resources: [])
}

extension TestCloud.Answer {
    /// The sentence in Nova's fault envelope.
    var message: String { json.object?.first { _ in true }?.value["message"]?.string ?? "" }
}
