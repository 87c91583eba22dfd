// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
package import Image
package import Kernel
internal import Synchronization

/// Images as files of one folder, each under its location's name; drafts end in `.part` and are never anything else.
package final class FileImageStore: ImageStore {
    private let folder: String
    private let pool: BlockingPool
    private static let part = ".part"

    /// Makes the folder when it is not there.
    package init(folder: String, threads: Int = 4) throws(Fault) {
        try FileSystem.makeDirectory(folder, mode: 0o700)
        self.folder = folder
        pool = BlockingPool(name: "image files", threads: threads, queue: 1024)
    }

    package func create(_ location: String) async throws(Fault) -> any ImageDraft {
        let path = try path(location)
        let pool = pool
        return try await pool.run { () throws(Fault) in try FileDraft(path, folder: self.folder, pool: pool) }
    }

    package func open(_ location: String, offset: Int, length: Int) async throws(Fault) -> HTTPResponse.Body {
        let path = try path(location)
        return try await pool.run { () throws(Fault) in
            let file = try OpenFile.reading(path)
            let size = file.size
            guard offset >= 0, length >= 0, offset <= size, length <= size - offset else {
                throw .unavailable("The image's file is shorter than it was when it was stored.")
            }
            return length == 0 ? .empty : .file(file, offset: offset, length: length)
        }
    }

    package func inspect<Finding: Sendable>(
        _ location: String, _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        let path = try path(location)
        return try await pool.run { () throws(Fault) in
            let file = try OpenFile.reading(path)
            return try look(FileBytes(file: file, size: file.size))
        }
    }

    package func size(_ location: String) async throws(Fault) -> Int? {
        let path = try path(location)
        return try await pool.run { () throws(Fault) in
            var facts = stat()
            return stat(path, &facts) == 0 ? Int(facts.st_size) : nil
        }
    }

    package func delete(_ location: String) async throws(Fault) {
        let path = try path(location)
        try await pool.run { () throws(Fault) in
            guard unlink(path) == 0 || errno == ENOENT else { throw .files("delete", path) }
        }
    }

    package func free() async throws(Fault) -> Int? {
        let folder = folder
        return try await pool.run { () throws(Fault) in FileSystem.freeBytes(folder).map(Int.init) }
    }

    package func sweep(keeping locations: Set<String>) async throws(Fault) -> [String] {
        let folder = folder
        return try await pool.run { () throws(Fault) in
            let gone = FileSystem.list(folder).filter { !locations.contains($0) }
            for name in gone { unlink("\(folder)/\(name)") }
            return gone
        }
    }

    /// Locations are names of the room's making; one that could lead elsewhere is a mistake there.
    private func path(_ location: String) throws(Fault) -> String {
        let isName = location.utf8.allSatisfy { letter in
            (48...57).contains(letter) || (65...90).contains(letter) || (97...122).contains(letter)
                || letter == UInt8(ascii: "-") || letter == UInt8(ascii: ".")
        }
        guard isName, !location.isEmpty, location.first != ".", !location.hasSuffix(Self.part) else {
            throw .internalError("'\(location)' is no location of an image")
        }
        return "\(folder)/\(location)"
    }
}

/// A file that is being written.
private final class FileDraft: ImageDraft {
    private let path: String
    private let folder: String
    private let pool: BlockingPool
    private let file: OpenFile
    private let state = Mutex<(written: Int, isOpen: Bool)>((0, true))

    init(_ path: String, folder: String, pool: BlockingPool) throws(Fault) {
        self.path = path
        self.folder = folder
        self.pool = pool
        let descriptor = Glibc.open(path + ".part", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .files("create", path) }
        file = OpenFile(owning: descriptor)
    }

    deinit { if state.withLock({ $0.isOpen }) { unlink(path + ".part") } }

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
            guard fsync(self.file.descriptor) == 0 else { throw .files("sync", self.path) }
            guard rename(self.path + ".part", self.path) == 0 else { throw .files("rename", self.path) }
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
        if isOpen { unlink(path + ".part") }
    }
}

/// A file, for the parsers of formats.
private struct FileBytes: ImageBytes {
    let file: OpenFile
    let size: Int

    func read(at offset: Int, count: Int) throws(Fault) -> [UInt8] {
        guard offset >= 0, offset < size, count > 0 else { return [] }
        return try file.read(at: offset, count: min(count, size - offset))
    }
}

extension Fault {
    /// What the system said, as Glance answers it.
    fileprivate static func files(_ deed: String, _ path: String) -> Fault {
        let cause = errno
        let reason = String(cString: strerror(cause))
        switch cause {
        case ENOSPC, EDQUOT, EFBIG: return .imageStoreFull
        case EACCES, EPERM, EROFS:
            return .unavailable("Insufficient permissions on image storage media: could not \(deed) \(path): \(reason)")
        default: return .internalError("could not \(deed) \(path): \(reason)")
        }
    }
}
