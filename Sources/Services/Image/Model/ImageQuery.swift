// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a list of images was asked for, as a condition and a page.
struct ImageQuery {
    static let sortable: [SortKey] = [
        .text("name"), .text("status"), .text("container_format"), .text("disk_format"), .number("size"),
        .number("created_at"), .number("updated_at"), .text("id"),
    ]
    private static let control: Set<String> = [
        "limit", "marker", "member_status", "sort", "sort_key", "sort_dir", "visibility", "os_hidden", "protected",
        "tag",
    ]
    private static let words: Set<String> = ["name", "id", "status", "container_format", "disk_format"]
    private static let texts: Set<String> = ["owner", "checksum", "os_hash_algo", "os_hash_value"]
    private static let numbers: Set<String> = ["size", "virtual_size", "min_disk", "min_ram"]

    let page: Page
    let condition: SQL
    private let request: Request

    init(_ request: Request) throws(Fault) {
        self.request = request
        try ImageQuery.checkSorting(request)
        let options = request.image.options
        page = try request.page(
            sortable: ImageQuery.sortable, defaults: ["-created_at"],
            maximum: request.query("limit") == nil ? options.defaultLimit : options.maxLimit)
        var parts = [try ImageQuery.scope(request), try ImageQuery.visibility(request)].filter { !$0.isEmpty }
        parts.append("os_hidden = \(try ImageQuery.truth("os_hidden", request) ?? false)")
        if let protected = try ImageQuery.truth("protected", request) { parts.append("protected = \(protected)") }
        for tag in try ImageQuery.tags(request) {
            parts.append("id IN (SELECT image_id FROM image_tags WHERE value = \(tag))")
        }
        parts += try ImageQuery.filters(request)
        condition = parts.joined(" AND ")
    }

    /// A marker must be an image that is there.
    func checkMarker() async throws(Fault) {
        guard let marker = request.query("marker"), !marker.isEmpty else { return }
        guard try await request.database.count(ImageRecord.self, "id = \(marker)") > 0 else {
            throw .badRequest("No image found with ID \(marker)")
        }
    }

    // MARK: Who sees what

    private static func scope(_ request: Request) throws(Fault) -> SQL {
        let status = request.query("member_status") ?? "accepted"
        guard status == "all" || ImageMember.Status(rawValue: status) != nil else {
            throw .badRequest("Invalid status: \(status)")
        }
        if request.may("context_is_admin", on: Anything()) { return "" }
        let project = request.caller.projectID ?? ""
        let accepted: SQL = status == "all" ? "" : " AND status = \(status)"
        return """
            (visibility IN ('public', 'community') OR owner = \(project) OR (visibility = 'shared' AND id IN \
            (SELECT image_id FROM image_members WHERE member_id = \(project)\(sql: accepted))))
            """
    }

    /// Other projects' community images are found only by those who ask for them.
    private static func visibility(_ request: Request) throws(Fault) -> SQL {
        switch request.query("visibility") {
        case nil, "": return "(visibility <> 'community' OR owner = \(request.caller.projectID ?? ""))"
        case "all": return ""
        case .some(let text):
            guard let visibility = ImageVisibility(rawValue: text) else {
                throw .badRequest("Invalid visibility value: \(text)")
            }
            return "visibility = \(visibility)"
        }
    }

    private static func truth(_ name: String, _ request: Request) throws(Fault) -> Bool? {
        guard let text = request.query(name) else { return nil }
        switch name == "os_hidden" ? text.lowercased() : text {
        case "true": return true
        case "false": return false
        default:
            throw .badRequest("Invalid value '\(text)' for '\(name)' filter. Valid values are 'true' or 'false'.")
        }
    }

    private static func checkSorting(_ request: Request) throws(Fault) {
        let keys = request.queryAll("sort_key").count
        let directions = request.queryAll("sort_dir").count
        if request.query("sort") != nil, keys + directions > 0 {
            throw .badRequest("Old and new sorting syntax cannot be combined")
        }
        if directions > 1, directions != keys {
            throw .badRequest("Number of sort dirs does not match the number of sort keys")
        }
    }

    // MARK: Filters

    /// So many conditions are no strain on any database.
    private static let most = 200

    /// Each tag once; no image has more than its quota lets it.
    private static func tags(_ request: Request) throws(Fault) -> [String] {
        let tags = Set(request.queryAll("tag").map(\.trimmed))
        let quota = request.image.options.tagQuota
        let bound = quota < 0 ? most : min(max(quota, 1), most)
        guard tags.count <= bound else {
            throw .badRequest("At most \(bound) tags can be asked for at once.")
        }
        return tags.sorted()
    }

    /// Of a filter that is there several times the last one counts.
    private static func filters(_ request: Request) throws(Fault) -> [SQL] {
        var asked = JSONObject()
        for (name, value) in QueryString.parse(request.http.query) ?? [] where !control.contains(name) {
            asked[name] = .string(value)
        }
        guard asked.keys.count <= most else {
            throw .badRequest("At most \(most) filters can be asked for at once.")
        }
        return try asked.keys.mapping { name throws(Fault) in try filter(name, asked[name]?.string ?? "") }
    }

    private static func filter(_ name: String, _ value: String) throws(Fault) -> SQL {
        if name == "changes-since" {
            throw .badRequest("The \"changes-since\" filter is no longer available on v2.")
        }
        if words.contains(name) { return try word(name, value) }
        if texts.contains(name) { return "\(raw: name) = \(value)" }
        if name == "created_at" || name == "updated_at" { return try time(name, value) }
        let isRange = name.hasSuffix("_min") || name.hasSuffix("_max")
        let column = isRange ? String(name.dropLast(4)) : name
        guard numbers.contains(column) else {
            return "id IN (SELECT image_id FROM image_properties WHERE name = \(name) AND value = \(value))"
        }
        guard let number = Int64(value.trimmed) else {
            throw .badRequest("Unable to filter on a range with a non-numeric value.")
        }
        let sign = isRange ? (name.hasSuffix("_min") ? ">=" : "<=") : "="
        return "\(raw: column) \(raw: sign) \(number)"
    }

    private static func word(_ name: String, _ value: String) throws(Fault) -> SQL {
        let (sign, rest) = split(value)
        switch sign {
        case "eq": return "\(raw: name) = \(rest)"
        case "in": return "\(raw: name) IN \(try list(rest))"
        default: throw .badRequest("Unable to filter by unknown operator '\(sign)'.")
        }
    }

    /// Answers show whole seconds, so comparisons are of whole seconds.
    private static func time(_ name: String, _ value: String) throws(Fault) -> SQL {
        let (sign, rest) = split(value)
        guard let moment = Timestamp(rest) else {
            throw .badRequest("Bad \"\(name)\" query filter format. Use ISO 8601 DateTime notation.")
        }
        let start = Timestamp(seconds: moment.seconds)
        let end = Timestamp(seconds: moment.seconds + 1)
        switch sign {
        case "eq": return "(\(raw: name) >= \(start) AND \(raw: name) < \(end))"
        case "neq": return "(\(raw: name) < \(start) OR \(raw: name) >= \(end))"
        case "gt": return "\(raw: name) >= \(end)"
        case "gte": return "\(raw: name) >= \(start)"
        case "lt": return "\(raw: name) < \(start)"
        case "lte": return "\(raw: name) < \(end)"
        default: throw .badRequest("Unable to filter on a unknown operator.")
        }
    }

    /// `in:a,b` to the operator and the rest; no operator, or a bare date with its colons, is equality.
    private static func split(_ expression: String) -> (sign: String, rest: String) {
        guard let colon = expression.firstIndex(of: ":"), Timestamp(expression) == nil else {
            return ("eq", expression)
        }
        return (String(expression[..<colon]), String(expression[expression.index(after: colon)...]))
    }

    /// `a,"b,c",d` to its values; a backslash keeps the character after it within quotes.
    static func list(_ text: String) throws(Fault) -> [String] {
        var values: [String] = []
        var value = ""
        var isQuoted = false
        var wasQuoted = false
        var letters = text.makeIterator()
        while let letter = letters.next() {
            switch letter {
            case "\\" where isQuoted:
                if let next = letters.next() { value.append(next) }
            case "\"":
                guard isQuoted || value.isEmpty else {
                    throw .quotes(text, "There is no comma before opening quotation mark.")
                }
                isQuoted.toggle()
                wasQuoted = true
            case "," where !isQuoted:
                values.append(value)
                value = ""
                wasQuoted = false
            default:
                guard isQuoted || !wasQuoted else {
                    throw .quotes(text, "There is no comma after closing quotation mark.")
                }
                value.append(letter)
            }
        }
        guard !isQuoted else { throw .quotes(text, "The quote is not closed.") }
        if !value.isEmpty || wasQuoted || text.hasSuffix(",") { values.append(value) }
        return values
    }
}

extension Fault {
    fileprivate static func quotes(_ text: String, _ why: String) -> Fault {
        .badRequest("Invalid filter value \(text). \(why)")
    }
}
