// SPDX-License-Identifier: Apache-2.0
package import JSON

/// Properties with members of their own, stored as JSON text in one column.
enum NestedColumn {
    /// Types that are JSON whatever they ask a coder for.
    static func holds(_ type: any Any.Type) -> Bool { type == JSON.self || type == JSONObject.self }

    /// What a NULL is to a property that is not optional: JSON has a null of its own.
    static func null<T>(_ type: T.Type) -> T? { type == JSON.self ? JSON.null as? T : nil }

    static func decode<T: Decodable>(_ type: T.Type, _ text: String) throws -> T {
        let json: JSON
        do { json = try JSON.parse(Array(text.utf8), limits: .trusted) } catch {
            throw RowError("does not hold JSON (\(error.message) at byte \(error.offset))")
        }
        if type == JSON.self { return unsafeBitCast(json, to: T.self) }
        // The commonest of them, without the detour through a decoder.
        if type == [String].self, let array = json.array {
            let strings = array.compactMap(\.string)
            if strings.count == array.count { return unsafeBitCast(strings, to: T.self) }
        }
        return try JSON.decode(type, from: json)
    }

    /// Reads with the type's own reader; nil when the text is not what that expects, which Codable then explains.
    static func read<R: NestedReadable, T>(_ reader: R.Type, as type: T.Type, _ text: String) -> T? {
        guard R.self == T.self, let json = try? JSON.parse(Array(text.utf8), limits: .trusted) else { return nil }
        return R(json: json).map { unsafeBitCast($0, to: T.self) }
    }

    static func encode(_ value: some Encodable) throws -> String { try JSON.encode(value).text() }
}

/// A nested value that lists hold by the thousand, each another: it reads itself from the tree by hand, several times
/// faster than through Codable, and must mean the same.
package protocol NestedReadable: Sendable {
    init?(json: JSON)
}

extension Array: NestedReadable where Element: NestedReadable {
    package init?(json: JSON) {
        guard case .array(let items) = json else { return nil }
        self = []
        reserveCapacity(items.count)
        for item in items {
            guard let element = Element(json: item) else { return nil }
            append(element)
        }
    }
}

extension JSON: SQLBindable {
    package var sqlValue: SQLValue { .text(text()) }
}

extension JSONObject: SQLBindable {
    package var sqlValue: SQLValue { JSON.object(self).sqlValue }
}
