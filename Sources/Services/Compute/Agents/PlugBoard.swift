// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What Network has said of servers' ports since somebody waits for them, or shortly before. It only saves time: who
/// waits asks Network itself, and what was said to a process that ended is said again to the next one.
actor PlugBoard {
    private struct Entry {
        var isAwaited = false
        /// Ports that Network could not plug.
        var failed: Set<String> = []
        /// Ports that it has told of at all.
        var told: Set<String> = []
    }

    private var entries: [String: Entry] = [:]
    /// Servers that something was told of, the oldest first: a word may come before who waits.
    private var early: [String] = []
    private static let memory = 1000

    /// Somebody waits: what is told is kept until `close`.
    func open(_ server: String) {
        note(server)
        entries[server]?.isAwaited = true
    }

    func close(_ server: String) {
        guard entries.removeValue(forKey: server) != nil else { return }
        early.removeAll { $0 == server }
    }

    /// What was told of these ports until now is of no use any more.
    func forget(_ ports: Set<String>, of server: String) {
        entries[server]?.told.subtract(ports)
        entries[server]?.failed.subtract(ports)
    }

    func tell(_ server: String, _ port: String, hasFailed: Bool) {
        note(server)
        entries[server]?.told.insert(port)
        if hasFailed {
            entries[server]?.failed.insert(port)
        } else {
            entries[server]?.failed.remove(port)
        }
    }

    private func note(_ server: String) {
        guard entries[server] == nil else { return }
        entries[server] = Entry()
        early.append(server)
        guard early.count > PlugBoard.memory else { return }
        let oldest = early.removeFirst()
        if entries[oldest]?.isAwaited == false { entries[oldest] = nil }
    }

    /// Ports that could not be plugged.
    func failed(_ server: String) -> Set<String> { entries[server]?.failed ?? [] }

    /// Ports that were plugged.
    func plugged(_ server: String) -> Set<String> {
        guard let entry = entries[server] else { return [] }
        return entry.told.subtracting(entry.failed)
    }
}
