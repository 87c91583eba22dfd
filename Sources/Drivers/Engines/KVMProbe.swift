// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import Glibc

/// How guests are run, found out by running one: /dev/kvm may be there and still shut down every guest (nested and
/// paravirtual hosts), and libvirt would advertise it all the same.
package enum Accelerator: String, Sendable {
    case kvm
    /// Emulation; libvirt's domain type `qemu`.
    case qemu
}

/// Runs a guest of 158 bytes that goes from real mode to 64 bits with paging, touches memory and asks QEMU to exit with
/// a status of its own. Where KVM works that takes about 50 ms. The verdict is kept for this boot.
struct KVMProbe {
    static let limit: Duration = .milliseconds(2500)
    /// QEMU's isa-debug-exit turns the guest's 0x2A into this.
    static let success: Int32 = 0x2A << 1 | 1

    let paths: EnginePaths

    /// Blocks; a second caller waits for the first one's verdict.
    func verdict() throws(Fault) -> (Accelerator, String) {
        // The doctor looks before there is a data directory.
        guard FileSystem.exists(paths.root) else { return try probe() }
        let lock = open("\(paths.kvmVerdict).lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw SystemError.fault("Cannot open \(paths.kvmVerdict).lock") }
        defer { close(lock) }
        flock(lock, LOCK_EX)
        let boot = (FileSystem.text("/proc/sys/kernel/random/boot_id") ?? "").trimmedOfSpace
        if let known = cached(boot) { return known }
        let found = try probe()
        try FileSystem.write("\(boot) \(found.0.rawValue) \(found.1)\n", to: paths.kvmVerdict)
        return found
    }

    /// The verdict of this boot, if there is one already.
    func cached() -> (Accelerator, String)? {
        cached((FileSystem.text("/proc/sys/kernel/random/boot_id") ?? "").trimmedOfSpace)
    }

    private func cached(_ boot: String) -> (Accelerator, String)? {
        guard let line = FileSystem.text(paths.kvmVerdict)?.trimmedOfSpace else { return nil }
        let words = line.split(separator: " ", maxSplits: 2).map(String.init)
        guard words.count == 3, words[0] == boot, let kind = Accelerator(rawValue: words[1]) else { return nil }
        return (kind, words[2])
    }

    func probe() throws(Fault) -> (Accelerator, String) {
        guard FileSystem.exists("/dev/kvm") else { return (.qemu, "the machine has no /dev/kvm") }
        guard let qemu = Subprocess.locate("qemu-system-x86_64") else {
            return (.qemu, "qemu-system-x86_64 is not installed")
        }
        do throws(Fault) {
            let status = try KVMProbe.run(qemu, accelerator: "kvm")
            return status == Self.success
                ? (.kvm, "a guest ran under KVM") : (.qemu, "a guest under KVM ended at once (status \(status))")
        } catch {
            guard error.status == 504 else { throw error }
            return (.qemu, "a guest under KVM made no progress")
        }
    }

    /// Runs the guest; the exit status of QEMU tells how far it came.
    static func run(_ qemu: String, accelerator: String) throws(Fault) -> Int32 {
        let folder = try FileSystem.makeTemporaryDirectory("apus-probe")
        defer { FileSystem.remove(folder) }
        let file = "\(folder)/rom"
        try FileSystem.write(firmware, to: file)
        return try Subprocess.runBlocking(
            [
                qemu, "-accel", accelerator, "-machine", "pc", "-m", "16", "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-bios", file,
            ], timeout: limit
        ).status
    }

    /// 64 KiB of ROM: the program at its start, a jump to it at the address where processors begin.
    private static var firmware: [UInt8] {
        var rom = [UInt8](repeating: 0, count: 65_536)
        rom.replaceSubrange(0..<program.count, with: program)
        rom.replaceSubrange(0xFFF0..<0xFFF5, with: [0xEA, 0x00, 0x00, 0x00, 0xF0])
        return rom
    }

    private static let program: [UInt8] = [
        // cli; ds = es = 0; zero 12 KiB at 0x1000 for the page tables
        0xFA, 0x31, 0xC0, 0x8E, 0xD8, 0x8E, 0xC0, 0xBF, 0x00, 0x10, 0xB9, 0x00, 0x18, 0xF3, 0xAB,
        // one 2 MiB page at address 0: [0x1000] = 0x2003, [0x2000] = 0x3003, [0x3000] = 0x83
        0x66, 0xC7, 0x06, 0x00, 0x10, 0x03, 0x20, 0x00, 0x00, 0x66, 0xC7, 0x06, 0x00, 0x20, 0x03, 0x30, 0x00, 0x00,
        0x66, 0xC7, 0x06, 0x00, 0x30, 0x83, 0x00, 0x00, 0x00,
        // lgdt; cr4 = PAE; cr3 = 0x1000
        0x2E, 0x66, 0x0F, 0x01, 0x16, 0x98, 0x00, 0x66, 0xB8, 0x20, 0x00, 0x00, 0x00, 0x0F, 0x22, 0xE0,
        0x66, 0xB8, 0x00, 0x10, 0x00, 0x00, 0x0F, 0x22, 0xD8,
        // EFER.LME; cr0 = PG | PE; far jump into the 64-bit segment
        0x66, 0xB9, 0x80, 0x00, 0x00, 0xC0, 0x0F, 0x32, 0x66, 0x0D, 0x00, 0x01, 0x00, 0x00, 0x0F, 0x30,
        0x66, 0xB8, 0x01, 0x00, 0x00, 0x80, 0x0F, 0x22, 0xC0, 0x66, 0xEA, 0x64, 0x00, 0x0F, 0x00, 0x08, 0x00,
        // write a word to memory, compare, out 0xF4 0x2A; halt for ever
        0xB8, 0x78, 0x56, 0x34, 0x12, 0x48, 0x89, 0x04, 0x25, 0x00, 0x80, 0x00, 0x00,
        0x48, 0x39, 0x04, 0x25, 0x00, 0x80, 0x00, 0x00, 0x75, 0x04, 0xB0, 0x2A, 0xE6, 0xF4, 0xF4, 0xEB, 0xFD,
        // padding; the descriptor table (null, 64-bit code) and its pointer
        0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x9A, 0x20, 0x00, 0x0F, 0x00, 0x88, 0x00, 0x0F, 0x00,
    ]
}
