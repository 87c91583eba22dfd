// SPDX-License-Identifier: Apache-2.0

/// RFC 4648 base 64, the standard alphabet with padding.
package enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, letter) in alphabet.enumerated() { values[Int(letter)] = UInt8(value) }
        return values
    }()

    package static func encode(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let end = min(start + 3, bytes.count)
            var word: UInt32 = 0
            for at in start..<start + 3 { word = word << 8 | (at < end ? UInt32(bytes[at]) : 0) }
            for place in 0..<4 {
                let isPadding = place > end - start
                out.append(isPadding ? UInt8(ascii: "=") : alphabet[Int(word >> UInt32(18 - 6 * place) & 63)])
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Nil for anything that is not whole, padded base 64; line breaks are passed over.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 4 * 3)
        var word: UInt32 = 0
        var count = 0
        var padding = 0
        for letter in text.utf8 {
            if letter == UInt8(ascii: "\n") || letter == UInt8(ascii: "\r") { continue }
            if letter == UInt8(ascii: "=") {
                padding += 1
                word <<= 6
            } else {
                guard padding == 0, values[Int(letter)] != 255 else { return nil }
                word = word << 6 | UInt32(values[Int(letter)])
            }
            count += 1
            if count == 4 {
                guard padding <= 2 else { return nil }
                for place in 0..<(3 - padding) {
                    bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(16 - 8 * place)))
                }
                (word, count) = (0, 0)
                if padding > 0 { continue }
            }
        }
        return count == 0 ? bytes : nil
    }
}
