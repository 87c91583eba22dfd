// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A back end whose hosts answer when they are asked for a sign of life, and stay listed when they are dead.
package protocol HostWatch: Sendable {
    /// Has every host say how far it has come; what they say is in `ChassisFact.progress` some time later.
    func knock() async throws(Fault)
    /// Takes a host that is gone for good off the list, and what it carried to others.
    func forget(host: String) async throws(Fault)
}
