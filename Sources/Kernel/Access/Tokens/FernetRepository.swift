// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Glibc

/// A directory of Fernet keys in Keystone's layout: files named by number, 0 the staged key, the highest the primary.
/// A staged key reads tokens before any node makes one with it, so nodes may receive a rotation one after the other.
package struct FernetRepository: Sendable {
    package let directory: String
    private let chance: any Identifiers

    package init(directory: String, chance: any Identifiers = RandomIdentifiers()) {
        self.directory = directory
        self.chance = chance
    }

    /// Makes the directory, a primary and a staged key, unless there are keys already.
    /// - Returns: whether there were none.
    @discardableResult
    package func create() throws(Fault) -> Bool {
        if !FileSystem.exists(directory) { try FileSystem.makeDirectory(directory, mode: 0o700) }
        guard try numbers().isEmpty else { return false }
        try write("0")
        try rotate(maxActive: 3)
        return true
    }

    /// How many keys there are.
    package func count() throws(Fault) -> Int { try numbers().count }

    /// The keys on disk, the primary first.
    /// - Parameter readsNullKey: with a last key of zeros, which Keystone encrypts credentials with where it has none.
    package func load(readsNullKey: Bool = false) throws(Fault) -> FernetKeys {
        var keys: [FernetKey] = []
        for number in try numbers().sorted(by: >) {
            let path = "\(directory)/\(number)"
            let text = try read(path)
            // Upstream skips empty files too: a crash between creating and writing one leaves it so.
            if text.isEmpty { continue }
            guard let key = FernetKey(text) else {
                throw .internalError("\(path) is not a Fernet key: 32 bytes in URL-safe base64 are expected.")
            }
            keys.append(key)
        }
        if readsNullKey { keys.append(.null) }
        guard !keys.isEmpty else {
            throw .internalError("There are no Fernet keys in \(directory); make them before tokens are issued.")
        }
        return FernetKeys(keys, chance: chance)
    }

    /// The staged key becomes the primary, a new one is staged, and the oldest beyond `maxActive` go.
    package func rotate(maxActive: Int) throws(Fault) {
        var found = Set(try numbers())
        if !found.contains(0) { try write("0") }
        try write("0.tmp")
        found.remove(0)
        let primary = (found.max() ?? 0) + 1
        try move("0", "\(primary)")
        try move("0.tmp", "0")
        found.insert(primary)
        let excess = found.count - max(1, maxActive - 1)
        for number in found.sorted().prefix(max(0, excess)) where unlink("\(directory)/\(number)") != 0 {
            throw failure("remove", "\(directory)/\(number)")
        }
        try FileSystem.sync(folder: directory)
    }

    /// Changes whenever a key file does; a server that shares the directory loads again when it differs.
    package func mark() throws(Fault) -> [String] {
        var marks: [String] = []
        for number in try numbers().sorted() {
            var about = stat()
            guard stat("\(directory)/\(number)", &about) == 0 else { continue }
            marks.append("\(number) \(about.st_ino) \(about.st_mtim.tv_sec).\(about.st_mtim.tv_nsec)")
        }
        return marks
    }

    // MARK: - Files

    private func numbers() throws(Fault) -> [Int] {
        guard let stream = opendir(directory) else { throw failure("read", directory) }
        defer { closedir(stream) }
        var found: [Int] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { name in
                String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let number = Int(name), number >= 0, String(number) == name { found.append(number) }
        }
        return found
    }

    private func read(_ path: String) throws(Fault) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", path) }
        defer { close(file) }
        var about = stat()
        guard fstat(file, &about) == 0 else { throw failure("examine", path) }
        guard about.st_mode & 0o007 == 0 else {
            throw .internalError("\(path) can be read by everybody on this machine: chmod 600 it and rotate the keys.")
        }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = Glibc.read(file, &bytes, bytes.count)
        guard count >= 0 else { throw failure("read", path) }
        return String(String(decoding: bytes[..<count], as: UTF8.self)[...].trimmingSpace)
    }

    private func write(_ name: String) throws(Fault) {
        let path = "\(directory)/\(name)"
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("create", path) }
        defer { close(file) }
        let text = Array(FernetKey.random(chance).text.utf8)
        guard fchmod(file, 0o600) == 0, Glibc.write(file, text, text.count) == text.count, fsync(file) == 0 else {
            let fault = failure("write", path)
            unlink(path)
            throw fault
        }
    }

    private func move(_ from: String, _ to: String) throws(Fault) {
        guard rename("\(directory)/\(from)", "\(directory)/\(to)") == 0 else {
            throw failure("rename", "\(directory)/\(from)")
        }
    }

    private func failure(_ verb: String, _ path: String) -> Fault {
        .internalError("Cannot \(verb) \(path): \(String(cString: strerror(errno))).")
    }
}
