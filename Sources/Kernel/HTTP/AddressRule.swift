// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Glibc

/// Whether an address, its 4 or 16 bytes, may be connected to.
package typealias AddressRule = @Sendable (_ address: [UInt8]) -> Bool

/// Internet addresses as bytes.
package enum AddressBytes {
    /// Whether an address is one of the public internet: not this machine, not its neighbours, not a private network,
    /// not set apart for something else (the special-purpose registries of RFC 6890), in whatever disguise IPv6 has for
    /// IPv4.
    @Sendable package static func isPublic(_ bytes: [UInt8]) -> Bool {
        if bytes.count == 4 { return isPublic4(bytes) }
        guard bytes.count == 16 else { return false }
        if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xff, bytes[11] == 0xff {
            return isPublic4(Array(bytes[12...]))
        }
        // Only 2000::/3 is given out, and of it not Teredo (2001::/32), documentation and 6to4.
        guard bytes[0] & 0xe0 == 0x20 else { return false }
        let head = (UInt32(bytes[0]) << 24) | (UInt32(bytes[1]) << 16) | (UInt32(bytes[2]) << 8) | UInt32(bytes[3])
        if head >> 9 == 0x2001_0000 >> 9 || head == 0x2001_0db8 || head >> 12 == 0x3fff_0000 >> 12 { return false }
        return bytes[0] != 0x20 || bytes[1] != 0x02
    }

    private static func isPublic4(_ bytes: [UInt8]) -> Bool {
        switch (bytes[0], bytes[1], bytes[2]) {
        case (0, _, _), (10, _, _), (127, _, _), (224..., _, _): false
        case (100, 64...127, _), (169, 254, _), (172, 16...31, _), (192, 168, _), (198, 18...19, _): false
        case (192, 0, 0), (192, 0, 2), (192, 88, 99), (198, 51, 100), (203, 0, 113): false
        default: true
        }
    }

    /// The bytes of a socket's address; nil when it is none of the internet.
    static func of(_ address: UnsafePointer<sockaddr>) -> [UInt8]? {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            return withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in.self).sin_addr) { Array($0) }
        case AF_INET6:
            return withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { Array($0) }
        default: return nil
        }
    }

    static func text(_ bytes: [UInt8]) -> String {
        var text = [CChar](repeating: 0, count: 64)
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return "unknown" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
