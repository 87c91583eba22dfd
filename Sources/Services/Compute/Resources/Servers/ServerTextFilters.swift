// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Filters of lists of servers on what their columns hold. Ordinary users have a few; the others are not looked at.
enum ServerTextFilters {
    private enum Kind { case exact, pattern, number, truth, moment }

    private struct Filter {
        let name: String
        let column: String
        let kind: Kind
        /// From which version on ordinary users have it: nil is never.
        let open: Microversion?

        init(_ name: String, _ column: String? = nil, _ kind: Kind = .pattern, open: Microversion? = nil) {
            (self.name, self.column, self.kind, self.open) = (name, column ?? name, kind, open)
        }
    }

    private static let filters: [Filter] = [
        Filter("name", open: "2.1"), Filter("display_name", "name"), Filter("reservation_id", open: "2.1"),
        Filter("image", "image_id", .exact, open: "2.1"), Filter("image_ref", "image_id", .exact),
        Filter("user_id", nil, .exact, open: "2.83"), Filter("uuid", "id", .exact), Filter("host", nil, .exact),
        Filter("node"), Filter("key_name", open: "2.83"), Filter("availability_zone", "zone", open: "2.83"),
        Filter("hostname", open: "2.90"), Filter("description"), Filter("display_description", "description"),
        Filter("access_ip_v4", "access_ip4"), Filter("access_ip_v6", "access_ip6"), Filter("root_device_name"),
        Filter("locked_by"), Filter("launch_index", nil, .number), Filter("progress", nil, .number, open: "2.83"),
        Filter("config_drive", "has_config_drive", .truth, open: "2.83"),
        Filter("launched_at", nil, .moment, open: "2.83"), Filter("terminated_at", nil, .moment, open: "2.83"),
        Filter("created_at", nil, .moment, open: "2.83"),
    ]

    /// Adds conditions for the database; answers what it cannot look for.
    static func add(
        _ request: Request, isAdmin: Bool, to parts: inout [SQL]
    ) throws(Fault) -> [(column: String, pattern: NamePattern)] {
        var patterns: [(column: String, pattern: NamePattern)] = []
        for filter in filters where isAdmin || filter.open.map({ request.version >= $0 }) == true {
            let values = request.queryAll(filter.name)
            guard let value = values.first else { continue }
            switch filter.kind {
            case .exact: parts.append("\(raw: filter.column) IN \(values)")
            case .pattern:
                if let pattern = try match(filter.column, value, &parts) { patterns.append((filter.column, pattern)) }
            case .number: parts.append("\(raw: filter.column) = \(Int(value) ?? -1)")
            case .truth:
                let isWanted = Format<Bool>.truth(value) ?? false
                parts.append("\(raw: filter.column) = \(isWanted)")
            case .moment:
                let moment = Timestamp(value.replacing(" ", with: "+"))
                parts.append(moment.map { "\(raw: filter.column) = \($0)" } ?? "1 = 0")
            }
        }
        if let flavor = request.query("flavor") {
            let id = JSON.string(flavor.split(separator: "/").last.map(String.init) ?? flavor).text()
            parts.append("flavor LIKE \("%\"id\":" + escaped(id) + "%") ESCAPE '!'")
        }
        for name in ["ip", "ip6"] where name == "ip" || isAdmin || request.version >= "2.5" {
            if let text = request.query(name) { addAddress(text, &parts) }
        }
        if let locked = try request.flag("locked", since: "2.73") { parts.append("locked = \(locked)") }
        return patterns
    }

    /// A simple expression becomes a condition; another one is given back.
    private static func match(
        _ column: String, _ text: String, _ parts: inout [SQL]
    ) throws(Fault) -> NamePattern? {
        if let plain = NamePattern.plain(text) {
            parts.append("\(raw: column) LIKE \("%" + escaped(plain) + "%") ESCAPE '!'")
            return nil
        }
        guard let pattern = NamePattern(text) else { throw .badRequest("Invalid filter '\(text)'") }
        return pattern
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("!", with: "!!").replacing("%", with: "!%").replacing("_", with: "!_")
    }

    /// Addresses are looked for from their beginning; dots may be escaped, as in an expression.
    private static func addAddress(_ text: String, _ parts: inout [SQL]) {
        var plain = text[...]
        let isWhole = plain.hasSuffix("$")
        if plain.hasPrefix("^") { plain = plain.dropFirst() }
        if isWhole { plain = plain.dropLast() }
        let wanted = escaped(String(plain).replacing("\\", with: "")).replacing(".*", with: "%")
        parts.append("ports LIKE \("%\"address\":\"" + wanted + (isWhole ? "\"%" : "%")) ESCAPE '!'")
    }
}
