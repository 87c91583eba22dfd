// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The ability to clear away what guests have left behind that are not there any more.
package protocol HostSweeping: Sendable {
    /// Removes files and taps that belong to no guest of the host, to none of these servers and to none of these ports;
    /// tells what they were. Of guests that others made nothing is touched.
    func sweep(sparing servers: Set<String>, ports: Set<String>) async throws(Fault) -> [String]
}
