// SPDX-License-Identifier: Apache-2.0
import Glibc
import Kernel

/// The folder a cloud is kept in, held by one process at a time.
final class DataDirectory: Sendable {
    let path: String
    private let lock: Int32

    init(_ path: String) throws(Fault) {
        self.path = path
        try FileSystem.makeDirectory(path, mode: 0o755)
        for folder in ["log", "images", "keys"] { try FileSystem.makeDirectory("\(path)/\(folder)", mode: 0o700) }
        let file = "\(path)/apus.lock"
        lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw SystemError.fault("open \(file)") }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let pid = FileSystem.text(file)?.trimmedOfSpace ?? "?"
            close(lock)
            throw .conflict(
                "apus up: a cloud is already running in \(path) (process \(pid)); stop it with: kill \(pid)")
        }
        ftruncate(lock, 0)
        let text = Array("\(getpid())\n".utf8)
        _ = text.withUnsafeBytes { write(lock, $0.baseAddress!, $0.count) }
    }

    deinit { close(lock) }

    /// What secrets in the database are sealed with, made at the first start. Every machine of a cloud needs the same;
    /// without it what is sealed is lost.
    func sealingKeys(_ ids: any Identifiers) throws(Fault) -> SealingKeyFile {
        let file = try SealingKeyFile("\(path)/keys/secrets", chance: ids, makes: true)
        _ = try file.all()
        return file
    }

    /// A secret that is made once and kept.
    func secret(_ name: String, _ ids: any Identifiers) throws(Fault) -> String {
        let file = "\(path)/\(name)"
        if let known = FileSystem.text(file)?.trimmedOfSpace, !known.isEmpty { return known }
        let letters = Array("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789")
        let made = String(ids.bytes(20).map { letters[Int($0) % letters.count] })
        try FileSystem.write(made + "\n", to: file, mode: 0o600)
        return made
    }
}
