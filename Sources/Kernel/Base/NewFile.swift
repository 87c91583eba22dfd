// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// A file being written under its final name's `.part`, and shown under the name only when it is whole and on disk.
package final class NewFile: Sendable {
    private let descriptor: Int32
    private let path: String

    /// Makes the file; a leftover of an earlier try is written over.
    package init(_ path: String) throws(Fault) {
        self.path = path
        descriptor = open(path + ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw NewFile.fault("create", path) }
    }

    deinit { close(descriptor) }

    package func append(_ bytes: [UInt8]) throws(Fault) {
        var at = 0
        while at < bytes.count {
            let put = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + at, bytes.count - at) }
            if put < 0, errno == EINTR { continue }
            guard put > 0 else { throw NewFile.fault("write", path) }
            at += put
        }
    }

    /// On disk, and under its name.
    package func finish() throws(Fault) {
        guard fsync(descriptor) == 0 else { throw NewFile.fault("sync", path) }
        guard rename(path + ".part", path) == 0 else { throw NewFile.fault("rename", path) }
    }

    private static func fault(_ what: String, _ path: String) -> Fault {
        let reason = String(cString: strerror(errno))
        return errno == ENOSPC
            ? .unavailable("No space left to \(what) \(path); free some and try again.")
            : .internalError("could not \(what) \(path): \(reason)")
    }
}
