// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A row of what administrators offer to everybody: flavors, zones, and the profiles behind them.
protocol Offering: Record, Resource {
    static var plural: String { get }
    static var links: String { get }
    static var title: String { get }
    static var filters: [PartFilter] { get }
    /// What rows are called by: `id`, or `name` for zones.
    static var key: String { get }

    var keyValue: String { get }
    func write(_ view: inout View)
}

extension Offering {
    static func notFound(_ key: String) -> Fault { .missing(title, key) }

    static func one(_ request: Request, _ value: String) async throws(Fault) -> Self {
        try await request.database.one(Self.self, "\(raw: key) = \(value)", or: notFound(value))
    }

    static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let page = try request.page(
            sortable: filters.compactMap(\.sortKey), defaults: [key],
            maximum: request.balancing.options.pageMaximum)
        if let marker = page.marker, try await request.database.count(Self.self, "\(raw: key) = \(marker)") == 0 {
            throw .badRequest("Supplied pagination marker '\(marker)' is not valid.")
        }
        let narrowed = try PartFilter.condition(filters, request, isTagged: false)
        var rows = try await request.database.all(
            Self.self, page.condition("1 = 1\(sql: narrowed)", table: table, id: key))
        if page.isReversed { rows.reverse() }
        let pages = request.links(rows.map(\.keyValue), page)
        return .list(plural, rows.map { row in { row.write(&$0) } }) { $0.put(named: links, pages) }
    }
}

/// A JSON object in text, as profiles hold it.
enum ProfileText {
    static func read(_ text: String, _ member: String) throws(Fault) -> JSONObject {
        guard let json = try? JSON.parse(Array(text.utf8)), let object = json.object else {
            throw .invalidOption(text, member)
        }
        return object
    }

    /// Refuses members that a provider knows nothing of.
    static func check(
        _ object: JSONObject, _ known: [String: String]?, _ provider: String, _ what: String
    ) throws(Fault) {
        guard let known else {
            throw .notImplemented(provider, "This provider does not support validating \(what)s.")
        }
        for (name, value) in object {
            guard known[name] != nil else {
                throw .unsupported(
                    provider,
                    "Additional properties are not allowed ('\(name)' was unexpected) in the \(what) metadata.")
            }
            try check(name, value, provider)
        }
    }

    private static func check(_ name: String, _ value: JSON, _ provider: String) throws(Fault) {
        switch name {
        case "loadbalancer_topology":
            guard ["ACTIVE_STANDBY", "SINGLE"].contains(value.string ?? "") else {
                throw .unsupported(provider, "\(value.bare) is not one of ['ACTIVE_STANDBY', 'SINGLE']")
            }
        case "maximum_connections":
            guard (1...1_000_000).contains(value.integer ?? 0) else {
                throw .unsupported(provider, "\(value.bare) is not between 1 and 1000000")
            }
        case "compute_zone":
            guard value.string != nil else { throw .unsupported(provider, "\(value.bare) is not of type 'string'") }
        case "valid_vip_networks":
            guard let items = value.array, items.allSatisfy({ $0.string != nil }) else {
                throw .unsupported(provider, "\(value.bare) is not of type 'array'")
            }
        default: break
        }
    }
}
