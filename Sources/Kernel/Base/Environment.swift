// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// The process's environment; the only place that reads it.
package enum Environment {
    package static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// The administrators' folders, which a user's PATH may lack (Debian's `su` keeps it so).
    static let folders = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// Adds those folders to the PATH, for the scripts and programs that this process starts. Only before it has
    /// threads: the environment is everybody's.
    package static func widenPath() {
        setenv("PATH", [variable("PATH"), folders].compactMap { $0 }.joined(separator: ":"), 1)
    }

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
