// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// The process's environment; the only place that reads it.
package enum Environment {
    package static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    package static func all() -> [String: String] {
        var found: [String: String] = [:]
        var at = clinux_environment()
        while let entry = at?.pointee {
            let parts = String(cString: entry).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { found[String(parts[0])] = String(parts[1]) }
            at = at?.successor()
        }
        return found
    }
}
