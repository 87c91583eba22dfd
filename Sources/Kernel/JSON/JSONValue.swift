// SPDX-License-Identifier: Apache-2.0
package import Base

/// What can write itself as JSON without becoming a tree first.
package protocol JSONValue: Sendable {
    func write(to writer: inout JSONWriter)
}

extension JSON: JSONValue {
    package func write(to writer: inout JSONWriter) { writer.value(self) }
}

extension JSONObject: JSONValue {
    package func write(to writer: inout JSONWriter) { writer.value(self) }
}

extension String: JSONValue {
    package func write(to writer: inout JSONWriter) { writer.string(self) }
}

extension Substring: JSONValue {
    package func write(to writer: inout JSONWriter) { writer.string(String(self)) }
}

extension Bool: JSONValue {
    package func write(to writer: inout JSONWriter) { writer.bool(self) }
}

extension Double: JSONValue {
    package func write(to writer: inout JSONWriter) { writer.double(self) }
}

extension Float: JSONValue {
    package func write(to writer: inout JSONWriter) { writer.double(Double(self)) }
}

extension JSONValue where Self: FixedWidthInteger {
    package func write(to writer: inout JSONWriter) { writer.integer(self) }
}

extension Int: JSONValue {}
extension Int8: JSONValue {}
extension Int16: JSONValue {}
extension Int32: JSONValue {}
extension Int64: JSONValue {}
extension UInt: JSONValue {}
extension UInt8: JSONValue {}
extension UInt16: JSONValue {}
extension UInt32: JSONValue {}
extension UInt64: JSONValue {}

extension Optional: JSONValue where Wrapped: JSONValue {
    package func write(to writer: inout JSONWriter) {
        if let self { self.write(to: &writer) } else { writer.null() }
    }
}

extension Array: JSONValue where Element: JSONValue {
    package func write(to writer: inout JSONWriter) {
        writer.beginArray()
        for element in self { element.write(to: &writer) }
        writer.endArray()
    }
}

extension Dictionary: JSONValue where Key == String, Value: JSONValue {
    /// Sorted by key, so that the same value is always the same text.
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        // Most of them are empty, which needs no sorting.
        if !isEmpty {
            for (key, value) in sorted(by: { $0.key < $1.key }) {
                writer.key(key)
                value.write(to: &writer)
            }
        }
        writer.endObject()
    }
}

extension Timestamp: JSONValue {
    package func write(to writer: inout JSONWriter) { writer.string(iso8601) }
}

/// `enum Kind: String, JSONValue` needs no more than that.
extension JSONValue where Self: RawRepresentable, RawValue: JSONValue {
    package func write(to writer: inout JSONWriter) { rawValue.write(to: &writer) }
}
