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
        var users = 0
        /// Ports that Network could not plug.
        var failed: Set<String> = []
        /// Ports that it has told of at all.
        var told: Set<String> = []
    }

    private var entries: [String: Entry] = [:]
    /// Servers that something was told of, the oldest first: a word may come before who waits.
    private var early: [String] = []
    private static let memory = 1000

    private func entry(_ server: String) -> Entry {
        if let known = entries[server] { return known }
        let entry = Entry(watch: Watch())
        entries[server] = entry
        early.append(server)
        if early.count > PlugBoard.memory {
            let oldest = early.removeFirst()
            if entries[oldest]?.users == 0 { entries[oldest] = nil }
        }
        return entry
    }

    func open(_ server: String) -> Watch {
        let watch = entry(server).watch
        entries[server]?.users += 1
        return watch
    }

    func close(_ server: String) {
        entries[server]?.users -= 1
        guard entries[server]?.users == 0 else { return }
        entries[server] = nil
        early.removeAll { $0 == server }
    }

    /// What was told of these ports until now is of no use any more.
    func forget(_ ports: Set<String>, of server: String) {
        entries[server]?.told.subtract(ports)
        entries[server]?.failed.subtract(ports)
    }

    func tell(_ server: String, _ port: String?, hasFailed: Bool) {
        let watch = entry(server).watch
        if let port {
            entries[server]?.told.insert(port)
            if hasFailed {
                entries[server]?.failed.insert(port)
            } else {
                entries[server]?.failed.remove(port)
            }
        }
        watch.bell.signal()
    }

    /// Ports that could not be plugged since somebody waits, or shortly before.
    func failed(_ server: String) -> Set<String> { entries[server]?.failed ?? [] }

    /// Ports that were plugged since somebody waits, or shortly before.
    func plugged(_ server: String) -> Set<String> {
        guard let entry = entries[server] else { return [] }
        return entry.told.subtracting(entry.failed)
    }
}
