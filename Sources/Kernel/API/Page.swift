// SPDX-License-Identifier: Apache-2.0
package import Base
internal import HTTP
internal import JSON
package import SQL

/// A column a list may be sorted by, under the name clients know it by.
package struct SortKey: Sendable {
    package let name: String
    package let column: String
    /// What stands in for NULL when rows are compared: text sorts with `''`, numbers with 0.
    package let isText: Bool

    /// Whether rows may have NULL there. A column without may be sorted by an index.
    let mayBeNull: Bool

    package static func text(_ name: String, column: String? = nil, mayBeNull: Bool = true) -> SortKey {
        SortKey(name: name, column: column ?? name, isText: true, mayBeNull: mayBeNull)
    }
    package static func number(_ name: String, column: String? = nil, mayBeNull: Bool = true) -> SortKey {
        SortKey(name: name, column: column ?? name, isText: false, mayBeNull: mayBeNull)
    }

    fileprivate var comparable: SQL {
        if !mayBeNull { return "\(raw: column)" }
        return isText ? "COALESCE(\(raw: column), '')" : "COALESCE(\(raw: column), 0)"
    }
}

/// A part of a list: so many rows after a marker, in an order that is total because the id ends it.
package struct Page: Sendable {
    package let limit: Int?
    package let marker: String?
    package let order: [(key: SortKey, descending: Bool)]
    /// Neutron's `page_reverse`: the rows before the marker.
    package let isReversed: Bool
    /// Whether the client named a limit itself.
    package let isAsked: Bool
    let request: Request

    /// What follows WHERE: the condition, then the marker's place, the order and the limit.
    /// - Parameter id: the column that `marker` is looked up in.
    package func condition(_ base: SQL, table: String, id: String = "id") -> SQL {
        var sql: SQL = base.isEmpty ? "1 = 1" : "(\(sql: base))"
        if let marker { sql = sql + " AND (\(sql: after(marker, table: table, id: id)))" }
        sql = sql + " ORDER BY "
        for (at, part) in order.enumerated() {
            sql = sql + (at == 0 ? "" : ", ")
            sql = sql + part.key.comparable + (part.descending != isReversed ? " DESC" : " ASC")
        }
        if let limit { sql = sql + " LIMIT \(limit)" }
        return sql
    }

    /// Keyset paging: rows whose sort values come after the marker's, written without row values so that mixed
    /// directions work on every engine.
    private func after(_ marker: String, table: String, id: String) -> SQL {
        var whole: SQL = "1 = 0"
        for depth in order.indices {
            var part: SQL = ""
            for at in 0...depth {
                let (key, descending) = order[at]
                let value: SQL =
                    "(SELECT \(sql: key.comparable) FROM \(raw: table) WHERE \(raw: id) = \(marker))"
                let sign: SQL = at < depth ? " = " : (descending != isReversed ? " < " : " > ")
                part = part + (at == 0 ? "" : " AND ") + key.comparable + sign + value
            }
            whole = whole + " OR (" + part + ")"
        }
        return whole
    }
}

extension Request {
    /// The page the query asks for.
    /// - Parameters:
    ///   - sortable: what clients may sort by; the last one must be unique and ends every order.
    ///   - defaults: the order when the client names none, by name; `-` in front means descending.
    ///   - maximum: the most rows in one answer.
    package func page(
        sortable: [SortKey], defaults: [String], maximum: Int? = nil, since: Microversion? = nil
    ) throws(Fault) -> Page {
        let limit = try limit(maximum: maximum)
        var order: [(key: SortKey, descending: Bool)] = []
        for (name, descending) in try sorting(defaults) {
            guard let key = sortable.first(where: { $0.name == name }) else {
                throw index.wording.invalid("sort_key", .string(name), "'\(name)' cannot be sorted by.")
            }
            // A key named again orders nothing more.
            if !order.contains(where: { $0.key.name == name }) { order.append((key, descending)) }
        }
        if let last = sortable.last, !order.contains(where: { $0.key.name == last.name }) {
            order.append((last, order.last?.descending ?? false))
        }
        let marker = query("marker", since: since)
        return Page(
            limit: limit ?? maximum, marker: marker?.isEmpty == true ? nil : marker, order: order,
            isReversed: try flag("page_reverse") ?? false, isAsked: limit != nil, request: self)
    }

    private func limit(maximum: Int?) throws(Fault) -> Int? {
        guard let text = query("limit") else { return nil }
        guard let limit = Int(text) else {
            throw index.wording.invalid("limit", .string(text), "limit must be an integer, not '\(text)'")
        }
        guard limit >= 0 else {
            throw index.wording.invalid("limit", .integer(Int64(limit)), "limit must not be negative")
        }
        // To Neutron no items at all means no bound.
        if limit == 0, index.envelope.pageLinks == .neutron { return nil }
        return maximum.map { min($0, limit) } ?? limit
    }

    /// `sort_key`/`sort_dir` pairs, or OpenStack's shorter `sort=name:asc,created_at:desc`.
    private func sorting(_ defaults: [String]) throws(Fault) -> [(String, Bool)] {
        var order: [(String, Bool)] = []
        let directions = queryAll("sort_dir")
        for (at, name) in queryAll("sort_key").enumerated() {
            let fallback = directions.last ?? (index.envelope.pageLinks == .neutron ? "asc" : "desc")
            order.append((name, try descending(at < directions.count ? directions[at] : fallback)))
        }
        if order.isEmpty, let short = query("sort") {
            for part in short.split(separator: ",") {
                let pieces = part.split(separator: ":", maxSplits: 1)
                guard let name = pieces.first else { continue }
                order.append((String(name), try descending(pieces.count > 1 ? String(pieces[1]) : "desc")))
            }
        }
        if !order.isEmpty { return order }
        let whole = try directions.first.map { direction throws(Fault) in try descending(direction) }
        return defaults.map { name in
            name.hasPrefix("-") ? (String(name.dropFirst()), whole ?? true) : (name, whole ?? false)
        }
    }

    private func descending(_ direction: String) throws(Fault) -> Bool {
        switch direction {
        case "asc": return false
        case "desc": return true
        default:
            throw index.wording.invalid("sort_dir", .string(direction), "'\(direction)' is neither 'asc' nor 'desc'")
        }
    }
}

// MARK: - Links

extension Page {
    /// The links to neighbouring pages, in the manner of the service.
    func writeLinks(_ view: inout View, collection: String, ids: [String]) {
        let full = limit.map { $0 > 0 && ids.count >= $0 } ?? false
        switch request.index.envelope.pageLinks {
        case .none: break
        case .nova:
            guard full, let last = ids.last else { return }
            links(&view, collection, [("next", address(marker: last))])
        case .neutron:
            guard isAsked, limit != nil else { return }
            // A page beyond the end links back to the last one that holds something.
            var list: [(String, String)] = []
            if full || isReversed { list.append(("next", address(marker: ids.last))) }
            if full || !isReversed { list.append(("previous", address(marker: ids.first, reversed: true))) }
            if !list.isEmpty { links(&view, collection, list) }
        case .glance:
            view.put("first", path(marker: nil))
            if full, let last = ids.last { view.put("next", path(marker: last)) }
        case .keystone:
            let next = isAsked && full ? ids.last.map { address(marker: $0) } : nil
            view.nest("links") {
                $0.put("next", next)
                $0.put("self", self.selfAddress)
                $0.put("previous", String?.none)
            }
        }
    }

    private func links(_ view: inout View, _ collection: String, _ links: [(String, String)]) {
        let documents = links.map { JSON.object(JSONObject([("rel", .string($0.0)), ("href", .string($0.1))])) }
        view.put(named: "\(collection)_links", JSON.array(documents))
    }

    private var selfAddress: String {
        request.root + request.http.path + (request.http.query.isEmpty ? "" : "?" + request.http.query)
    }

    private func address(marker: String?, reversed: Bool = false) -> String {
        request.root + path(marker: marker, reversed: reversed)
    }

    private func path(marker: String?, reversed: Bool = false) -> String {
        var pairs = request.queries.filter { $0.0 != "marker" && $0.0 != "page_reverse" }
        if let marker { pairs.append(("marker", marker)) }
        if reversed { pairs.append(("page_reverse", "True")) }
        let query = pairs.map { Percent.encode($0.0) + "=" + Percent.encode($0.1) }.joined(separator: "&")
        return request.http.path + (query.isEmpty ? "" : "?" + query)
    }
}
