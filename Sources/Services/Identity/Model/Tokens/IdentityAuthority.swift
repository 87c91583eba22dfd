// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Identity as the kernel asks it, in the same process: whose token it is, and whether earlier answers still hold.
package final class IdentityAuthority: Authority {
    private let tokens: TokenProvider

    init(_ tokens: TokenProvider) { self.tokens = tokens }

    package func caller(token: String) async throws(Fault) -> Caller { try await tokens.open(token).caller }
    package func epoch() -> UInt64 { tokens.moment }
}
