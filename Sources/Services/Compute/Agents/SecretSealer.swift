// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Seals secrets anew when their keys were rotated, beside everything else, and says how far it is.
package struct SecretSealer: Sendable {
    private let secrets: SealedSecrets
    private let clock: any WallClock
    private let log: Log

    package init(_ secrets: SealedSecrets, clock: any WallClock, log: Log) {
        (self.secrets, self.clock, self.log) = (secrets, clock, log)
    }

    /// Runs until cancelled. What no key opens is told of once per process, and looked at again when keys change.
    package func run() async {
        var (hopeless, rest): (String?, Rest?)
        await clock.every(.seconds(5)) {
            do throws(Fault) { try await look(&hopeless, &rest) } catch {
                log.warning("secrets cannot be sealed anew; those sealed before stay", ["error": error.message])
            }
        }
    }

    /// The keys with which nothing was left to do, and until when that is believed: another machine may have sealed
    /// something before it saw that they were rotated.
    struct Rest {
        let keys: String
        let until: Timestamp
    }

    /// One look, unless nothing was left a moment ago and the keys are the same.
    func look(_ hopeless: inout String?, _ rest: inout Rest?) async throws(Fault) {
        let (keys, now) = (try secrets.keys.all().map(\.id).joined(), clock.now())
        if let rest, rest.keys == keys, now < rest.until { return }
        rest = nil
        try await look(&hopeless)
        rest = Rest(keys: keys, until: now + .seconds(60))
    }

    /// One look.
    /// - Parameter hopeless: the keys with which some were not to be opened.
    package func look(_ hopeless: inout String?) async throws(Fault) {
        let keys = try secrets.keys.all().map(\.id)
        let census = try await secrets.census()
        guard census.contains(where: { $0.key != keys[0] }), hopeless != keys.joined() else { return }
        let log = log
        let (done, lost) = try await secrets.sealAnew { done, all in
            log.info("secrets are sealed anew", ["done": done, "of": all])
        }
        log.info("secrets are sealed with the newest key", ["key": keys[0], "secrets": done])
        guard lost > 0 else { return }
        hopeless = keys.joined()
        log.error(
            "secrets cannot be opened by any key: put the lost key back as a last line of keys/secrets",
            ["secrets": lost])
    }
}
