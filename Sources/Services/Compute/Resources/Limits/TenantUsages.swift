// SPDX-License-Identifier: Apache-2.0
import Kernel

/// How long projects' servers ran in a period, and how much they had: what simple billing reads.
enum TenantUsages: Resource {
    static let routes: [Route] = [
        .get(
            "/os-simple-tenant-usage", "List usage of all projects", of: Anything.from,
            allow: .adminOnly("os-simple-tenant-usage:list"), index),
        .get(
            "/os-simple-tenant-usage/{tenant_id}", "Show a project's usage", of: named,
            allow: .reader("os-simple-tenant-usage:show"), show),
    ]

    private struct NamedProject: ProjectOwned { let projectID: String }

    private static func named(_ request: Request) async throws(Fault) -> NamedProject {
        NamedProject(projectID: request["tenant_id"])
    }

    /// The time asked about.
    private struct Period {
        let start: Timestamp
        let stop: Timestamp
        let isDetailed: Bool

        init(_ request: Request) throws(Fault) {
            func moment(_ name: String) throws(Fault) -> Timestamp {
                guard let text = request.query(name) else { return request.now }
                guard let moment = Timestamp(text) else { throw .badRequest("Datetime is in invalid format: \(text)") }
                return moment
            }
            let (start, stop) = (try moment("start"), try moment("end"))
            let isOpen = request.query("start") == nil && request.query("end") == nil
            guard start < stop || isOpen else {
                throw .badRequest("Invalid start time. The start time cannot occur after the end time.")
            }
            self.start = start
            self.stop = min(stop, request.now)
            isDetailed = request.query("detailed") == "1"
        }

        func hours(_ server: Server) -> Double {
            guard let launched = server.launchedAt else { return 0 }
            let (from, to) = (max(launched, start), min(server.terminatedAt ?? stop, stop))
            return from < to ? (to - from).asSeconds / 3600 : 0
        }
    }

    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let period = try Period(request)
        let servers = try await servers(period, request, project: nil)
        let groups = Dictionary(grouping: servers, by: \.projectID)
        let (now, next) = (request.now, next(servers, request))
        return .list(
            "tenant_usages",
            groups.sorted { $0.key < $1.key }.map { project, servers in
                { write(project, servers, period, isDetailed: period.isDetailed, now, &$0) }
            }, extra: { if let next { $0.put("tenant_usages_links", next) } })
    }

    private static func show(_ request: Request, _ project: NamedProject) async throws(Fault) -> Reply {
        let period = try Period(request)
        let servers = try await servers(period, request, project: project.projectID)
        let (now, next) = (request.now, next(servers, request))
        return .bare { view in
            view.nest("tenant_usage") { view in
                if !servers.isEmpty { write(project.projectID, servers, period, isDetailed: true, now, &view) }
            }
            if let next { view.put("tenant_usage_links", next) }
        }
    }

    /// How many servers one answer is about, at most.
    private static func most(_ request: Request) throws(Fault) -> Int {
        let most = request.compute.options.maxLimit
        guard request.version >= "2.40", let text = request.query("limit") else { return most }
        guard let limit = Int(text), limit >= 0 else {
            throw request.index.wording.invalid("limit", .string(text), "'\(text)' is not a non-negative integer")
        }
        return min(most, limit)
    }

    /// The link to the servers that follow, since 2.40.
    private static func next(_ servers: [Server], _ request: Request) -> JSON? {
        guard request.version >= "2.40", let last = servers.last, let most = try? most(request),
            servers.count >= most
        else { return nil }
        let pairs = request.queries.filter { $0.0 != "marker" } + [("marker", last.id)]
        let query = pairs.map { Percent.encode($0.0) + "=" + Percent.encode($0.1) }.joined(separator: "&")
        return [["rel": "next", "href": .string(request.root + request.http.path + "?" + query)]]
    }

    private static func servers(
        _ period: Period, _ request: Request, project: String?
    ) async throws(Fault) -> [Server] {
        var filter: SQL = """
            launched_at IS NOT NULL AND launched_at < \(period.stop)
            AND (terminated_at IS NULL OR terminated_at > \(period.start))
            """
        if let project { filter += " AND project_id = \(project)" }
        if request.version >= "2.40", let marker = request.query("marker") {
            guard let last = try await request.database.first(Server.self, "id = \(marker)") else {
                throw .badRequest("marker [\(marker)] not found")
            }
            filter += " AND number > \(last.number)"
        }
        let most = try most(request)
        return try await request.database.all(Server.self, filter + " ORDER BY number LIMIT \(most)")
    }

    private static func write(
        _ project: String, _ servers: [Server], _ period: Period, isDetailed: Bool, _ now: Timestamp,
        _ view: inout View
    ) {
        func sum(_ amount: (Server) -> Int) -> Double {
            servers.reduce(0) { $0 + Double(amount($1)) * period.hours($1) }
        }
        view.put("tenant_id", project)
        view.put("start", period.start.iso8601Naive)
        view.put("stop", period.stop.iso8601Naive)
        view.put("total_hours", sum { _ in 1 })
        view.put("total_vcpus_usage", sum { $0.vcpus })
        view.put("total_memory_mb_usage", sum { $0.memoryMB })
        view.put("total_local_gb_usage", sum { $0.flavor.diskGiB + $0.flavor.ephemeralGiB })
        guard isDetailed else { return }
        view.list("server_usages", servers) { view, server in
            view.put("instance_id", server.id)
            view.put("name", server.name)
            view.put("tenant_id", server.projectID)
            view.put("flavor", server.flavor.name)
            view.put("hours", period.hours(server))
            view.put("vcpus", server.vcpus)
            view.put("memory_mb", server.memoryMB)
            view.put("local_gb", server.flavor.diskGiB + server.flavor.ephemeralGiB)
            view.put("started_at", server.launchedAt?.iso8601Naive)
            view.put("ended_at", server.terminatedAt?.iso8601Naive)
            view.put("state", server.terminatedAt == nil ? server.vmState.rawValue : "terminated")
            let end = server.terminatedAt ?? now
            view.put("uptime", server.launchedAt.map { Int((end - $0).asSeconds) } ?? 0)
        }
    }
}
