// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Synchronization
import Testing

/// A cloud with Identity alone, bootstrapped, and callers with real tokens.
final class IdentityCloud: Sendable {
    let front: Front
    let service: IdentityService
    let database: Database
    let clock: TestClock
    let ids = RandomIdentifiers()
    let notifications = CollectedNotifications()

    init(
        _ options: IdentityOptions = IdentityOptions(), pool: BlockingPool? = nil,
        directories: (any DirectoryOpener)? = nil, doors: FederationDoors = FederationDoors(),
        keys: IdentityKeys? = nil
    ) async throws {
        var options = options
        options.passwordRounds = 4
        clock = TestClock()
        database = try Database.temporary(clock: clock)
        let index = IdentityService.index
        try await database.migrate(index.migrations)
        service = IdentityService(
            database: database, clock: clock, ids: ids, log: .silent,
            pool: pool ?? BlockingPool(name: "passwords", threads: 1, queue: 64),
            keys: keys
                ?? IdentityKeys(
                    tokens: FernetKeys([.random(ids)]), receipts: FernetKeys([.random(ids)]),
                    credentials: FernetKeys([.random(ids)])),
            options: options, directories: directories, notifications: notifications, doors: doors)
        let metrics = Metrics()
        let surroundings = Provisions(
            database: database, clock: clock, ids: ids, log: .silent, metrics: metrics,
            policy: try Policy(index.rules))
        front = Front(
            [OpenService(service, surroundings)], authority: TokenCache(service.authority, clock: clock), ids: ids,
            log: .silent, metrics: metrics)
        try await bootstrap(port: 5000)
    }

    func bootstrap(port: Int) async throws {
        try await Bootstrap.run(
            service, password: "secret", services: [IdentityService.index], ids: ids, clock: clock
        ) { index, interface in "http://cloud.test:\(port)\(index.catalogPath)" }
    }

    func call(
        _ method: String, _ path: String, _ body: JSON? = nil, token: String? = nil, headers: [(String, String)] = [],
        peer: String = "192.0.2.7"
    ) async -> TestCloud.Answer {
        var all = HTTPHeaders()
        all.add("Host", "cloud.test:5000")
        if let token { all.add("X-Auth-Token", token) }
        if body != nil { all.add("Content-Type", "application/json") }
        for (name, value) in headers { all.add(name, value) }
        let parts = path.split(separator: "?", maxSplits: 1).map(String.init)
        let request = HTTPRequest(
            method: method, path: parts[0], query: parts.count > 1 ? parts[1] : "", headers: all,
            body: body.map { HTTPBody(bytes: $0.bytes()) } ?? .empty, peer: peer, tag: "identity")
        return await TestCloud.read(await front.handle(request))
    }

    /// A body that logs in by name in the default domain.
    static func login(_ name: String, _ password: String, scope: JSON? = nil) -> JSON {
        var auth: JSON = [
            "identity": [
                "methods": ["password"],
                "password": [
                    "user": ["name": .string(name), "password": .string(password), "domain": ["id": "default"]]
                ],
            ]
        ]
        if let scope { auth["scope"] = scope }
        return ["auth": auth]
    }

    static let adminProject: JSON = ["project": ["name": "admin", "domain": ["name": "Default"]]]

    func token(_ name: String = "admin", _ password: String = "secret", scope: JSON? = adminProject) async -> String {
        await call("POST", "/v3/auth/tokens", Self.login(name, password, scope: scope)).header("X-Subject-Token") ?? ""
    }

    /// Makes something as the administrator and gives its id.
    func make(_ kind: String, _ body: JSON, at path: String? = nil, token: String) async -> String {
        let answer = await call("POST", path ?? "/v3/\(kind)s", [kind: body], token: token)
        return answer[kind]["id"]?.string ?? "none: \(answer.status) \(answer.json)"
    }

    func role(_ name: String, token: String) async -> String {
        await call("GET", "/v3/roles?name=\(name)", token: token)["roles"][0]?["id"]?.string ?? "none"
    }
}

extension [JSON] {
    func names() -> [String] { compactMap { $0["name"]?.string } }
}

/// A clock that moves when it is told to.
final class TestClock: WallClock {
    private let time = Mutex(Timestamp(seconds: 1_800_000_000))

    func now() -> Timestamp { time.withLock { $0 } }
    func sleep(_ duration: Duration) async throws(CancellationError) { advance(duration) }
    func advance(_ duration: Duration) { time.withLock { $0 = $0 + duration } }
}
