// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension Accelerator {
    /// What guests can use here, found by trying: a machine may have /dev/kvm and yet fail every guest that turns
    /// paging on, or run it slower than translation would.
    package static func probe(on pool: BlockingPool) async -> Accelerator {
        guard FileSystem.exists("/dev/kvm") else { return .tcg }
        return (try? await Accelerator.kvm.works(on: pool)) == true ? .kvm : .tcg
    }

    /// Runs a guest of one sector that goes into 64-bit mode with paging and then ends QEMU with a status that nothing
    /// else gives. Translated it takes a tenth of a second, so three are generous.
    package func works(on pool: BlockingPool) async throws(Fault) -> Bool {
        let path = "/tmp/apus-probe-\(RandomIdentifiers().hex())"
        let cpu = self == .kvm ? "host" : "qemu64"
        return try await pool.run { () throws(Fault) in
            defer { FileSystem.remove(path) }
            try FileSystem.write(Self.sector, to: path)
            let output = try? Subprocess.runBlocking(
                [
                    "qemu-system-x86_64", "-accel", rawValue, "-cpu", cpu, "-machine", "pc", "-m", "16", "-no-reboot",
                    "-nodefaults", "-display", "none", "-vga", "none", "-device",
                    "isa-debug-exit,iobase=0x501,iosize=4", "-drive", "file=\(path),format=raw,if=ide",
                ], timeout: .seconds(3))
            // isa-debug-exit makes 2n + 1 of the 42 that the guest writes.
            return output?.status == 85
        }
    }

    /// cli; zero 0x1000..<0x4000; PML4 -> PDPT -> one 2 MiB page; lgdt; CR4.PAE; CR3; EFER.LME; CR0.PG|PE; far jump to
    /// 64-bit code; out 0x501, 42; hlt. The descriptor table follows.
    private static let sector: [UInt8] = {
        let code = """
            fa31c08ed88ec0fcbf00106631c0b9000c66f3ab66c706001003200000\
            66c706002003300000\
            66c706003083000000\
            0f0116887c\
            66b8200000000f22e0\
            66b8001000000f22d8\
            66b9800000c00f32660d000100000f30\
            0f20c0660d010000800f22c0\
            ea677c0800\
            b02a66ba0105eef4ebfd\
            0f1f8000000000\
            0000000000000000\
            00000000009a2000\
            0f00787c0000
            """
        var bytes = Hex.decode(code) ?? []
        bytes += [UInt8](repeating: 0, count: 510 - bytes.count) + [0x55, 0xAA]
        return bytes
    }()
}
