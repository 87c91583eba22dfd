// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The ability to ask a guest to shut down without waiting for it.
package protocol GuestShutdown: Sendable {
    /// Asks a guest that runs to shut down, once more if it was asked before. An event tells when it is down.
    /// - Returns: whether it is down, or cannot be asked and has to be switched off.
    func askToShutDown(_ server: String) async throws(Fault) -> Bool
}

extension FakeHypervisor: GuestShutdown {
    package func askToShutDown(_ server: String) async throws(Fault) -> Bool {
        guard !stubborn.contains(server) else {
            try reachable()
            return try ours(server).state != .running
        }
        try await change { () throws(Fault) in
            if try ours(server).state == .running { enter(.shutdown, server, as: .stopped) }
        }
        return true
    }

    /// The guests that do not hear that they shall shut down.
    package func setStubborn(_ guests: Set<String>) { stubborn = guests }

    /// The guest is down now: of itself, or as it was asked to.
    package func shutDown(_ server: String) throws(Fault) {
        _ = try ours(server)
        enter(.shutdown, server, as: .stopped)
    }
}
