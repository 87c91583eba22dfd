// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The ability to bring a running guest's file systems to rest for as long as a copy of its disks takes somebody else.
package protocol GuestQuieting: Sendable {
    /// Asks the guest's agent to freeze; one that is frozen stays so. 409 when no agent answers.
    func quiet(_ server: String) async throws(Fault)
    /// Lets the guest write again; one that was not frozen goes on.
    func unquiet(_ server: String) async throws(Fault)
}
