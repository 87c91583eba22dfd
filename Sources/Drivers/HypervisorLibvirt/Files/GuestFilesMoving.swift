// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Glibc
internal import Kernel

/// Disks that change hosts or sizes. Everything here blocks and runs on the pool.
extension GuestFiles {
    /// The names of a guest's disk files, which are the same on every host.
    private static let names: Set = [
        "disk", "disk.eph0", "disk.eph1", "disk.eph2", "disk.swap", "disk.iso", "disk.config", "disk.config.vfat",
        "disk.eph0.luks", "disk.eph1.luks", "disk.eph2.luks", "disk.swap.luks",
    ]

    /// A guest's disks by their files' names, with the size that the guest sees.
    static func named(in folder: GuestFolder) throws(Fault) -> [(name: String, disk: GuestDisk, size: Int64)] {
        var found: [(name: String, disk: GuestDisk, size: Int64)] = []
        for disk in disks(in: folder) {
            guard let slash = disk.path.lastIndex(of: "/") else { continue }
            let name = String(disk.path[disk.path.index(after: slash)...])
            guard names.contains(name) else { continue }
            if disk.format == "qcow2", case .qcow2(let size, _, _) = try DiskHeader.read(disk.path) {
                found.append((name, disk, size))
            } else {
                found.append((name, disk, try FileSize.of(disk.path)))
            }
        }
        return found
    }

    /// Where a disk of another host goes; nil for a name that is none of ours.
    static func place(_ name: String, in folder: GuestFolder) -> String? {
        names.contains(name) ? folder.path + "/" + name : nil
    }

    /// Writes a disk whole, without the image it stands on: the other host need not have that.
    static func copy(
        _ disk: GuestDisk, to path: String, _ passphrase: EncryptedDisk.Passphrase?
    ) throws(Fault) {
        if let passphrase {
            try EncryptedDisk.copy(disk.path, passphrase, to: path, passphrase)
        } else if disk.format == "qcow2" {
            try Subprocess.check(
                ["qemu-img", "convert", "-q", "-f", "qcow2", "-O", "qcow2", disk.path, path], timeout: .seconds(7200))
        } else {
            try Subprocess.check(["cp", "--sparse=always", disk.path, path], timeout: .seconds(7200))
        }
    }

    /// An empty disk for what a guest that comes running brings with it.
    static func await(
        _ name: String, bytes: Int64, at path: String, _ passphrase: EncryptedDisk.Passphrase?
    ) throws(Fault) {
        if FileSystem.exists(path) { return }
        if let passphrase { return try EncryptedDisk.create(path, bytes: bytes, passphrase) }
        guard name == "disk" else { return try blank(path, bytes: bytes) }
        try Subprocess.check(["qemu-img", "create", "-q", "-f", "qcow2", path, "\(bytes)"], timeout: .seconds(60))
    }
}

// MARK: - Awaited guests

extension GuestFiles {
    /// The ports of a guest that is awaited and has no domain yet which could tell of them.
    static func awaited(in folder: GuestFolder) -> [GuestNIC] {
        guard let text = FileSystem.text(folder.awaited), let json = try? JSON.parse(Array(text.utf8)) else {
            return []
        }
        return (try? JSON.decode([GuestNIC].self, from: json)) ?? []
    }

    /// Notes them; none removes the note.
    static func note(awaited nics: [GuestNIC], in folder: GuestFolder) throws(Fault) {
        guard !nics.isEmpty else { return FileSystem.remove(folder.awaited) }
        let text: String
        do { text = try JSON.encode(nics).text() } catch {
            throw .internalError("The ports of an awaited guest cannot be noted: \(error)")
        }
        try FileSystem.write(text, to: folder.awaited)
    }
}

// MARK: - Kept disks

extension GuestFolder {
    /// Where the disks are kept that a resize began with; complete when it has this name.
    fileprivate var kept: String { path + "/kept" }
    fileprivate var awaited: String { path + "/awaited" }
}

extension GuestFiles {
    static func keep(_ folder: GuestFolder, _ module: TrustedModuleState) throws(Fault) {
        guard !FileSystem.exists(folder.kept) else { return }
        let part = folder.kept + ".part"
        FileSystem.remove(part)
        try FileSystem.makeDirectory(part, mode: 0o700)
        for (name, disk, _) in try named(in: folder) {
            // Copied as it is: it stands on the same image. Where the file system can, nothing is copied at all.
            try Subprocess.check(
                ["cp", "--reflink=auto", "--sparse=always", disk.path, part + "/" + name], timeout: .seconds(7200))
        }
        try module.copy(to: part + "/module")
        guard rename(part, folder.kept) == 0 else { throw SystemError.fault("Cannot keep the disks in \(folder.path)") }
    }

    static func isKept(_ folder: GuestFolder) -> Bool { FileSystem.exists(folder.kept) }

    /// Moves the kept disks back over those of now, and removes disks that were not there before.
    static func restore(_ folder: GuestFolder, _ module: TrustedModuleState) throws(Fault) {
        guard isKept(folder) else { return }
        let marker = folder.kept + "/.whole"
        if !FileSystem.exists(marker) {
            // From here on a kept file that is missing was moved back already.
            let kept = Set(FileSystem.list(folder.kept))
            for (name, disk, _) in try named(in: folder) where !kept.contains(name) { FileSystem.remove(disk.path) }
            if !kept.contains("module") { module.remove() }
            try FileSystem.write("", to: marker)
        }
        if FileSystem.exists(folder.kept + "/module") {
            try module.replace(from: folder.kept + "/module")
            FileSystem.remove(folder.kept + "/module")
        }
        for name in FileSystem.list(folder.kept) where names.contains(name) {
            guard rename(folder.kept + "/" + name, folder.path + "/" + name) == 0 else {
                throw SystemError.fault("Cannot restore \(name) in \(folder.path)")
            }
        }
        FileSystem.remove(folder.kept)
    }

    static func dropKept(_ folder: GuestFolder) { FileSystem.remove(folder.kept) }
}
