// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A row behind one of Neutron's nouns, with what upstream calls the standard attributes.
package protocol Noun: Record, Resource, PolicyTarget {
    /// What else an answer needs beside the row; fetched once for a whole list.
    associatedtype Extra: Sendable

    static var noun: String { get }
    static var plural: String { get }
    /// The collection in paths: `security-groups`.
    static var collection: String { get }
    static var filters: [Filter] { get }

    var id: String { get }
    var projectID: String { get }
    var description: String { get set }
    var tags: [String] { get set }
    var createdAt: Timestamp { get }
    var updatedAt: Timestamp { get set }
    var revisionNumber: Int { get set }

    static func notFound(_ id: String) -> Fault
    /// The rows a caller may see who is no administrator.
    static func scope(_ project: String) -> SQL
    static func extra(_ request: Request, _ rows: [Self]) async throws(Fault) -> Extra
    /// The same for rows that were just made, to which less can hang.
    static func extra(_ request: Request, made rows: [Self]) async throws(Fault) -> Extra
    func write(_ view: inout View, _ extra: Extra)
    /// Marks a row of another project's that the caller was let in to (RBAC) as shared, which for them it is.
    mutating func lend()
}

extension Noun {
    package static var collection: String { plural }
    package static func scope(_ project: String) -> SQL { "project_id = \(project)" }
    package mutating func lend() {}
    package static func extra(_ request: Request, made rows: [Self]) async throws(Fault) -> Extra {
        try await extra(request, rows)
    }

    fileprivate mutating func adapt(to request: Request) {
        guard projectID != request.project, policyAttribute("router:external") != true, !request.seesAll else { return }
        lend()
    }

    package func policyAttribute(_ name: String) -> JSON? {
        name == "project_id" || name == "tenant_id" ? .string(projectID) : nil
    }

    /// The attributes every noun has, at the end of its object.
    func writeStandard(_ view: inout View) {
        view.put("description", description)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
        view.put("tags", tags)
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
        view.put("revision_number", revisionNumber)
    }
}

extension Noun where Extra == Nothing {
    package static func extra(_ request: Request, _ rows: [Self]) async throws(Fault) -> Nothing { Nothing() }
}

/// What nouns need beside the row that need nothing.
package struct Nothing: Sendable {}

extension Request {
    /// Whether the caller sees every project's rows.
    var seesAll: Bool { may("context_is_admin", on: Anything()) || caller.has(role: "service") }
    var project: String { caller.projectID ?? "" }

    /// The condition that hides other projects' rows.
    /// A caller without a project owns nothing, not even what has no project.
    func scope<N: Noun>(_ type: N.Type) -> SQL {
        seesAll ? "1 = 1" : N.scope(caller.projectID.flatMap { $0.isEmpty ? nil : $0 } ?? "-")
    }

    /// `If-Match: revision_number=7`.
    func constraint() throws(Fault) -> Int? {
        guard let text = header("If-Match") else { return nil }
        let parts = text.filter { $0 != "\"" }.split(separator: "=")
        guard parts.count == 2, parts[0] == "revision_number", let number = Int(parts[1]) else {
            throw .invalidInput("Criteria must be specified as revision_number=<number>")
        }
        return number
    }
}

// MARK: - The handlers that all nouns share

extension Noun {
    /// The row the path names, as far as the caller may see it.
    package static func visible(_ request: Request) async throws(Fault) -> Self {
        let id = request["id"]
        var row = try await request.database.one(
            Self.self, "id = \(id) AND (\(sql: request.scope(Self.self)))", or: notFound(id))
        row.adapt(to: request)
        guard request.may("get_\(noun)", on: row) else { throw notFound(id) }
        return row
    }

    package static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        try await index(request, where: request.scope(Self.self), rule: "get_\(noun)")
    }

    /// The rows among these that the query asks for, and that the rule lets the caller see.
    static func index(_ request: Request, where scope: SQL, rule: String?) async throws(Fault) -> Reply {
        let sortable = filters.compactMap(\.sortKey)
        let bound = request.network.options.pageMaximum
        let page = try request.page(sortable: sortable, defaults: ["id"], maximum: bound > 0 ? bound : nil)
        if let marker = page.marker, try await request.database.count(Self.self, "id = \(marker)") == 0 {
            throw notFound(marker)
        }
        let narrowed = try Filter.condition(filters, request)
        let condition: SQL = "(\(sql: scope))\(sql: narrowed)"
        var rows = try await request.database.all(Self.self, page.condition(condition, table: table))
        let ids = rows.map(\.id)
        if page.isReversed { rows.reverse() }
        // Anybody may list; what they may not see is not there.
        for at in rows.indices { rows[at].adapt(to: request) }
        if let rule { rows = rows.filter { request.may(rule, on: $0) } }
        let extra = try await extra(request, rows)
        return .list(plural, rows, page: page, ids: page.isReversed ? ids.reversed() : ids) { $1.write(&$0, extra) }
    }

    package static func show(_ request: Request, _ row: Self) async throws(Fault) -> Reply {
        try await row.reply(request)
    }

    func reply(_ request: Request) async throws(Fault) -> Reply {
        let extra = try await Self.extra(request, [self])
        return .object(Self.noun) { write(&$0, extra) }
    }

    /// `{"network": {...}}` for a single one asked for, `{"networks": [...]}` for several.
    static func reply(_ request: Request, made rows: [Self]) async throws(Fault) -> Reply {
        guard let first = rows.first else { throw .httpBadRequest("Resource body required") }
        let extra = try await extra(request, made: rows)
        guard request.json?[plural] != nil else { return .object(noun) { first.write(&$0, extra) } }
        return .list(plural, rows) { $1.write(&$0, extra) }
    }

    /// Reads the row again inside a transaction, lets it be changed there, and writes it with its next revision.
    static func change(
        _ request: Request, _ id: String, _ edit: @escaping @Sendable (Transaction, inout Self) throws(Fault) -> Void
    ) async throws(Fault) -> Self {
        let expected = try request.constraint()
        let now = request.now
        return try await request.database.transaction { transaction throws(Fault) in
            var row = try transaction.one(Self.self, "id = \(id)", or: notFound(id))
            if let expected, expected != row.revisionNumber { throw .revision(expected, row.revisionNumber) }
            try edit(transaction, &row)
            row.revisionNumber += 1
            row.updatedAt = now
            try transaction.replace(row, where: "id = \(id)", or: notFound(id))
            return row
        }
    }

    /// Takes note in a transaction that something of the row changed that is kept elsewhere.
    static func bump(_ transaction: Transaction, _ id: String, at now: Timestamp) throws(Fault) {
        try transaction.update(
            Self.self, set: "revision_number = revision_number + 1, updated_at = \(now)", where: "id = \(id)")
    }

    /// Refuses a deletion whose `If-Match` does not hold.
    func checkConstraint(_ expected: Int?) throws(Fault) {
        if let expected, expected != revisionNumber { throw .revision(expected, revisionNumber) }
    }
}

// MARK: - Several at once

/// What a POST asks for: one object under the noun, or several under its plural.
package struct Drafts<Draft: PolicyTarget>: PolicyTarget {
    let items: [Draft]

    /// Reads each of them and judges the rule on all but the first, which the route judges itself.
    init(
        _ request: Request, _ noun: String, _ plural: String, _ read: (inout Body) async throws(Fault) -> Draft
    ) async throws(Fault) {
        var items: [Draft] = []
        for var body in try request.bodies(noun, plural) {
            let draft = try await read(&body)
            try body.end()
            if !items.isEmpty, !request.may("create_\(noun)", on: draft) {
                throw request.index.envelope.refusal("create_\(noun)")
            }
            items.append(draft)
        }
        self.items = items
    }

    package func policyAttribute(_ name: String) -> JSON? { items.first?.policyAttribute(name) }
}

extension Request {
    func bodies(_ noun: String, _ plural: String) throws(Fault) -> [Body] {
        guard let outer = json?.object else { throw .httpBadRequest("Resource body required") }
        guard let several = outer[plural] else {
            guard outer[noun] != nil else {
                throw .httpBadRequest("Unable to find '\(noun)' in request body")
            }
            return [try body(noun)]
        }
        guard case .array(let list) = several else {
            throw .httpBadRequest("Invalid input for \(plural). Reason: '\(several.bare)' is not a list.")
        }
        guard !list.isEmpty else { throw .httpBadRequest("Resources required") }
        // They are made in one transaction, and everybody else's waits for it.
        let most = network.options.bulkMaximum
        guard list.count <= most else {
            throw .neutron(
                413, "HTTPRequestEntityTooLarge",
                "Request is too large: \(plural) names \(list.count), and at most \(most) are made at once.")
        }
        return try list.mapping { item throws(Fault) in
            // The bulk form of the first releases wraps each item once more.
            guard let object = item[noun]?.object ?? item.object else {
                throw .httpBadRequest("Invalid input for \(plural). Reason: '\(item.bare)' is not a dictionary.")
            }
            return Body(object, path: "", request: self)
        }
    }
}

extension Body {
    /// Whose a new thing is: the caller's, or as an administrator says.
    mutating func takeProject(_ request: Request) throws(Fault) -> String {
        let named = try take("project_id", .string())
        let older = try take("tenant_id", .string())
        if let named, let older, named != older {
            throw .httpBadRequest("'project_id' and 'tenant_id' do not match")
        }
        guard let asked = named ?? older, asked != request.project else { return request.project }
        guard request.seesAll else {
            throw .httpBadRequest(
                "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires "
                    + "admin privileges")
        }
        return asked
    }

    mutating func takeTags() throws(Fault) -> [String] {
        Tag.sorted(try take("tags", .strings(.string(60))) ?? [])
    }

    /// Names members that only the cloud writes.
    func refuseReadOnly(_ names: String...) throws(Fault) {
        for name in names where peek(name) != nil {
            throw .httpBadRequest("Attribute '\(name)' not allowed in POST")
        }
    }
}
