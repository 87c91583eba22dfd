// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// Services in process, on a private database, without a socket: what room tests call. Callers are made up by role;
/// everything else is real: router, policy, versions, faults, SQL.
package final class TestCloud: Sendable {
    package let front: Front
    package let database: Database
    package let clock: any WallClock
    package let ids: any Identifiers
    package let log: Log

    package typealias Room = @Sendable (TestCloud.Parts) async throws -> any Service

    /// What a room is built from.
    package struct Parts: Sendable {
        package let database: Database
        package let clock: any WallClock
        package let ids: any Identifiers
        package let log: Log
        package let metrics: Metrics
        /// The cloud's front, once all rooms are open and as long as the cloud is there.
        package let front: @Sendable () -> Front?
    }

    /// Opens rooms on a new temporary database with their tables.
    package init(
        clock: any WallClock = MachineClock(), ids: any Identifiers = RandomIdentifiers(), log: Log = .silent,
        rooms: Room...
    ) async throws {
        let database = try Database.temporary()
        (clock as? SimulatedClock)?.heed(database)
        let metrics = Metrics()
        let knot = FrontKnot()
        let parts = Parts(
            database: database, clock: clock, ids: ids, log: log, metrics: metrics, front: { knot.front })
        try await database.migrate(OperationRecord.migrations)
        var open: [OpenService] = []
        for room in rooms {
            let service = try await room(parts)
            let index = type(of: service).index
            try await database.migrate(index.migrations)
            let policy = try Policy(index.rules)
            open.append(
                OpenService(
                    service,
                    Provisions(
                        database: database, clock: clock, ids: ids, log: log, metrics: metrics, policy: policy)))
        }
        let front = Front(open, authority: NobodyKnows(), ids: ids, log: log, metrics: metrics)
        knot.tie(front)
        self.front = front
        self.database = database
        self.clock = clock
        self.ids = ids
        self.log = log
    }

    /// An answer with its body read.
    package struct Answer: Sendable {
        package let status: Int
        package let headers: [(String, String)]
        package let bytes: [UInt8]

        package var json: JSON { (try? JSON.parse(bytes, limits: .trusted)) ?? .null }
        package subscript(_ key: String) -> JSON { json[key] ?? .null }
        package func header(_ name: String) -> String? {
            headers.first { $0.0.lowercased() == name.lowercased() }?.1
        }
    }

    /// Calls a service as a member of the made-up project `project-a`, or as whoever is said.
    package func call(
        _ service: String, _ method: String, _ path: String, _ body: JSON? = nil, at version: String? = nil,
        as caller: Caller = .member(), query: String = "", headers: [(String, String)] = []
    ) async -> Answer {
        var all = HTTPHeaders()
        all.add("Host", "cloud.test")
        if let version { all.add("OpenStack-API-Version", "\(service) \(version)") }
        if body != nil { all.add("Content-Type", "application/json") }
        for (name, value) in headers { all.add(name, value) }
        let request = HTTPRequest(
            method: method, path: path, query: query, headers: all,
            body: body.map { HTTPBody(bytes: $0.bytes()) } ?? .empty, tag: service,
            trusted: TrustedCaller(caller, requestID: "req-" + ids.uuid()))
        return await TestCloud.read(await front.handle(request))
    }

    /// Sends raw bytes, for bodies that are no JSON.
    package func send(
        _ service: String, _ method: String, _ path: String, bytes: [UInt8], type: String,
        as caller: Caller = .member(), headers: [(String, String)] = []
    ) async -> Answer {
        var all = HTTPHeaders()
        all.add("Host", "cloud.test")
        all.add("Content-Type", type)
        for (name, value) in headers { all.add(name, value) }
        let request = HTTPRequest(
            method: method, path: path, headers: all, body: HTTPBody(bytes: bytes), tag: service,
            trusted: TrustedCaller(caller, requestID: "req-" + ids.uuid()))
        return await TestCloud.read(await front.handle(request))
    }

    package static func read(_ response: HTTPResponse) async -> Answer {
        var bytes: [UInt8] = []
        switch response.body {
        case .bytes(let whole): bytes = whole
        case .file(let file, let offset, let length): bytes = file.bytes(offset: offset, length: length)
        case .stream(_, let produce):
            let gathered = Gathered()
            try? await produce(ResponseWriter { chunk in gathered.append(chunk) })
            bytes = gathered.all
        case .empty, .upgrade: break
        }
        return Answer(status: response.status, headers: response.headers, bytes: bytes)
    }
}

/// The knot between the rooms, which call each other through the front, and the front, which is made of rooms. It holds
/// nobody: a cloud goes with the test that made it, and its database, its threads and its files go with the cloud.
private final class FrontKnot: Sendable {
    private struct Tied: Sendable {
        weak var front: Front?
    }

    private let tied = Mutex(Tied())

    var front: Front? { tied.withLock { $0.front } }
    func tie(_ front: Front) { tied.withLock { $0.front = front } }
}

/// Test requests carry their caller with them, so no token is ever good.
private struct NobodyKnows: Authority {
    func caller(token: String) async throws(Fault) -> Caller { throw .unauthorized() }
}

extension Caller {
    /// A member of a project.
    package static func member(
        _ user: String = "user-a", project: String = "project-a", roles: [String] = ["member", "reader"]
    ) -> Caller {
        Caller(
            userID: user, userName: user, projectID: project, projectName: project, projectDomainID: "default",
            projectDomainName: "Default", roles: roles)
    }

    package static func reader(_ user: String = "user-r", project: String = "project-a") -> Caller {
        .member(user, project: project, roles: ["reader"])
    }

    /// The administrator of the whole cloud, in a project of its own.
    package static func admin(project: String = "project-admin") -> Caller {
        .member("admin", project: project, roles: ["admin", "manager", "member", "reader"])
    }

    /// A service acting for itself.
    package static func service(_ user: String = "nova") -> Caller {
        .member(user, project: "service", roles: ["admin", "service"])
    }
}
