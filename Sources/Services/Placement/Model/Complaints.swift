// SPDX-License-Identifier: Apache-2.0
import Kernel

/// How a complaint about a body or a query is worded: as the schema validator that clients know words it, with the rule
/// that was broken and where, because some of them look for it.
enum Complaint {
    static func invalid(_ member: String, _ value: JSON?, _ reason: String) -> String {
        let reason = quoted(reason)
        let steps = member == "body" ? [] : member.split(separator: ".").map { "['\($0)']" }
        let schema = steps.map { "['properties']" + $0 }.joined()
        var text = "\(reason)\n\nFailed validating '\(keyword(reason))' in schema\(schema)"
        if let value { text += "\n\nOn instance\(steps.joined()):\n    \(Complaint.python(value))" }
        return text
    }

    static func missing(_ member: String) -> String {
        "'\(member)' is a required property\n\nFailed validating 'required' in schema"
    }

    static func unknown(_ members: [String]) -> String {
        let names = members.map { "'\($0)'" }.joined(separator: ", ")
        let verb = members.count == 1 ? "was" : "were"
        return "Additional properties are not allowed (\(names) \(verb) unexpected)\n\n"
            + "Failed validating 'additionalProperties' in schema"
    }

    /// A member of a body whose name is data, and not in its format.
    static func unmatched(_ name: String, _ pattern: String) -> Fault {
        .badRequest(
            "JSON does not validate: '\(name)' does not match any of the regexes: '\(pattern)'\n\n"
                + "Failed validating 'additionalProperties' in schema")
    }

    /// The schema's word for what a reason says.
    private static func keyword(_ reason: String) -> String {
        let words: KeyValuePairs = [
            "is not of type": "type", "is less than the minimum": "minimum", "is greater than the maximum": "maximum",
            "is not between": "maximum", "[] should be non-empty": "minItems", "should be non-empty": "minLength",
            "is too short": "minLength", "is too long": "maxLength", "does not match": "pattern",
            "is not a 'uuid'": "format", "is not one of": "enum", "does not have enough": "minProperties",
            "non-unique": "uniqueItems",
        ]
        return words.first { reason.contains($0.key) }?.value ?? "type"
    }

    /// A reason that begins with a quoted text, in single quotes.
    private static func quoted(_ reason: String) -> String {
        guard reason.hasPrefix("\""), let end = reason.range(of: "\" is not of type") else { return reason }
        return "'" + reason[reason.index(after: reason.startIndex)..<end.lowerBound] + "' is not of type"
            + reason[end.upperBound...]
    }

    private static func python(_ value: JSON) -> String {
        if case .string(let text) = value { return "'\(text)'" }
        return value.text()
    }
}

extension String {
    /// Where a text first stands in this one.
    fileprivate func range(of other: String) -> Range<String.Index>? {
        var at = startIndex
        while at < endIndex {
            if self[at...].hasPrefix(other) { return at..<index(at, offsetBy: other.count) }
            at = index(after: at)
        }
        return nil
    }
}

extension Envelope {
    /// Calls whose body is not read.
    private static func takesBody(_ route: Route, _ version: Microversion) -> Bool {
        guard route.method == "PUT" || route.method == "POST" else { return false }
        return route.path != "/traits/{name}" && !(route.path == "/resource_classes/{name}" && version >= "1.7")
    }

    /// What is refused before a handler sees the request: bodies of no or another type, answers not accepted.
    static func admit(_ http: HTTPRequest, _ route: Route, _ version: Microversion) throws(Fault) {
        let type = (http.headers["Content-Type"] ?? "").split(separator: ";").first.map { $0.lowercased() } ?? ""
        if let length = http.headers["Content-Length"], length != "0", type.isEmpty {
            throw .badRequest("content-type header required when content-length > 0")
        }
        if takesBody(route, version), type != "application/json" {
            throw .unsupportedMedia(
                "The media type \(type.isEmpty ? "None" : type) is not supported, use application/json")
        }
        let answers = route.method == "GET" && route.path != "/traits/{name}" && !route.isOpen
        if answers, let accept = http.headers["Accept"], !accept.isEmpty, !takesJSON(accept) {
            throw Fault(406, "Only application/json is provided")
        }
    }

    private static func takesJSON(_ accept: String) -> Bool {
        accept.split(separator: ",").contains { range in
            let parts = range.split(separator: ";").map { $0.filter { !$0.isWhitespace }.lowercased() }
            let isWanted = !parts.dropFirst().contains { $0 == "q=0" || $0 == "q=0.0" }
            return isWanted && ["application/json", "application/*", "*/*"].contains(parts.first ?? "")
        }
    }
}
