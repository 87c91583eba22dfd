// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
package import Image
package import Kernel
internal import Synchronization

/// Images as files of one folder or several, each under its own name; drafts end in `.part` and are never anything
/// else. Of a location only the last step counts, and the folders are the store's own: no location leads elsewhere, and
/// the folders may be moved.
package final class FileImageStore: ImageCacheMedium {
    private let folders: [FileStoreSettings.Folder]
    private let settings: FileStoreSettings
    private let pool: BlockingPool
    static let part = ".part"

    /// Makes the folders when they are not there.
    package init(_ settings: FileStoreSettings, threads: Int = 4) throws(Fault) {
        precondition(!settings.folders.isEmpty, "a file store has a folder")
        for folder in settings.folders { try FileSystem.makeDirectory(folder.path, mode: 0o700) }
        folders = settings.folders.sorted { $0.priority > $1.priority }
        self.settings = settings
        pool = BlockingPool(name: "image files", threads: threads, queue: 1024)
    }

    package convenience init(folder: String) throws(Fault) {
        try self.init(FileStoreSettings(folders: [FileStoreSettings.Folder(path: folder)]))
    }

    package func properties() async throws(Fault) -> JSON {
        [
            "data_dir": .string(folders[0].path), "chunk_size": 65536,
            "thin_provisioning": .bool(settings.isThin),
        ]
    }

    package func owns(_ location: String) async -> Bool {
        folders.contains { location.hasPrefix("file://\($0.path)/") }
    }

    package func create(_ name: String, size: Int?) async throws(Fault) -> any ImageDraft {
        try await begin(name, size: size)
    }

    package func begin(_ name: String, size: Int?) async throws(Fault) -> any GrowingDraft {
        try check(name)
        let (pool, settings) = (pool, settings)
        return try await pool.run { () throws(Fault) in
            try FileDraft(name, in: self.folder(for: size ?? 0), settings, pool: pool)
        }
    }

    /// The first with room; of equal priority the one with the most.
    private func folder(for size: Int) throws(Fault) -> String {
        guard folders.count > 1 else { return folders[0].path }
        let rooms = folders.map { ($0, Int(FileSystem.freeBytes($0.path) ?? 0)) }.filter { $0.1 >= size }
        guard let best = rooms.max(by: { ($0.0.priority, $0.1) < ($1.0.priority, $1.1) }) else {
            throw .imageStoreFull
        }
        return best.0.path
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
            for path in [path + Self.part, path] {
                guard unlink(path) == 0 || errno == ENOENT else { throw .files("delete", path) }
            }
        }
    }

    package func free() async throws(Fault) -> Int? {
        let folders = folders
        return try await pool.run { () throws(Fault) in
            folders.map { Int(FileSystem.freeBytes($0.path) ?? 0) }.reduce(0, +)
        }
    }

    package func contents() async throws(Fault) -> [String] {
        let folders = folders
        return try await pool.run { () throws(Fault) in
            folders.flatMap { folder in
                FileSystem.list(folder.path).filter { !$0.hasSuffix(Self.part) }.map { "file://\(folder.path)/\($0)" }
            }
        }
    }

    /// Drafts that nobody holds open: another process may write in the same folder.
    package func sweep() async throws(Fault) -> [String] {
        let folders = folders
        return try await pool.run { () throws(Fault) in
            var gone: [String] = []
            for folder in folders {
                for name in FileSystem.list(folder.path) where name.hasSuffix(Self.part) {
                    let path = "\(folder.path)/\(name)"
                    let file = OpenFile(owning: Glibc.open(path, O_RDWR | O_CLOEXEC))
                    guard flock(file.descriptor, LOCK_EX | LOCK_NB) == 0, unlink(path) == 0 else { continue }
                    gone.append(name)
                }
            }
            return gone
        }
    }

    /// Where the file is or would be.
    private func path(_ location: String) throws(Fault) -> String {
        let name = location.split(separator: "/").last.map(String.init) ?? ""
        try check(name)
        let paths = folders.map { "\($0.path)/\(name)" }
        return paths.first(where: FileSystem.exists) ?? paths[0]
    }

    /// Names are of the room's making; one that could lead elsewhere is a mistake there.
    private func check(_ name: String) throws(Fault) {
        let isName = name.utf8.allSatisfy { letter in
            (48...57).contains(letter) || (65...90).contains(letter) || (97...122).contains(letter)
                || letter == UInt8(ascii: "-") || letter == UInt8(ascii: ".") || letter == UInt8(ascii: "_")
        }
        guard isName, !name.isEmpty, name.first != ".", !name.hasSuffix(Self.part) else {
            throw .internalError("'\(name)' is no name of an image's file")
        }
    }
}

/// A file, for the parsers of formats.
struct FileBytes: ImageBytes {
    let file: OpenFile
    let size: Int

    func read(at offset: Int, count: Int) throws(Fault) -> [UInt8] {
        guard offset >= 0, offset < size, count > 0 else { return [] }
        return try file.read(at: offset, count: min(count, size - offset))
    }
}

extension Fault {
    /// What the system said, as Glance answers it.
    static func files(_ deed: String, _ path: String) -> Fault {
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
