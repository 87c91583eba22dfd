// SPDX-License-Identifier: Apache-2.0
internal import JSON

/// Properties with members of their own, stored as JSON text in one column.
enum NestedColumn {
    /// Types that are JSON whatever they ask a decoder for.
    static func holds(_ type: any Any.Type) -> Bool { false }
    static func null<T>(_ type: T.Type) -> T? { nil }
    static func decode<T: Decodable>(_ type: T.Type, _ text: String) throws -> T { throw RowError("is JSON") }
    static func encode(_ value: some Encodable) throws -> String { throw RowError("is JSON") }
}
