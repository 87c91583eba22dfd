// SPDX-License-Identifier: Apache-2.0
package import Compute
internal import Glibc
package import Kernel

/// Guests that QEMU starts from a kernel, which lies beside their disks.
extension LibvirtHypervisor: KernelBoot {
    package func bring(kernel: ImageSource, ramdisk: ImageSource?, for server: String) async throws(Fault) {
        let folder = try folder(of: server)
        try await place(kernel, at: folder.kernel, in: folder)
        if let ramdisk { try await place(ramdisk, at: folder.ramdisk, in: folder) }
    }

    private func place(_ image: ImageSource, at path: String, in folder: GuestFolder) async throws(Fault) {
        let kept = try await images.base(for: image)
        try await pool.run { () throws(Fault) in
            try FileSystem.makeDirectory(folder.path)
            let part = path + ".part"
            try Subprocess.check(["cp", kept.path, part], timeout: .seconds(600))
            guard rename(part, path) == 0 else { throw .internalError("Cannot keep \(path).") }
        }
    }
}

extension DomainXML {
    /// The kernel that the image names; a guest that is rescued starts from its rescue disk.
    func kernel(_ xml: inout XMLWriter) {
        guard let id = property("kernel_id"), !id.isEmpty, !disks.contains(where: { $0.rescue != nil }) else { return }
        xml.element("kernel", text: folder.kernel)
        if let id = property("ramdisk_id"), !id.isEmpty { xml.element("initrd", text: folder.ramdisk) }
        xml.element("cmdline", text: commandLine)
    }

    private var commandLine: String {
        if let own = property("os_command_line"), !own.isEmpty { return own }
        let disk = ["scsi": "sda", "sata": "sda", "usb": "sda", "ide": "hda"][property("hw_disk_bus") ?? ""] ?? "vda"
        let line = "root=/dev/\(disk) console=tty0 console=ttyS0 console=hvc0"
        return settings.accelerator == .tcg ? line + " no_timer_check" : line
    }
}
