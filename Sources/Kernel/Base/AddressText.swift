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
}
