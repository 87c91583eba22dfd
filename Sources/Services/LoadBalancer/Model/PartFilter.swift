// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A member that lists may be narrowed and sorted by.
package struct PartFilter: Sendable {
    enum Kind: Sendable { case text, number, truth }

    let name: String
    let column: String
    let kind: Kind

    static func text(_ name: String, _ column: String? = nil) -> PartFilter {
        PartFilter(name: name, column: column ?? name, kind: .text)
    }
    static func number(_ name: String) -> PartFilter { PartFilter(name: name, column: name, kind: .number) }
    static func truth(_ name: String, _ column: String? = nil) -> PartFilter {
        PartFilter(name: name, column: column ?? name, kind: .truth)
    }

    /// Those that all parts have; `id` is the last so that it ends every order.
    static func standing(_ own: [PartFilter]) -> [PartFilter] {
        own + [
            .text("project_id"), .text("tenant_id", "project_id"), .text("provisioning_status"),
            .text("operating_status"), .truth("admin_state_up"), .number("created_at"), .number("updated_at"),
            .text("id"),
        ]
    }

    var sortKey: SortKey? { kind == .text ? .text(name, column: column) : .number(name, column: column) }

    private func condition(_ values: [String]) throws(Fault) -> SQL {
        switch kind {
        case .text: return "\(raw: column) IN \(values)"
        case .number:
            if column.hasSuffix("_at") { return try moment(values) }
            return "\(raw: column) IN \(values.compactMap { Int($0) })"
        case .truth: return "\(raw: column) IN \(values.map { Format<Bool>.truth($0) ?? false })"
        }
    }

    /// Within the second that clients are shown.
    private func moment(_ values: [String]) throws(Fault) -> SQL {
        let conditions: [SQL] = values.map { value in
            guard let moment = Timestamp(value) ?? Timestamp(value + "Z") else { return "1 = 0" }
            return "(\(raw: column) >= \(moment) AND \(raw: column) < \(moment + .seconds(1)))"
        }
        return "(\(sql: conditions.joined(" OR ")))"
    }

    /// ` AND ...` for every filter in the query; a name that is none is refused. What administrators offer has no tags.
    static func condition(
        _ filters: [PartFilter], _ request: Request, isTagged: Bool = true
    ) throws(Fault) -> SQL {
        let control = ["fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir", "sort"]
        var names: [String] = []
        for (name, _) in QueryString.parse(request.http.query) ?? [] where !names.contains(name) { names.append(name) }
        var sql: SQL = ""
        for name in names where !control.contains(name) {
            let values = request.queryAll(name)
            if isTagged, let tagged = PartTag.condition(name, values) {
                sql += " AND \(sql: tagged)"
            } else if let filter = filters.first(where: { $0.name == name }) {
                sql += " AND \(sql: try filter.condition(values))"
            } else {
                throw .badRequest("One or more arguments are either duplicate or invalid")
            }
        }
        return sql
    }
}

/// A word put on a part, kept apart from it so that lists can be narrowed by it.
struct PartTag: Record {
    static let table = "load_balancer_tags"
    let partID: String, tag: String

    static func set(_ transaction: Transaction, _ id: String, _ tags: [String]) throws(Fault) {
        try transaction.delete(PartTag.self, "part_id = \(id)")
        var seen: Set<String> = []
        for tag in tags where seen.insert(tag).inserted { try transaction.insert(PartTag(partID: id, tag: tag)) }
    }

    fileprivate static func condition(_ name: String, _ values: [String]) -> SQL? {
        let tags = values.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
        let each: [SQL] = tags.map { "id IN (SELECT part_id FROM load_balancer_tags WHERE tag = \($0))" }
        switch name {
        case "tags": return "(\(sql: each.joined(" AND ")))"
        case "tags-any": return "(\(sql: each.joined(" OR ")))"
        case "not-tags": return "NOT (\(sql: each.joined(" AND ")))"
        case "not-tags-any": return "NOT (\(sql: each.joined(" OR ")))"
        default: return nil
        }
    }
}

extension PartTag: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-29 load balancer tags
        CREATE TABLE load_balancer_tags (
            part_id VARCHAR(36) NOT NULL, tag VARCHAR(255) NOT NULL, PRIMARY KEY (part_id, tag));
        CREATE INDEX load_balancer_tags_by_tag ON load_balancer_tags (tag)
        """
    ]
}
