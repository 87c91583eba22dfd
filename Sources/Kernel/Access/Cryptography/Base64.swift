// SPDX-License-Identifier: Apache-2.0

/// Base64 in the URL-safe alphabet, which Fernet, its keys and audit ids use.
package enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 255, count: 256)
        for (value, mark) in alphabet.enumerated() { table[Int(mark)] = UInt8(value) }
        return table
    }()

    package static func encode(_ bytes: [UInt8], padded: Bool = false) -> String {
        String(unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { out in
            var at = 0
            var from = 0
            while from < bytes.count {
                let left = min(3, bytes.count - from)
                let word =
                    UInt32(bytes[from]) << 16 | (left > 1 ? UInt32(bytes[from + 1]) << 8 : 0)
                    | (left > 2 ? UInt32(bytes[from + 2]) : 0)
                for place in 0...left {
                    out[at] = alphabet[Int(word >> UInt32(18 - 6 * place) & 63)]
                    at += 1
                }
                if padded {
                    for _ in left..<3 {
                        out[at] = UInt8(ascii: "=")
                        at += 1
                    }
                }
                from += 3
            }
            return at
        }
    }

    /// Only canonical text: no other marks, no stray bits, padding whole or absent. So a token has one spelling.
    package static func decode(_ text: String) -> [UInt8]? {
        var text = text
        return text.withUTF8 { decode($0) }
    }

    private static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        var count = text.count
        while count > 0, text[count - 1] == UInt8(ascii: "=") { count -= 1 }
        let padding = text.count - count
        guard count % 4 != 1, padding == 0 || (text.count.isMultiple(of: 4) && padding < 3) else { return nil }
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count / 4 * 3 + 2) { out, filled in
            var word: UInt32 = 0
            var bits: UInt32 = 0
            for at in 0..<count {
                let value = values[Int(text[at])]
                if value == 255 {
                    failed = true
                    return
                }
                word = word << 6 | UInt32(value)
                bits += 6
                if bits >= 8 {
                    bits -= 8
                    out[filled] = UInt8(truncatingIfNeeded: word >> bits)
                    filled += 1
                }
            }
            failed = word & (1 << bits - 1) != 0
        }
        return failed ? nil : bytes
    }
}
