// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Glibc
internal import Kernel

/// Makes a guest's disks. Everything here blocks and runs on the pool.
enum GuestFiles {
    /// Makes all disks anew, whatever a boot that was cut off has left.
    static func make(
        _ spec: GuestSpec, in folder: GuestFolder, on base: BaseImage?, keepsEphemeral: Bool = false,
        _ passphrases: DiskPassphrases = .none
    ) throws(Fault) {
        let kept = keepsEphemeral ? Set(ephemeral(spec, in: folder).map(\.path)) : []
        for name in FileSystem.list(folder.path) where !kept.contains(folder.path + "/" + name) {
            FileSystem.remove(folder.path + "/" + name)
        }
        try FileSystem.makeDirectory(folder.path, mode: 0o700)
        if !spec.isVolumeBacked {
            try root(spec, at: folder.root, on: base, passphrases.disks["root"], image: passphrases.image)
        }
        try makeEphemeral(spec, in: folder, passphrases)
        try makeSwap(spec, in: folder, passphrases)
        if let base, base.isMedium {
            // A link of its own: the cache may drop the image while the guest has it in the drive.
            FileSystem.remove(folder.installer)
            guard link(base.path, folder.installer) == 0 else {
                throw SystemError.fault("Cannot link \(folder.installer)")
            }
        }
        if let drive = spec.configDrive { try ConfigDriveFile.make(drive, in: folder) }
    }

    /// Makes the disk that a guest is rescued from, and a config drive that tells the rescue's password.
    static func makeRescue(
        _ spec: GuestSpec, in folder: GuestFolder, on base: BaseImage?, _ passphrases: DiskPassphrases = .none
    ) throws(Fault) {
        FileSystem.remove(folder.rescue)
        FileSystem.remove(folder.rescueConfig)
        if let base, base.isMedium {
            guard link(base.path, folder.rescue) == 0 else { throw SystemError.fault("Cannot link \(folder.rescue)") }
        } else {
            var rescue = spec
            // As large as the image needs: nobody keeps anything on it.
            if base != nil { rescue.rootDiskGiB = 0 }
            try root(rescue, at: folder.rescue, on: base, passphrases.disks["rescue"], image: passphrases.image)
        }
        if let drive = spec.configDrive { try ConfigDriveFile.make(drive, in: folder, as: folder.rescueConfig) }
    }

    /// The disks that the guest's folder holds, in the order in which the guest sees them.
    /// - Parameter keys: what they are encrypted with, by their names.
    static func disks(
        in folder: GuestFolder, rescue: GuestRescueDisk? = nil, keys: [String: String] = [:]
    ) -> [GuestDisk] {
        let own = disks(in: folder, keys)
        guard let rescue else { return own }
        var disk = GuestDisk(role: .rescue, path: folder.rescue, format: "raw")
        if case .qcow2? = try? DiskHeader.read(folder.rescue) {
            disk = GuestDisk(role: .rescue, path: folder.rescue, format: "qcow2")
            disk.key = keys["rescue"]
        }
        disk.rescue = rescue
        if rescue.isStable { return own + [disk] }
        let drive = GuestDisk(role: .configDrive, path: folder.rescueConfig, format: "raw")
        return [disk] + own.filter { $0.role == .root } + (FileSystem.exists(drive.path) ? [drive] : [])
    }

    /// Of the kinds that may be encrypted those that are have names of their own: what a plain one holds is the
    /// guest's, and may look like anything.
    private static func disks(in folder: GuestFolder, _ keys: [String: String]) -> [GuestDisk] {
        var disks = [GuestDisk(role: .root, path: folder.root, format: "qcow2")]
        for number in 0...2 {
            disks.append(GuestDisk(role: .ephemeral, path: folder.ephemeral(number), format: "raw"))
            disks.append(GuestDisk(role: .ephemeral, path: folder.ephemeral(number) + ".luks", format: "qcow2"))
        }
        disks += [
            GuestDisk(role: .swap, path: folder.swap, format: "raw"),
            GuestDisk(role: .swap, path: folder.swap + ".luks", format: "qcow2"),
            GuestDisk(role: .installer, path: folder.installer, format: "raw"),
            GuestDisk(role: .configDrive, path: folder.configDrive, format: "raw"),
            GuestDisk(role: .configDisk, path: folder.configDisk, format: "raw"),
        ]
        return disks.filter { FileSystem.exists($0.path) }.map { disk in
            var disk = disk
            disk.key = keyName(ofFile: disk.path.dropFirst(folder.path.count + 1)).flatMap { keys[$0] }
            return disk
        }
    }

    /// Grows the disks; the guest finds the room at its next start. Swap holds nothing and is made anew.
    static func grow(
        _ folder: GuestFolder, to spec: GuestSpec, _ passphrases: DiskPassphrases = .none
    ) throws(Fault) {
        if !spec.isVolumeBacked { try growRoot(folder, to: spec, passphrases.disks["root"]) }
        if spec.ephemeralDisks.count < 2 { try growEphemeral(folder, to: spec, passphrases) }
        let file = folder.swap + (spec.diskKeys["swap"] == nil ? "" : ".luks")
        guard try size(of: file) != Int64(spec.swapMiB) << 20 else { return }
        FileSystem.remove(file)
        try makeSwap(spec, in: folder, passphrases)
    }

    /// As the guest sees it; 0 of a disk that is not there.
    private static func size(of path: String) throws(Fault) -> Int64 {
        guard FileSystem.exists(path) else { return 0 }
        if path.hasSuffix(".luks"), case .qcow2(let size, _, _) = try DiskHeader.read(path) { return size }
        return try FileSize.of(path)
    }

    private static func growRoot(
        _ folder: GuestFolder, to spec: GuestSpec, _ passphrase: EncryptedDisk.Passphrase?
    ) throws(Fault) {
        guard case .qcow2(let has, _, _) = try DiskHeader.read(folder.root) else {
            throw .internalError("The root disk of \(spec.server) cannot be read.")
        }
        let wanted = Int64(spec.rootDiskGiB) << 30
        guard wanted == 0 || wanted >= has else { throw .diskShrinks(spec.server) }
        guard wanted > has else { return }
        if let passphrase { return try EncryptedDisk.resize(folder.root, passphrase, bytes: wanted) }
        try Subprocess.check(
            ["qemu-img", "resize", "-q", "-f", "qcow2", folder.root, "\(wanted)"], timeout: .seconds(60))
    }

    private static func growEphemeral(
        _ folder: GuestFolder, to spec: GuestSpec, _ passphrases: DiskPassphrases
    ) throws(Fault) {
        let path = folder.ephemeral + (spec.diskKeys["ephemeral0"] == nil ? "" : ".luks")
        guard FileSystem.exists(path) else { return try makeEphemeral(spec, in: folder, passphrases) }
        let (wanted, has) = (Int64(spec.ephemeralGiB) << 30, try size(of: path))
        guard wanted >= has else { throw .diskShrinks(spec.server) }
        guard wanted > has else { return }
        // What is in an encrypted one only the guest sees: its file system is the guest's to grow.
        if let passphrase = passphrases.disks["ephemeral0"] {
            return try EncryptedDisk.resize(path, passphrase, bytes: wanted)
        }
        guard truncate(path, off_t(wanted)) == 0 else { throw SystemError.fault("Cannot grow \(path)") }
        // Its file system grows with it if it is still ours; a guest may have made another.
        if try Subprocess.runBlocking(["e2fsck", "-f", "-p", path], timeout: .seconds(600)).status < 4 {
            _ = try Subprocess.runBlocking(["resize2fs", path], timeout: .seconds(600))
        }
    }

    /// Where a guest's ephemeral disks are, and how large.
    private static func ephemeral(_ spec: GuestSpec, in folder: GuestFolder) -> [(path: String, bytes: Int64)] {
        guard spec.ephemeralGiB > 0 else { return [] }
        let sizes = spec.ephemeralDisks.isEmpty ? [spec.ephemeralGiB] : spec.ephemeralDisks
        return sizes.enumerated().map { number, size in
            let end = spec.diskKeys["ephemeral\(number)"] == nil ? "" : ".luks"
            return (folder.ephemeral(number) + end, Int64(size) << 30)
        }
    }

    private static func makeEphemeral(
        _ spec: GuestSpec, in folder: GuestFolder, _ passphrases: DiskPassphrases
    ) throws(Fault) {
        for (number, disk) in ephemeral(spec, in: folder).enumerated() where !FileSystem.exists(disk.path) {
            try fill(disk.path, bytes: disk.bytes, passphrases.disks["ephemeral\(number)"]) { path throws(Fault) in
                try Subprocess.check(
                    ["mkfs.ext4", "-q", "-F", "-L", "ephemeral\(number)", path], timeout: .seconds(300))
            }
        }
    }

    private static func makeSwap(
        _ spec: GuestSpec, in folder: GuestFolder, _ passphrases: DiskPassphrases
    ) throws(Fault) {
        guard spec.swapMiB > 0 else { return }
        let path = folder.swap + (spec.diskKeys["swap"] == nil ? "" : ".luks")
        try fill(path, bytes: Int64(spec.swapMiB) << 20, passphrases.disks["swap"]) { path throws(Fault) in
            try Subprocess.check(["mkswap", path])
        }
    }

    /// Makes a disk with something on it; one to be encrypted is made plain first, which is no secret yet.
    private static func fill(
        _ path: String, bytes: Int64, _ passphrase: EncryptedDisk.Passphrase?, _ format: (String) throws(Fault) -> Void
    ) throws(Fault) {
        guard let passphrase else {
            try blank(path, bytes: bytes)
            return try format(path)
        }
        let plain = path + ".plain"
        FileSystem.remove(plain)
        defer { FileSystem.remove(plain) }
        try blank(plain, bytes: bytes)
        try format(plain)
        try EncryptedDisk.copy(plain: plain, format: "raw", to: path, passphrase)
    }

    /// The root disk: its own writes over the shared image, or empty.
    private static func root(
        _ spec: GuestSpec, at path: String, on base: BaseImage?, _ passphrase: EncryptedDisk.Passphrase?,
        image: EncryptedDisk.Passphrase?
    ) throws(Fault) {
        let wanted = Int64(spec.rootDiskGiB) << 30
        guard let base, !base.isMedium else {
            let size = max(wanted, 1 << 20)
            if let passphrase { return try EncryptedDisk.create(path, bytes: size, passphrase) }
            try Subprocess.check(
                ["qemu-img", "create", "-q", "-f", "qcow2", path, "\(size)"], timeout: .seconds(60))
            return
        }
        guard wanted == 0 || wanted >= base.virtualSize else {
            throw .badRequest(
                "Flavor's disk is too small for requested image. Flavor disk is \(wanted) bytes, image is "
                    + "\(base.virtualSize) bytes.")
        }
        let size = max(wanted, base.virtualSize)
        if let passphrase { return try encryptedRoot(at: path, size: size, on: base, passphrase, image: image) }
        guard image == nil else {
            throw .badRequest("The image of \(spec.server) is encrypted, and its disks are not.")
        }
        if base.isCopied { return try copy(base, to: path, size: size) }
        try Subprocess.check(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base.path, "-F", base.format, path, "\(size)"],
            timeout: .seconds(60))
    }

    /// Over a plain image, which is no secret; of an encrypted one it is a copy, with a passphrase of its own.
    private static func encryptedRoot(
        at path: String, size: Int64, on base: BaseImage, _ passphrase: EncryptedDisk.Passphrase,
        image: EncryptedDisk.Passphrase?
    ) throws(Fault) {
        if let image {
            try EncryptedDisk.copy(base.path, image, to: path, passphrase)
        } else if base.isCopied {
            try EncryptedDisk.copy(plain: base.path, format: base.format, to: path, passphrase)
        } else {
            return try EncryptedDisk.create(path, bytes: size, passphrase, on: base)
        }
        if size > base.virtualSize { try EncryptedDisk.resize(path, passphrase, bytes: size) }
    }

    private static func copy(_ base: BaseImage, to path: String, size: Int64) throws(Fault) {
        try Subprocess.check(
            ["qemu-img", "convert", "-q", "-f", base.format, "-O", "qcow2", base.path, path], timeout: .seconds(3600))
        try Subprocess.check(["qemu-img", "resize", "-q", "-f", "qcow2", path, "\(size)"], timeout: .seconds(60))
    }

    static func blank(_ path: String, bytes: Int64) throws(Fault) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError.fault("Cannot make \(path)") }
        defer { close(file) }
        guard ftruncate(file, off_t(bytes)) == 0 else { throw SystemError.fault("Cannot size \(path)") }
    }

    /// Whether the path's file system lets the page cache be passed by; tmpfs and some network ones do not.
    static func canBypassCache(in directory: String) -> Bool {
        let path = directory + "/.direct"
        // O_DIRECT, which the Glibc module hides, is 0o40000 on x86 and 0o200000 on ARM.
        #if arch(arm64)
            let direct: Int32 = 0o200000
        #else
            let direct: Int32 = 0o40000
        #endif
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | direct, 0o600)
        guard file >= 0 else { return false }
        close(file)
        unlink(path)
        return true
    }

    /// The most of a console log that is ever read: Nova's limit.
    private static let consoleLimit = 102_400

    /// The end of the console's log. virtlogd rotates it, so what is missing is taken from the file before.
    static func consoleTail(_ folder: GuestFolder) -> [UInt8] {
        var bytes = tail(folder.consoleLog, consoleLimit)
        if bytes.count < consoleLimit {
            bytes = tail(folder.consoleLog + ".0", consoleLimit - bytes.count) + bytes
        }
        return bytes
    }

    private static func tail(_ path: String, _ limit: Int) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return [] }
        defer { close(file) }
        let size = lseek(file, 0, SEEK_END)
        let start = max(0, size - limit)
        return [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
            filled = max(0, pread(file, buffer.baseAddress, min(limit, size - start), off_t(start)))
        }
    }
}
