// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Looks each second whether keys were rotated on disk, so that no request has to.
package struct KeyWatch: Sendable {
    private let identity: IdentityService

    package init(_ identity: IdentityService) { self.identity = identity }

    package func run() async {
        await identity.clock.every(.seconds(1), waitsFirst: true) { look() }
    }

    /// One look. What cannot be read now is read at the next; until then the keys stay.
    package func look() {
        do throws(Fault) {
            guard try identity.keys.refresh() else { return }
            // Tokens of a key that is gone are gone with it.
            identity.tokens.epoch.advance()
            identity.log.info("the keys of tokens were read again")
        } catch {
            identity.log.warning("keys cannot be read again; those in use stay", ["error": error.message])
        }
    }
}
