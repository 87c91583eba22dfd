// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// Small files and folders by path, for the kernel and the drivers that keep state beside the database. Blocks.
package enum FileSystem {
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
    package static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

    /// A whole small file; nil when it cannot be read.
    package static func read(_ path: String, limit: Int = 16 << 20) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < limit {
            let got = Glibc.read(file, &chunk, chunk.count)
            if got < 0 && errno == EINTR { continue }
            if got < 0 { return nil }
            if got == 0 { break }
            bytes.append(contentsOf: chunk[..<got])
        }
        return bytes
    }

    package static func text(_ path: String) -> String? { read(path).map { String(decoding: $0, as: UTF8.self) } }

    /// Replaces the file in one step: a reader sees the old text or the new one, never a part.
    /// - Parameter isDurable: whether it is on the disk when this returns, whatever happens to the machine then.
    package static func write(
        _ text: String, to path: String, mode: UInt32 = 0o600, isDurable: Bool = false
    ) throws(Fault) {
        try write(Array(text.utf8), to: path, mode: mode, isDurable: isDurable)
    }

    package static func write(
        _ bytes: [UInt8], to path: String, mode: UInt32 = 0o600, isDurable: Bool = false
    ) throws(Fault) {
        let draft = "\(path).new"
        let file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard file >= 0 else { throw SystemError.fault("Cannot write \(draft)") }
        // The draft may be one that a dead process left, for others to read.
        guard fchmod(file, mode) == 0, put(bytes, into: file), !isDurable || fsync(file) == 0 else {
            let fault = SystemError.fault("Cannot write \(draft)")
            close(file)
            throw fault
        }
        close(file)
        guard rename(draft, path) == 0 else { throw SystemError.fault("Cannot replace \(path)") }
        if isDurable { try sync(folder: folder(of: path)) }
    }

    private static func put(_ bytes: [UInt8], into file: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let put = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + done, bytes.count - done) }
            if put < 0 && errno == EINTR { continue }
            guard put > 0 else { return false }
            done += put
        }
        return true
    }

    /// Returns when what was made, renamed and removed in a folder is on the disk.
    package static func sync(folder: String) throws(Fault) {
        let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError.fault("Cannot open \(folder)") }
        defer { close(file) }
        guard fsync(file) == 0 else { throw SystemError.fault("Cannot write \(folder)") }
    }

    /// The folder that a path is in.
    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Makes the folder and those above it.
    package static func makeDirectory(_ path: String, mode: UInt32 = 0o755) throws(Fault) {
        if exists(path) || path.isEmpty { return }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try makeDirectory(String(path[..<slash]), mode: mode)
        }
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw SystemError.fault("Cannot make \(path)") }
    }

    /// A new folder of ours alone under /tmp.
    package static func makeTemporaryDirectory(_ prefix: String) throws(Fault) -> String {
        var template = Array("/tmp/\(prefix)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError.fault("Cannot make a folder under /tmp") }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The names in a folder, sorted; none when it cannot be read.
    package static func list(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    package static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// When the file was last written, in seconds since 1970.
    package static func modified(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_mtim.tv_sec) : nil
    }

    /// What a symbolic link says.
    package static func link(_ path: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = bytes.withUnsafeMutableBytes {
            readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Removes a file, or a folder with all that is in it; never follows a symbolic link.
    package static func remove(_ path: String) {
        if isDirectory(path) {
            for name in list(path) { remove("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    /// Copies the files of a folder, and its folders, into another.
    package static func copyTree(from: String, to: String) throws(Fault) {
        try makeDirectory(to)
        for name in list(from) {
            if isDirectory("\(from)/\(name)") {
                try copyTree(from: "\(from)/\(name)", to: "\(to)/\(name)")
            } else if let bytes = read("\(from)/\(name)") {
                try write(bytes, to: "\(to)/\(name)")
            }
        }
    }

    /// The path without symbolic links and dots; the text itself when nothing is there yet.
    package static func resolved(_ path: String) -> String {
        guard let raw = realpath(path, nil) else { return path }
        defer { free(raw) }
        return String(cString: raw)
    }

    /// Bytes that an unprivileged writer may still use on the path's file system.
    package static func freeBytes(_ path: String) -> Int64? {
        var space = statvfs()
        guard statvfs(path, &space) == 0 else { return nil }
        return Int64(space.f_bavail) * Int64(space.f_frsize)
    }
}

extension FileSystem {
    /// A path from the root, for one that may be relative to where the program was started.
    package static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/") else { return path }
        let here = getcwd(nil, 0)
        defer { free(here) }
        return (here.map { String(cString: $0) } ?? "") + "/" + path
    }
}
