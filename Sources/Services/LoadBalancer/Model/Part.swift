// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A row of one of Octavia's nouns that make up a balancer: the balancer itself and everything below it.
package protocol Part: Record, Resource, ProjectOwned {
    static var noun: String { get }
    static var plural: String { get }
    /// What it is called in sentences: `Load Balancer`.
    static var title: String { get }
    /// The middle of its rules' names: `loadbalancer` in `os_load-balancer_api:loadbalancer:get_one`.
    static var ruleName: String { get }
    static var filters: [PartFilter] { get }
    /// What else of the balancer an answer tells of.
    static var kin: Set<Forest.Kind> { get }

    var id: String { get }
    var loadBalancerID: String { get }
    var tags: [String] { get }
    var provisioningStatus: ProvisioningStatus { get set }
    var operatingStatus: OperatingStatus { get set }
    var createdAt: Timestamp { get }
    var updatedAt: Timestamp? { get set }

    func write(_ view: inout View, _ forest: Forest)
}

extension Part {
    static func notFound(_ id: String) -> Fault { .missing(title, id) }

    /// Those that every part ends its object with.
    func writeStanding(_ view: inout View) {
        view.put("id", id)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
        view.put("provisioning_status", provisioningStatus.rawValue)
        view.put("operating_status", operatingStatus.rawValue)
        view.put("created_at", createdAt.octavia)
        view.put("updated_at", updatedAt?.octavia)
        view.put("tags", tags)
    }
}

// MARK: - The handlers that all parts share

extension Part {
    /// The row the path names. The rule that follows decides whether the caller may see it: upstream tells apart what
    /// is not there (404) and what is another's (403).
    package static func found(_ request: Request) async throws(Fault) -> Self {
        try await found(request, request["id"])
    }

    static func found(_ request: Request, _ id: String) async throws(Fault) -> Self {
        try await request.database.one(Self.self, "id = \(id)", or: notFound(id))
    }

    package static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let project = try request.listedProject(ruleName)
        return try await list(request, project.map { "project_id = \($0)" } ?? "1 = 1")
    }

    static func list(_ request: Request, _ base: SQL) async throws(Fault) -> Reply {
        let page = try request.page(
            sortable: filters.compactMap(\.sortKey), defaults: ["created_at"],
            maximum: request.balancing.options.pageMaximum)
        if let marker = page.marker, try await request.database.count(Self.self, "id = \(marker)") == 0 {
            throw .badRequest("Supplied pagination marker '\(marker)' is not valid.")
        }
        let narrowed = try PartFilter.condition(filters, request)
        var rows = try await request.database.all(
            Self.self, page.condition("(\(sql: base))\(sql: narrowed)", table: table))
        if page.isReversed { rows.reverse() }
        let forest = try await Forest(request.database, of: rows.map(\.loadBalancerID), kin)
        let links = request.links(rows.map(\.id), page)
        let name = "\(plural)_links"
        return .list(plural, rows.map { row in { row.write(&$0, forest) } }) { $0.put(named: name, links) }
    }

    package static func show(_ request: Request, _ row: Self) async throws(Fault) -> Reply {
        try await row.reply(request)
    }

    /// The row as it is now.
    static func reply(_ request: Request, id: String) async throws(Fault) -> Reply {
        try await request.database.one(Self.self, "id = \(id)", or: notFound(id)).reply(request)
    }

    func reply(_ request: Request) async throws(Fault) -> Reply {
        let forest = try await Forest(request.database, of: [loadBalancerID], Self.kin)
        return .object(Self.noun) { write(&$0, forest) }
    }

    /// Reads the row again inside a transaction, lets it be changed there and writes it; its balancer is to follow.
    static func change(
        _ request: Request, _ id: String,
        _ edit: @escaping @Sendable (Transaction, inout Self) throws(Fault) -> Touched
    ) async throws(Fault) {
        try await request.database.transaction { transaction throws(Fault) in
            var row = try transaction.one(Self.self, "id = \(id)", or: notFound(id))
            guard row.provisioningStatus != .pendingDelete else { throw .immutable(title, id) }
            let before = row.tags
            let touched = try edit(transaction, &row)
            if row.provisioningStatus != .pendingCreate { row.provisioningStatus = .pendingUpdate }
            row.updatedAt = request.now
            try transaction.replace(row, where: "id = \(id)", or: notFound(id))
            if row.tags != before { try PartTag.set(transaction, id, row.tags) }
            try transaction.touch(row.loadBalancerID, touched, request)
        }
    }

    /// Marks the row as leaving; it goes once the balancer has let go of it. A second call changes nothing.
    static func leave(
        _ request: Request, _ id: String,
        _ check: @escaping @Sendable (Transaction, Self) throws(Fault) -> Touched
    ) async throws(Fault) {
        try await request.database.transaction { transaction throws(Fault) in
            let row = try transaction.one(Self.self, "id = \(id)", or: notFound(id))
            guard row.provisioningStatus != .pendingDelete else { return }
            let touched = try check(transaction, row)
            try transaction.update(
                Self.self,
                set: "provisioning_status = \(ProvisioningStatus.pendingDelete), updated_at = \(request.now)",
                where: "id = \(id)")
            try transaction.touch(row.loadBalancerID, touched, request)
        }
    }

    func insert(_ transaction: Transaction, or conflict: @autoclosure () -> Fault? = nil) throws(Fault) {
        try transaction.insert(self, or: conflict())
        try PartTag.set(transaction, id, tags)
    }
}

/// The parts beside the changed one that are busy while the balancer follows.
package struct Touched: Sendable {
    var listeners: [String] = []
    var pools: [String] = []
    var policies: [String] = []
}

extension Transaction {
    /// Says that a balancer changed: it is to be made anew, and waits for nobody. Refused once it is leaving.
    func touch(_ id: String, _ touched: Touched, _ request: Request) throws(Fault) {
        let balancer = try one(LoadBalancer.self, "id = \(id)", or: LoadBalancer.notFound(id))
        guard !balancer.isLeaving else { throw .immutable(LoadBalancer.title, id) }
        let busy = ProvisioningStatus.pendingUpdate
        let status = balancer.provisioningStatus == .pendingCreate ? .pendingCreate : busy
        try update(
            LoadBalancer.self,
            set: """
                provisioning_status = \(status), generation = generation + 1, attempts = 0, retry_at = 0, \
                updated_at = \(request.now)
                """, where: "id = \(id)")
        let idle: SQL =
            "provisioning_status IN \([ProvisioningStatus.active, ProvisioningStatus.error, busy])"
        let set: SQL = "provisioning_status = \(busy)"
        if !touched.listeners.isEmpty {
            try update(Listener.self, set: set, where: "id IN \(touched.listeners) AND \(sql: idle)")
        }
        if !touched.pools.isEmpty {
            try update(Pool.self, set: set, where: "id IN \(touched.pools) AND \(sql: idle)")
        }
        if !touched.policies.isEmpty {
            try update(L7Policy.self, set: set, where: "id IN \(touched.policies) AND \(sql: idle)")
        }
        let dirty = request.balancing.dirty
        afterCommit { dirty.signal() }
    }

    /// The listeners that a pool serves, by default or by a policy.
    func listeners(ofPool id: String) throws(Fault) -> [String] {
        let direct = try all(Listener.self, "default_pool_id = \(id)").map(\.id)
        return direct + (try all(L7Policy.self, "redirect_pool_id = \(id)").map(\.listenerID))
    }
}

extension Request {
    /// Whose parts a list is about: nil is everybody's.
    func listedProject(_ rule: String) throws(Fault) -> String? {
        let asked = query("project_id") ?? query("tenant_id")
        if may("\(rule):get_all-global", on: OwnedTarget(projectID: asked)) { return asked }
        guard let project = asked ?? caller.projectID, !project.isEmpty,
            may("\(rule):get_all", on: OwnedTarget(projectID: project))
        else { throw .policyForbidden }
        return project
    }

    /// Octavia's links to the pages before and after; an empty list where there is none.
    func links(_ ids: [String], _ page: Page) -> JSON {
        guard let first = ids.first, let last = ids.last else { return .array([]) }
        var standing = ["limit=\(page.limit ?? 0)"]
        for name in ["sort", "sort_key"] { if let value = query(name) { standing.append("\(name)=\(value)") } }
        let address = root + http.path
        func link(_ rel: String, _ more: String...) -> JSON {
            ["rel": .string(rel), "href": .string(address + "?" + (standing + more).joined(separator: "&"))]
        }
        var links: [JSON] = []
        if page.marker != nil { links.append(link("previous", "marker=\(first)", "page_reverse=True")) }
        if ids.count >= page.limit ?? Int.max { links.append(link("next", "marker=\(last)")) }
        return .array(links)
    }
}
