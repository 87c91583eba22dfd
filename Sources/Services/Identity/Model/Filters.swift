// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A member that lists may be filtered by: `name=x`, and for text `name__contains=x` and its kin.
enum Filter {
    case text(String, column: String? = nil)
    case flag(String, column: String? = nil)
    /// A reference: compared exactly, where an empty value means "none".
    case reference(String, column: String? = nil)
}

extension Request {
    /// The condition that the query's filters amount to; `base` when there are none.
    func filtered(_ filters: [Filter], _ base: SQL? = nil) -> SQL {
        var conditions: [SQL] = []
        if let base { conditions.append(base) }
        for filter in filters {
            switch filter {
            case .text(let name, let column): conditions += textConditions(name, column ?? name)
            case .reference(let name, let column):
                guard let value = query(name) else { continue }
                conditions.append("\(raw: column ?? name) = \(value)")
            case .flag(let name, let column):
                guard let value = query(name) else { continue }
                conditions.append("\(raw: column ?? name) = \(Filters.truth(value))")
            }
        }
        return conditions.joined(" AND ")
    }

    private func textConditions(_ name: String, _ column: String) -> [SQL] {
        var conditions: [SQL] = []
        if let value = query(name) { conditions.append("\(raw: column) = \(value)") }
        let plain: SQL = "COALESCE(\(raw: column), '')"
        let small: SQL = "LOWER(COALESCE(\(raw: column), ''))"
        for (comparator, ignoresCase) in Filters.comparators {
            guard let value = query("\(name)__\(comparator)") else { continue }
            let side = ignoresCase ? small : plain
            conditions.append(Filters.condition(side, comparator, ignoresCase ? value.lowercased() : value))
        }
        return conditions
    }

    /// The list's page, in the order of ids, which is the order of their making nowhere, but total.
    func page(by key: String = "id") throws(Fault) -> Page {
        try page(sortable: [.text(key)], defaults: [key])
    }
}

/// How Keystone's inexact filters compare.
enum Filters {
    static let comparators = [
        ("contains", false), ("icontains", true), ("startswith", false), ("istartswith", true), ("endswith", false),
        ("iendswith", true), ("equals", false), ("iequals", true),
    ]

    /// Without LIKE, whose case rules differ from engine to engine.
    static func condition(_ side: SQL, _ comparator: String, _ value: String) -> SQL {
        let length = value.unicodeScalars.count
        if length == 0 { return "1 = 1" }
        if comparator.hasSuffix("contains") { return "REPLACE(\(sql: side), \(value), '') <> \(sql: side)" }
        if comparator.hasSuffix("startswith") { return "SUBSTR(\(sql: side), 1, \(length)) = \(value)" }
        if comparator.hasSuffix("endswith") {
            let start: SQL = "LENGTH(\(sql: side)) - \(length - 1)"
            return "(LENGTH(\(sql: side)) >= \(length) AND SUBSTR(\(sql: side), \(sql: start)) = \(value))"
        }
        return "\(sql: side) = \(value)"
    }

    /// Keystone's reading of `enabled=`: everything but "0" and "false" is yes, no value too.
    static func truth(_ text: String) -> Bool { !["0", "false"].contains(text.lowercased()) }
}
