// SPDX-License-Identifier: Apache-2.0

/// The ability to say whether Network hears of the cards that a host plugs: only then does waiting for it end.
package protocol PlugReporting: Sendable {
    /// Whether each card that is plugged here makes Network's port ACTIVE, and one that is taken away makes it DOWN.
    func reportsPlugs() async -> Bool
}

extension FakeHypervisor: PlugReporting {
    package func reportsPlugs() -> Bool { isReporting }

    /// As a host behind a network that tells of what was plugged.
    package func setReporting(_ isReporting: Bool) { self.isReporting = isReporting }
}
