// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Glibc
internal import Kernel

/// Makes a config drive's medium. Both kinds carry the label `config-2`, which is what cloud-init looks for, and the
/// same files.
enum ConfigDriveFile {
    /// - Parameter path: where a medium for a drive goes instead; the kind that the cloud has does not matter then.
    static func make(_ drive: ConfigDrive, in folder: GuestFolder, as path: String? = nil) throws(Fault) {
        let staging = folder.path + "/config-drive"
        defer { FileSystem.remove(staging) }
        for (name, bytes) in drive.files {
            let parts = name.split(separator: "/")
            guard !parts.isEmpty, !parts.contains(".."), !name.utf8.contains(0) else {
                throw .badRequest("'\(name)' is no path within a config drive.")
            }
            try FileSystem.makeDirectory(staging + "/" + parts.dropLast().joined(separator: "/"))
            try FileSystem.write(bytes, to: staging + "/" + parts.joined(separator: "/"), mode: 0o644)
        }
        try FileSystem.makeDirectory(staging)
        if drive.isVFAT, path == nil {
            try fat(staging, folder.configDisk)
        } else {
            try iso(staging, path ?? folder.configDrive)
        }
    }

    private static func iso(_ staging: String, _ path: String) throws(Fault) {
        try Subprocess.check(
            [
                "genisoimage", "-quiet", "-V", "config-2", "-J", "-joliet-long", "-r", "-allow-lowercase",
                "-allow-multidot", "-l", "-o", path, staging,
            ], timeout: .seconds(60))
        chmod(path, 0o600)
    }

    /// A disk of 64 MiB, as upstream's, written without mounting anything.
    private static func fat(_ staging: String, _ path: String) throws(Fault) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError.fault("Cannot make \(path)") }
        let isSized = ftruncate(file, off_t(64 << 20)) == 0
        close(file)
        guard isSized else { throw SystemError.fault("Cannot size \(path)") }
        try Subprocess.check(["mkfs.vfat", "-n", "config-2", path], timeout: .seconds(60))
        let names = FileSystem.list(staging).sorted().map { staging + "/" + $0 }
        guard !names.isEmpty else { return }
        try Subprocess.check(["mcopy", "-s", "-Q", "-i", path] + names + ["::/"], timeout: .seconds(60))
    }
}
