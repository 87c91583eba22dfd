// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Glibc
internal import Kernel

/// Makes a guest's disks. Everything here blocks and runs on the pool.
enum GuestFiles {
    /// Makes all disks anew, whatever a boot that was cut off has left.
    static func make(
        _ spec: GuestSpec, in folder: GuestFolder, on base: BaseImage?, keepsEphemeral: Bool = false
    ) throws(Fault) {
        for name in FileSystem.list(folder.path) where !keepsEphemeral || folder.path + "/" + name != folder.ephemeral {
            FileSystem.remove(folder.path + "/" + name)
        }
        try FileSystem.makeDirectory(folder.path, mode: 0o700)
        if !spec.isVolumeBacked { try root(spec, at: folder.root, on: base) }
        if !FileSystem.exists(folder.ephemeral) { try makeEphemeral(spec, in: folder) }
        try makeSwap(spec, in: folder)
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
    static func makeRescue(_ spec: GuestSpec, in folder: GuestFolder, on base: BaseImage?) throws(Fault) {
        FileSystem.remove(folder.rescue)
        FileSystem.remove(folder.rescueConfig)
        if let base, base.isMedium {
            guard link(base.path, folder.rescue) == 0 else { throw SystemError.fault("Cannot link \(folder.rescue)") }
        } else {
            var rescue = spec
            // As large as the image needs: nobody keeps anything on it.
            if base != nil { rescue.rootDiskGiB = 0 }
            try root(rescue, at: folder.rescue, on: base)
        }
        if let drive = spec.configDrive { try ConfigDriveFile.make(drive, in: folder, as: folder.rescueConfig) }
    }

    /// The disks that the guest's folder holds, in the order in which the guest sees them.
    static func disks(in folder: GuestFolder, rescue: GuestRescueDisk? = nil) -> [GuestDisk] {
        let own = disks(in: folder)
        guard let rescue else { return own }
        var disk = GuestDisk(role: .rescue, path: folder.rescue, format: "raw")
        if case .qcow2? = try? DiskHeader.read(folder.rescue) {
            disk = GuestDisk(role: .rescue, path: folder.rescue, format: "qcow2")
        }
        disk.rescue = rescue
        if rescue.isStable { return own + [disk] }
        let drive = GuestDisk(role: .configDrive, path: folder.rescueConfig, format: "raw")
        return [disk] + own.filter { $0.role == .root } + (FileSystem.exists(drive.path) ? [drive] : [])
    }

    private static func disks(in folder: GuestFolder) -> [GuestDisk] {
        [
            GuestDisk(role: .root, path: folder.root, format: "qcow2"),
            GuestDisk(role: .ephemeral, path: folder.ephemeral, format: "raw"),
            GuestDisk(role: .ephemeral, path: folder.path + "/disk.eph1", format: "raw"),
            GuestDisk(role: .ephemeral, path: folder.path + "/disk.eph2", format: "raw"),
            GuestDisk(role: .swap, path: folder.swap, format: "raw"),
            GuestDisk(role: .installer, path: folder.installer, format: "raw"),
            GuestDisk(role: .configDrive, path: folder.configDrive, format: "raw"),
            GuestDisk(role: .configDisk, path: folder.configDisk, format: "raw"),
        ].filter { FileSystem.exists($0.path) }
    }

    /// Grows the disks; the guest finds the room at its next start. Swap holds nothing and is made anew.
    static func grow(_ folder: GuestFolder, to spec: GuestSpec) throws(Fault) {
        if !spec.isVolumeBacked { try growRoot(folder, to: spec) }
        if spec.ephemeralDisks.count < 2 { try growEphemeral(folder, to: spec) }
        let swap = Int64(spec.swapMiB) << 20
        let now = FileSystem.exists(folder.swap) ? try FileSize.of(folder.swap) : 0
        guard swap != now else { return }
        FileSystem.remove(folder.swap)
        try makeSwap(spec, in: folder)
    }

    private static func growRoot(_ folder: GuestFolder, to spec: GuestSpec) throws(Fault) {
        guard case .qcow2(let has, _, _) = try DiskHeader.read(folder.root) else {
            throw .internalError("The root disk of \(spec.server) cannot be read.")
        }
        let wanted = Int64(spec.rootDiskGiB) << 30
        guard wanted == 0 || wanted >= has else { throw .diskShrinks(spec.server) }
        if wanted > has {
            try Subprocess.check(
                ["qemu-img", "resize", "-q", "-f", "qcow2", folder.root, "\(wanted)"], timeout: .seconds(60))
        }
    }

    private static func growEphemeral(_ folder: GuestFolder, to spec: GuestSpec) throws(Fault) {
        guard FileSystem.exists(folder.ephemeral) else { return try makeEphemeral(spec, in: folder) }
        let (wanted, has) = (Int64(spec.ephemeralGiB) << 30, try FileSize.of(folder.ephemeral))
        guard wanted >= has else { throw .diskShrinks(spec.server) }
        guard wanted > has else { return }
        guard truncate(folder.ephemeral, off_t(wanted)) == 0 else {
            throw SystemError.fault("Cannot grow \(folder.ephemeral)")
        }
        // Its file system grows with it if it is still ours; a guest may have made another.
        if try Subprocess.runBlocking(["e2fsck", "-f", "-p", folder.ephemeral], timeout: .seconds(600)).status < 4 {
            _ = try Subprocess.runBlocking(["resize2fs", folder.ephemeral], timeout: .seconds(600))
        }
    }

    private static func makeEphemeral(_ spec: GuestSpec, in folder: GuestFolder) throws(Fault) {
        guard spec.ephemeralGiB > 0 else { return }
        let sizes = spec.ephemeralDisks.isEmpty ? [spec.ephemeralGiB] : spec.ephemeralDisks
        for (number, size) in sizes.enumerated() {
            let path = number == 0 ? folder.ephemeral : folder.path + "/disk.eph\(number)"
            try blank(path, bytes: Int64(size) << 30)
            try Subprocess.check(["mkfs.ext4", "-q", "-F", "-L", "ephemeral\(number)", path], timeout: .seconds(300))
        }
    }

    private static func makeSwap(_ spec: GuestSpec, in folder: GuestFolder) throws(Fault) {
        guard spec.swapMiB > 0 else { return }
        try blank(folder.swap, bytes: Int64(spec.swapMiB) << 20)
        try Subprocess.check(["mkswap", folder.swap])
    }

    /// The root disk: its own writes over the shared image, or empty.
    private static func root(_ spec: GuestSpec, at path: String, on base: BaseImage?) throws(Fault) {
        let wanted = Int64(spec.rootDiskGiB) << 30
        var argv = ["qemu-img", "create", "-q", "-f", "qcow2"]
        if let base, !base.isMedium {
            guard wanted == 0 || wanted >= base.virtualSize else {
                throw .badRequest(
                    "Flavor's disk is too small for requested image. Flavor disk is \(wanted) bytes, image is "
                        + "\(base.virtualSize) bytes.")
            }
            let size = max(wanted, base.virtualSize)
            if base.isCopied { return try copy(base, to: path, size: size) }
            argv += ["-b", base.path, "-F", base.format, path, "\(size)"]
        } else {
            argv += [path, "\(max(wanted, 1 << 20))"]
        }
        try Subprocess.check(argv, timeout: .seconds(60))
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
