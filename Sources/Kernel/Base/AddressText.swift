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
}
