// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import Synchronization

/// Chance and ids, passed in: the kernel's random source, or a simulation's seeded one.
package protocol Identifiers: Sendable {
    /// Random bytes fit for keys and tokens.
    func bytes(_ count: Int) -> [UInt8]
}

extension Identifiers {
    /// A version 4 UUID in its 36-character form.
    package func uuid() -> String { Hex.uuid(randomUUIDBytes()) }
    /// A version 4 UUID as 32 hexadecimal digits (Keystone's ids).
    package func hex() -> String { Hex.encode(randomUUIDBytes()) }

    /// A number in `0..<bound`.
    package func number(below bound: Int) -> Int {
        let word = bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Int(word % UInt64(bound))
    }

    private func randomUUIDBytes() -> [UInt8] {
        var bytes = bytes(16)
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        return bytes
    }
}

/// Random bytes from getrandom(2), fetched 4 KiB at a time: one system call serves 256 ids.
package final class RandomIdentifiers: Identifiers {
    private let pool = Mutex<(bytes: [UInt8], at: Int)>(([], 0))

    package init() {}

    package func bytes(_ count: Int) -> [UInt8] {
        guard count <= 64 else { return RandomIdentifiers.random(count) }
        return pool.withLock { pool in
            if pool.at + count > pool.bytes.count {
                pool.bytes = RandomIdentifiers.random(4096)
                pool.at = 0
            }
            defer { pool.at += count }
            return Array(pool.bytes[pool.at..<pool.at + count])
        }
    }

    private static func random(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = getrandom(buffer.baseAddress! + filled, count - filled, 0)
                precondition(got > 0 || errno == EINTR, "getrandom(2) failed")
                filled += max(0, got)
            }
        }
    }
}

/// Hexadecimal text.
package enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        // An array, whichever collection it is: the loop below is compiled for that one alone.
        let bytes = Array(bytes)
        return String(unsafeUninitializedCapacity: bytes.count * 2) { out in
            digits.withUnsafeBufferPointer { digits in
                for at in bytes.indices {
                    out[2 * at] = digits[Int(bytes[at] >> 4)]
                    out[2 * at + 1] = digits[Int(bytes[at] & 15)]
                }
            }
            return bytes.count * 2
        }
    }

    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let source = Array(text.utf8)
        guard source.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.count / 2)
        for at in stride(from: 0, to: source.count, by: 2) {
            guard let high = value(source[at]), let low = value(source[at + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    /// The 36-character form of 16 bytes.
    package static func uuid(_ bytes: [UInt8]) -> String {
        precondition(bytes.count == 16, "a UUID has 16 bytes")
        let text = Array(encode(bytes).utf8)
        var out: [UInt8] = []
        out.reserveCapacity(36)
        for (at, byte) in text.enumerated() {
            if at == 8 || at == 12 || at == 16 || at == 20 { out.append(UInt8(ascii: "-")) }
            out.append(byte)
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Whether the text is a UUID, dashed (any case) or as 32 digits, as oslo's `is_uuid_like` sees it.
    package static func isUUID(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8.filter { $0 != UInt8(ascii: "-") }
        return bytes.count == 32 && bytes.allSatisfy { value($0) != nil }
            && (text.utf8.count == 36 || text.utf8.count == 32)
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 48...57: digit - 48
        case 65...70: digit - 55
        case 97...102: digit - 87
        default: nil
        }
    }
}
