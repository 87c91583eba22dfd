// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Glibc
internal import Kernel

/// Makes a guest's disks. Everything here blocks and runs on the pool.
enum GuestFiles {
    /// Makes all disks anew: leftovers of a boot that was cut off are overwritten.
    static func make(_ spec: GuestSpec, in folder: GuestFolder, on base: BaseImage?) throws(Fault) -> [GuestDisk] {
        try FileSystem.makeDirectory(folder.path, mode: 0o700)
        var disks = [try root(spec, in: folder, on: base)]
        if spec.ephemeralGiB > 0 {
            try blank(folder.ephemeral, bytes: Int64(spec.ephemeralGiB) << 30)
            try Subprocess.check(
                ["mkfs.ext4", "-q", "-F", "-L", "ephemeral0", folder.ephemeral], timeout: .seconds(300))
            disks.append(GuestDisk(role: .ephemeral, path: folder.ephemeral, format: "raw"))
        }
        if spec.swapMiB > 0 {
            try blank(folder.swap, bytes: Int64(spec.swapMiB) << 20)
            try Subprocess.check(["mkswap", folder.swap])
            disks.append(GuestDisk(role: .swap, path: folder.swap, format: "raw"))
        }
        if let base, base.isMedium {
            disks.append(GuestDisk(role: .installer, path: base.path, format: "raw"))
        }
        if let drive = spec.configDrive {
            try configDrive(drive, in: folder)
            disks.append(GuestDisk(role: .configDrive, path: folder.configDrive, format: "raw"))
        }
        return disks
    }

    /// The root disk: its own writes over the shared image, or empty.
    private static func root(
        _ spec: GuestSpec, in folder: GuestFolder, on base: BaseImage?
    ) throws(Fault) -> GuestDisk {
        let wanted = Int64(spec.rootDiskGiB) << 30
        FileSystem.remove(folder.root)
        var argv = ["qemu-img", "create", "-q", "-f", "qcow2"]
        if let base, !base.isMedium {
            guard wanted == 0 || wanted >= base.virtualSize else {
                throw .badRequest(
                    "Flavor's disk is too small for requested image. Flavor disk is \(wanted) bytes, image is "
                        + "\(base.virtualSize) bytes.")
            }
            argv += ["-b", base.path, "-F", base.format, folder.root, "\(max(wanted, base.virtualSize))"]
        } else {
            argv += [folder.root, "\(max(wanted, 1 << 20))"]
        }
        try Subprocess.check(argv, timeout: .seconds(60))
        return GuestDisk(role: .root, path: folder.root, format: "qcow2")
    }

    private static func blank(_ path: String, bytes: Int64) throws(Fault) {
        FileSystem.remove(path)
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError.fault("Cannot make \(path)") }
        defer { close(file) }
        guard ftruncate(file, off_t(bytes)) == 0 else { throw SystemError.fault("Cannot size \(path)") }
    }

    /// An ISO 9660 medium labelled `config-2`, which is what cloud-init looks for.
    private static func configDrive(_ drive: ConfigDrive, in folder: GuestFolder) throws(Fault) {
        let staging = folder.path + "/config-drive"
        FileSystem.remove(staging)
        defer { FileSystem.remove(staging) }
        for (path, bytes) in drive.files {
            let parts = path.split(separator: "/")
            guard !parts.isEmpty, !parts.contains(".."), !path.utf8.contains(0) else {
                throw .badRequest("'\(path)' is no path within a config drive.")
            }
            try FileSystem.makeDirectory(staging + "/" + parts.dropLast().joined(separator: "/"))
            try FileSystem.write(bytes, to: staging + "/" + parts.joined(separator: "/"), mode: 0o644)
        }
        try FileSystem.makeDirectory(staging)
        try Subprocess.check(
            [
                "genisoimage", "-quiet", "-V", "config-2", "-J", "-joliet-long", "-r", "-allow-lowercase",
                "-allow-multidot", "-l", "-o", folder.configDrive, staging,
            ], timeout: .seconds(60))
        chmod(folder.configDrive, 0o600)
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
