// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Where those who wait for a server's ports are told that Network has said something of one. A word only saves time:
/// who waits asks Network itself, before the first word and whenever none comes.
actor PlugBoard {
    /// Rung at every word about the server.
    final class Watch: Sendable {
        fileprivate let bell = Wake()

        /// Returns at the next word, or after a while.
        func wait(atMost duration: Duration, _ clock: any WallClock) async {
            await bell.wait(atMost: duration, clock)
        }
    }

    private struct Entry {
        let watch: Watch
        var users = 1
        /// Ports that Network could not plug.
        var failed: Set<String> = []
        /// Ports that it has told of at all.
        var told: Set<String> = []
    }

    private var entries: [String: Entry] = [:]

    func open(_ server: String) -> Watch {
        if let known = entries[server] {
            entries[server]?.users += 1
            return known.watch
        }
        let entry = Entry(watch: Watch())
        entries[server] = entry
        return entry.watch
    }

    func close(_ server: String) {
        entries[server]?.users -= 1
        if entries[server]?.users == 0 { entries[server] = nil }
    }

    func tell(_ server: String, _ port: String?, hasFailed: Bool) {
        guard let entry = entries[server] else { return }
        if let port {
            entries[server]?.told.insert(port)
            if hasFailed {
                entries[server]?.failed.insert(port)
            } else {
                entries[server]?.failed.remove(port)
            }
        }
        entry.watch.bell.signal()
    }

    /// Ports that could not be plugged since somebody waits.
    func failed(_ server: String) -> Set<String> { entries[server]?.failed ?? [] }

    /// Ports that were plugged since somebody waits.
    func plugged(_ server: String) -> Set<String> {
        guard let entry = entries[server] else { return [] }
        return entry.told.subtracting(entry.failed)
    }
}
