// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import Image
internal import Kernel
internal import Synchronization

/// A file that is being written.
final class FileDraft: GrowingDraft {
    let location: String
    private let path: String
    private let folder: String
    private let settings: FileStoreSettings
    private let pool: BlockingPool
    private let file: OpenFile
    private let state = Mutex<(written: Int, flushed: Int, isOpen: Bool)>((0, 0, true))
    /// After so many bytes the disk is told to begin: the end has little left to wait for.
    private static let stretch = 8 << 20

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
        var problem: Fault?
        bytes.withUnsafeBytes { all in
            do throws(Fault) {
                for range in settings.isThin ? all.stretches(ofBlocks: FileDraft.block) : [0..<all.count] {
                    try write(UnsafeRawBufferPointer(rebasing: all[range]), at: start + range.lowerBound)
                }
            } catch { problem = error }
        }
        if let problem { throw problem }
        let due: Range<Int>? = state.withLock { state in
            state.written += bytes.count
            guard state.written - state.flushed >= FileDraft.stretch else { return nil }
            defer { state.flushed = state.written }
            return state.flushed..<state.written
        }
        if let due { clinux_begin_writing(file.descriptor, off_t(due.lowerBound), off_t(due.count)) }
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at start: Int) throws(Fault) {
        var done = 0
        while done < bytes.count {
            let put = pwrite(file.descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(start + done))
            if put < 0, errno == EINTR { continue }
            guard put > 0 else { throw .files("write", path) }
            done += put
        }
    }

    /// Of this length and at a multiple of it, zeros are a hole when the store is thin.
    private static let block = 4096

    func inspect<Finding: Sendable>(
        _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        let bytes = FileBytes(file: file, size: state.withLock { $0.written })
        return try await pool.run { () throws(Fault) in try look(bytes) }
    }

    func written(at offset: Int, count: Int) async throws(Fault) -> [UInt8] {
        let bytes = FileBytes(file: file, size: state.withLock { $0.written })
        return try await pool.run { () throws(Fault) in try bytes.read(at: offset, count: count) }
    }

    func publish() async throws(Fault) {
        try await pool.run { () throws(Fault) in
            if let mode = self.settings.permissions { fchmod(self.file.descriptor, mode_t(mode)) }
            // A hole at the end is no byte that was written.
            let size = self.state.withLock { $0.written }
            guard ftruncate(self.file.descriptor, off_t(size)) == 0 else { throw .files("write", self.path) }
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
