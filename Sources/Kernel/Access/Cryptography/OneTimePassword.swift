// SPDX-License-Identifier: Apache-2.0
package import Base

/// Time-based one-time passwords (RFC 6238) as Keystone has them: six digits, SHA-1, a new one every 30 seconds.
package enum OneTimePassword {
    package static let period: Int64 = 30

    /// The number of the window that a moment lies in.
    package static func window(_ time: Timestamp) -> Int64 { time.seconds / period }

    package static func passcode(secret: [UInt8], window: Int64) -> String {
        let counter = (0..<8).map { UInt8(truncatingIfNeeded: window >> Int64(56 - 8 * $0)) }
        let digest = HMAC.bytes(.sha1, key: secret, counter)
        let at = Int(digest[19] & 15)
        let number =
            UInt32(digest[at] & 127) << 24 | UInt32(digest[at + 1]) << 16 | UInt32(digest[at + 2]) << 8
            | UInt32(digest[at + 3])
        let digits = String(number % 1_000_000)
        return String(repeating: "0", count: 6 - digits.count) + digits
    }
}

/// RFC 4648 base 32, which the secrets of one-time passwords are written in.
package enum Base32 {
    /// Nil for anything else; padding may be left off.
    package static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var word: UInt32 = 0
        var bits: UInt32 = 0
        var isPadding = false
        for letter in text.utf8 {
            if letter == UInt8(ascii: "=") {
                isPadding = true
                continue
            }
            let value: UInt8
            switch letter {
            case 65...90: value = letter - 65
            case 50...55: value = letter - 50 + 26
            default: return nil
            }
            guard !isPadding else { return nil }
            word = word << 5 | UInt32(value)
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> bits))
                word &= 1 << bits - 1
            }
        }
        return bytes
    }
}
