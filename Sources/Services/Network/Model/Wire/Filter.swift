// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A member that lists may be narrowed by, and how.
package struct Filter: Sendable {
    enum Kind: Sendable {
        case text, number, truth
        /// Whether all projects, or the caller's, were let in to objects of this type (RBAC).
        case lent(String)
        /// A condition on the values given, for what is no column.
        case other(@Sendable ([String]) -> SQL)
    }

    let name: String
    let column: String
    let kind: Kind

    static func text(_ name: String, _ column: String? = nil) -> Filter {
        Filter(name: name, column: column ?? name, kind: .text)
    }
    static func number(_ name: String, _ column: String? = nil) -> Filter {
        Filter(name: name, column: column ?? name, kind: .number)
    }
    static func truth(_ name: String, _ column: String? = nil) -> Filter {
        Filter(name: name, column: column ?? name, kind: .truth)
    }
    static func lent(_ type: String) -> Filter { Filter(name: "shared", column: "shared", kind: .lent(type)) }
    static func other(_ name: String, _ condition: @escaping @Sendable ([String]) -> SQL) -> Filter {
        Filter(name: name, column: name, kind: .other(condition))
    }

    /// Those of the standard attributes; `id` is the last so that it ends every order.
    static func standard(_ own: [Filter]) -> [Filter] {
        own + [
            .text("description"), .text("project_id"), .text("tenant_id", "project_id"),
            .number("revision_number"),
            .other("tags") { tagged($0, every: true) }, .other("tags-any") { tagged($0, every: false) },
            .other("not-tags") { "NOT (\(sql: tagged($0, every: true)))" },
            .other("not-tags-any") { "NOT (\(sql: tagged($0, every: false)))" },
            .other("created_at") { moment("created_at", $0) }, .other("updated_at") { moment("updated_at", $0) },
            .other("changed_since") { values in
                "updated_at >= \(values.first.flatMap { Timestamp($0) } ?? Timestamp(microseconds: 0))"
            },
            .text("id"),
        ]
    }

    private static func moment(_ column: String, _ values: [String]) -> SQL {
        let conditions: [SQL] = values.map { value in
            guard let moment = Timestamp(value) else { return "1 = 0" }
            return "(\(raw: column) >= \(moment) AND \(raw: column) < \(moment + .seconds(1)))"
        }
        return conditions.joined(" OR ")
    }

    private static func tagged(_ values: [String], every: Bool) -> SQL {
        // An empty tag is one that nothing has; left out, the condition would be none at all.
        let tags = values.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
        let conditions: [SQL] = tags.map { "id IN (SELECT resource_id FROM network_tags WHERE tag = \($0))" }
        return conditions.joined(every ? " AND " : " OR ")
    }

    var sortKey: SortKey? {
        switch kind {
        case .text: .text(name, column: column)
        case .number, .truth, .lent: .number(name, column: column)
        case .other: nil
        }
    }

    private func condition(_ values: [String], _ project: String) -> SQL {
        switch kind {
        case .text:
            // An empty value finds what is empty, stored as such or not at all.
            let equal: SQL =
                values.count == 1 ? "\(raw: column) = \(values[0])" : "\(raw: column) IN \(values)"
            return values.contains("") ? "(\(sql: equal) OR \(raw: column) IS NULL)" : equal
        case .number:
            return "\(raw: column) IN \(values.compactMap { Int($0) })"
        case .truth:
            return "\(raw: column) IN \(values.compactMap { Format<Bool>.truth($0) })"
        case .lent(let type):
            let lent: SQL = "(shared = 1 OR id IN (\(sql: RBACPolicy.lent(type, to: project))))"
            let wanted = Set(values.compactMap { Format<Bool>.truth($0) })
            return wanted.count == 1 ? (wanted == [true] ? lent : "NOT \(sql: lent)") : "shared IN \(Array(wanted))"
        case .other(let condition):
            return "(\(sql: condition(values)))"
        }
    }

    /// ` AND ...` for every filter in the query; a name that is none is refused, as `filter-validation` promises.
    static func condition(_ filters: [Filter], _ request: Request) throws(Fault) -> SQL {
        var names: [String] = []
        for (name, _) in QueryString.parse(request.http.query) ?? [] where !names.contains(name) { names.append(name) }
        let control = ["fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir", "sort"]
        var sql: SQL = ""
        var unknown: [String] = []
        for name in names where !control.contains(name) {
            guard let filter = filters.first(where: { $0.name == name }) else {
                unknown.append(name)
                continue
            }
            sql += " AND \(sql: filter.condition(request.queryAll(name), request.project))"
        }
        guard unknown.isEmpty else {
            let list = unknown.map { "'\($0)'" }.joined(separator: ", ")
            throw .httpBadRequest("[\(list)] is invalid attribute for filtering")
        }
        return sql
    }
}
