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

    static func encode(_ value: some Encodable) throws -> String { try JSON.encode(value).text() }
}

extension JSON: SQLBindable {
    package var sqlValue: SQLValue { .text(text()) }
}

extension JSONObject: SQLBindable {
    package var sqlValue: SQLValue { JSON.object(self).sqlValue }
}
