// SPDX-License-Identifier: Apache-2.0

/// Percent-encoding (RFC 3986). Text that is not UTF-8 once decoded is refused, not repaired.
package enum Percent {
    /// nil for a broken escape, or bytes that are not UTF-8.
    package static func decode(_ segment: some StringProtocol) -> String? { decode(segment.utf8, plusIsSpace: false) }

    /// Everything but the unreserved characters is escaped.
    package static func encode(_ text: some StringProtocol) -> String { encode(text, keeping: "") }

    /// A path: `/` stays.
    package static func encodePath(_ text: some StringProtocol) -> String { encode(text, keeping: "/") }

    private static func encode(_ text: some StringProtocol, keeping kept: StaticString) -> String {
        let bytes = text.utf8
        let keep: (UInt8) -> Bool = { byte in
            isUnreserved(byte) || kept.utf8CodeUnitCount == 1 && byte == kept.utf8Start.pointee
        }
        let escapes = bytes.reduce(0) { keep($1) ? $0 : $0 + 1 }
        guard escapes > 0 else { return String(text) }
        return String(unsafeUninitializedCapacity: bytes.count + 2 * escapes) { out in
            var at = 0
            for byte in bytes {
                if keep(byte) {
                    out[at] = byte
                    at += 1
                } else {
                    out[at] = UInt8(ascii: "%")
                    out[at + 1] = digit(byte >> 4)
                    out[at + 2] = digit(byte & 15)
                    at += 3
                }
            }
            return at
        }
    }

    static func decode(_ bytes: some Collection<UInt8>, plusIsSpace: Bool) -> String? {
        let fast = bytes.withContiguousStorageIfAvailable { decode($0, plusIsSpace) }
        return fast ?? Array(bytes).withUnsafeBufferPointer { decode($0, plusIsSpace) }
    }

    private static func decode(_ bytes: UnsafeBufferPointer<UInt8>, _ plusIsSpace: Bool) -> String? {
        guard bytes.contains(where: { $0 == UInt8(ascii: "%") || plusIsSpace && $0 == UInt8(ascii: "+") }) else {
            return String(validating: bytes, as: UTF8.self)
        }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: bytes.count) { out in
            var at = 0
            var filled = 0
            while at < bytes.count {
                let byte = bytes[at]
                at += 1
                if byte == UInt8(ascii: "%") {
                    guard at + 1 < bytes.count, let high = value(bytes[at]), let low = value(bytes[at + 1]) else {
                        return nil
                    }
                    out[filled] = high << 4 | low
                    at += 2
                } else {
                    out[filled] = plusIsSpace && byte == UInt8(ascii: "+") ? 32 : byte
                }
                filled += 1
            }
            return String(validating: UnsafeBufferPointer(rebasing: out[..<filled]), as: UTF8.self)
        }
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, 45, 46, 95, 126: true
        default: false
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 55 + value }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 48...57: digit - 48
        case 65...70: digit - 55
        case 97...102: digit - 87
        default: nil
        }
    }
}

/// The query of a URL as pairs in the order in which they came, forms' `+` read as a blank.
package enum QueryString {
    /// nil when a name or value is broken or no UTF-8. A name without `=` has an empty value.
    package static func parse(_ raw: some StringProtocol) -> [(String, String)]? {
        guard !raw.isEmpty else { return [] }
        var pairs: [(String, String)] = []
        for part in raw.utf8.split(separator: UInt8(ascii: "&")) {
            let mark = part.firstIndex(of: UInt8(ascii: "="))
            let value = mark.map { part[part.index(after: $0)...] }
            guard let name = Percent.decode(part[..<(mark ?? part.endIndex)], plusIsSpace: true),
                let value = value.map({ Percent.decode($0, plusIsSpace: true) }) ?? ""
            else { return nil }
            pairs.append((name, value))
        }
        return pairs
    }

    package static func write(_ pairs: [(String, String)]) -> String {
        pairs.map { "\(Percent.encode($0.0))=\(Percent.encode($0.1))" }.joined(separator: "&")
    }
}
