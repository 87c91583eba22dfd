// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Glibc
internal import Synchronization

/// What secrets are sealed with: the first key seals, all of them open.
package protocol SealingKeys: Sendable {
    /// As they are now; never none.
    func all() throws(Fault) -> [SealingKey]
}

/// Keys that do not change.
package struct FixedSealingKeys: SealingKeys {
    private let keys: [SealingKey]

    package init(_ keys: [SealingKey]) { self.keys = keys }
    package func all() -> [SealingKey] { keys }
}

/// A file with a key a line, 32 bytes in hexadecimal, the newest first. It is replaced as a whole and never changed, so
/// whoever reads it, whenever a process dies, finds what it was or what it became. Each use looks whether it was
/// replaced.
package final class SealingKeyFile: SealingKeys {
    private struct Read {
        var mark = ""
        var keys: [SealingKey] = []
    }

    package let path: String
    private let chance: any Identifiers
    private let read = Mutex(Read())

    /// - Parameter makes: whether it is made, with one key, where there is none; otherwise that is 404.
    package init(_ path: String, chance: any Identifiers, makes: Bool = false) throws(Fault) {
        self.path = path
        self.chance = chance
        if makes {
            try alone { () throws(Fault) in
                // Asked with the lock in hand: two processes that start at once have one key.
                if !FileSystem.exists(path) { try write([SealingKey.random(chance)]) }
            }
        } else if !FileSystem.exists(path) {
            throw .notFound("there are no keys that secrets are sealed with: \(path) is missing")
        }
    }

    package func all() throws(Fault) -> [SealingKey] {
        let mark = try mark()
        if let known = read.withLock({ $0.mark == mark ? $0.keys : nil }) { return known }
        let keys = try load()
        read.withLock { $0 = Read(mark: mark, keys: keys) }
        return keys
    }

    /// A new key seals from now on; those before it still open.
    package func rotate() throws(Fault) {
        try alone { () throws(Fault) in try write([SealingKey.random(chance)] + load()) }
    }

    /// Only the newest key is left, and given others stay.
    /// - Parameter isNeeded: asked about each of the others, oldest first, while nobody else changes the file.
    package func drop(unless isNeeded: (SealingKey) throws(Fault) -> Bool) throws(Fault) -> Int {
        var dropped = 0
        try alone { () throws(Fault) in
            let keys = try load()
            var kept: [SealingKey] = []
            for (at, key) in keys.enumerated() {
                if at == 0 {
                    kept.append(key)
                } else if try isNeeded(key) {
                    kept.append(key)
                }
            }
            dropped = keys.count - kept.count
            if dropped > 0 { try write(kept) }
        }
        return dropped
    }

    // MARK: - The file

    private func load() throws(Fault) -> [SealingKey] {
        let lines = (FileSystem.text(path) ?? "").split(separator: "\n").map { String($0).trimmedOfSpace }
        let keys = lines.filter { !$0.isEmpty }.map { Hex.decode($0).flatMap { SealingKey(bytes: $0) } }
        guard !keys.isEmpty, !keys.contains(where: { $0 == nil }) else {
            throw .internalError(
                "\(path) holds no key, or something else: \(SealingKey.count) bytes in hexadecimal a line are expected."
            )
        }
        return keys.compactMap(\.self)
    }

    private func mark() throws(Fault) -> String {
        var about = stat()
        guard stat(path, &about) == 0 else { throw SystemError.fault("Cannot read \(path)") }
        guard about.st_mode & 0o077 == 0 else {
            throw .internalError("\(path) can be read by others on this machine: chmod 600 it and rotate the keys.")
        }
        return "\(about.st_ino) \(about.st_size) \(about.st_mtim.tv_sec).\(about.st_mtim.tv_nsec)"
    }

    /// One process at a time.
    private func alone(_ deed: () throws(Fault) -> Void) throws(Fault) {
        let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0, flock(lock, LOCK_EX) == 0 else { throw SystemError.fault("Cannot lock \(path)") }
        defer { close(lock) }
        try deed()
    }

    private func write(_ keys: [SealingKey]) throws(Fault) {
        try FileSystem.write(keys.map(\.text).joined(separator: "\n") + "\n", to: path, mode: 0o600, isDurable: true)
    }
}
