// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// IP addresses as text, for those who only pass them on.
package enum AddressText {
    /// 4 or 6; nil when the text is no address.
    package static func version(_ text: String) -> Int? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return 4 }
        var six = in6_addr()
        return inet_pton(AF_INET6, text, &six) == 1 ? 6 : nil
    }

    /// The address in its shortest usual form (RFC 5952); nil when the text is no address.
    package static func canonical(_ text: String) -> String? {
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return version(text) == 4 ? text : nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
            inet_ntop(AF_INET6, &six, buffer.baseAddress, socklen_t(INET6_ADDRSTRLEN)).map { String(cString: $0) }
        }
    }

    /// Its 4 or 16 bytes; nil when the text is no address.
    package static func bytes(_ text: String) -> [UInt8]? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var six = in6_addr()
        return inet_pton(AF_INET6, text, &six) == 1 ? withUnsafeBytes(of: &six) { Array($0) } : nil
    }

    /// Whether an address is in a network, named by any address in it and a length: `10.0.0.7/24`.
    package static func isInside(_ address: String, _ network: String) -> Bool {
        let parts = network.split(separator: "/")
        guard parts.count == 2, let length = Int(parts[1]), let base = bytes(String(parts[0])),
            let bytes = bytes(address), bytes.count == base.count, (0...bytes.count * 8).contains(length)
        else { return false }
        return (0..<length).allSatisfy { bit in (bytes[bit / 8] ^ base[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0 }
    }
}
