// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import Image
internal import Kernel
internal import Synchronization

/// A file that is being written.
final class FileDraft: ImageDraft {
    let location: String
    private let path: String
    private let folder: String
    private let settings: FileStoreSettings
    private let pool: BlockingPool
    private let file: OpenFile
    private let state = Mutex<(written: Int, isOpen: Bool)>((0, true))

    init(_ name: String, in folder: String, _ settings: FileStoreSettings, pool: BlockingPool) throws(Fault) {
        location = "file://\(folder)/\(name)"
        path = "\(folder)/\(name)"
        self.folder = folder
        self.settings = settings
        self.pool = pool
        let descriptor = Glibc.open(path + FileImageStore.part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .files("create", path) }
        file = OpenFile(owning: descriptor)
        // Says that somebody writes it, to those who sweep.
        flock(descriptor, LOCK_EX | LOCK_NB)
    }

    deinit { if state.withLock({ $0.isOpen }) { unlink(path + FileImageStore.part) } }

    func append(_ bytes: [UInt8]) async throws(Fault) {
        try await pool.run { () throws(Fault) in try self.write(bytes) }
    }

    private func write(_ bytes: [UInt8]) throws(Fault) {
        let start = state.withLock { $0.written }
        var done = 0
        while done < bytes.count {
            let put = bytes.withUnsafeBytes {
                pwrite(file.descriptor, $0.baseAddress! + done, bytes.count - done, off_t(start + done))
            }
            if put < 0, errno == EINTR { continue }
            guard put > 0 else { throw .files("write", path) }
            done += put
        }
        state.withLock { $0.written += bytes.count }
    }

    func inspect<Finding: Sendable>(
        _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        let bytes = FileBytes(file: file, size: state.withLock { $0.written })
        return try await pool.run { () throws(Fault) in try look(bytes) }
    }

    func publish() async throws(Fault) {
        try await pool.run { () throws(Fault) in
            if let mode = self.settings.permissions { fchmod(self.file.descriptor, mode_t(mode)) }
            guard fsync(self.file.descriptor) == 0 else { throw .files("sync", self.path) }
            guard rename(self.path + FileImageStore.part, self.path) == 0 else { throw .files("rename", self.path) }
            self.state.withLock { $0.isOpen = false }
            let folder = OpenFile(owning: Glibc.open(self.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
            guard fsync(folder.descriptor) == 0 else { throw .files("sync", self.folder) }
        }
    }

    func discard() async {
        let isOpen = state.withLock { state in
            defer { state.isOpen = false }
            return state.isOpen
        }
        if isOpen { unlink(path + FileImageStore.part) }
    }
}
