// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

@testable import HypervisorLibvirt

/// Volumes that are files, under real guests: snapshotted and merged while in use, and decrypted by QEMU.
@Suite(.serialized, .enabled(if: PrivateLibvirt.isPossible, "needs root, libvirtd, QEMU and Open vSwitch's tools"))
struct VolumeFilesTests {
    private static let volume = "aaaaaaaa-0000-4000-8000-00000000000a"

    /// A file as Block storage makes it for a snapshot: over the one in use, which it names relatively.
    private static func make(_ file: String, over base: String, in folder: String) throws {
        let format = base.hasSuffix(".raw") ? "raw" : "qcow2"
        try Subprocess.check(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "\(folder)/\(base)", "-F", format, "\(folder)/\(file)"])
        try Subprocess.check(["qemu-img", "rebase", "-u", "-b", base, "-F", format, "\(folder)/\(file)"])
    }

    private static func chain(_ file: String, in folder: String) throws -> [String] {
        let text = try Subprocess.check(
            ["qemu-img", "info", "-U", "--backing-chain", "--output=json", "\(folder)/\(file)"])
        let known = try JSON.parse(Array(text.utf8), limits: .trusted).array ?? []
        return known.compactMap { $0["filename"]?.string?.split(separator: "/").last.map(String.init) }
    }

    private static func current(_ host: PrivateLibvirt, _ server: String, isKept: Bool = false) throws -> String {
        let xml = isKept ? try host.virsh("dumpxml", "--inactive", server) : try host.virsh("dumpxml", server)
        let disks = try #require(XMLElement.parse(xml))["devices"]?.all("disk") ?? []
        let path = disks.first { $0["serial"]?.text == volume }?["source"]?.attributes["file"] ?? ""
        return String(path.split(separator: "/").last ?? "")
    }

    @Test("A guest goes on in the files that snapshots want, and files are merged under it", .timeLimit(.minutes(5)))
    func snapshots() async throws {
        try await PrivateLibvirt.with { host async throws in
            let folder = host.directory + "/share"
            try FileSystem.makeDirectory(folder)
            try Subprocess.check(["qemu-img", "create", "-q", "-f", "raw", folder + "/v.raw", "16M"])
            let hypervisor = host.hypervisor()
            let base = host.directory + "/base.qcow2"
            try Subprocess.check(["qemu-img", "create", "-q", "-f", "qcow2", base, "16M"])
            let spec = host.spec(1)
            try await hypervisor.boot(spec, image: EncryptedDisksTests.image(base))
            let volume = GuestVolume(
                volumeID: Self.volume, connection: .file(path: folder + "/v.raw", format: "raw"), device: "/dev/vdb")
            try await hypervisor.attach(volume, to: spec.server)
            for (file, below) in [("v.1", "v.raw"), ("v.2", "v.1"), ("v.3", "v.2")] {
                try Self.make(file, over: below, in: folder)
                for _ in 0..<2 {
                    try await hypervisor.snapshot(volume: Self.volume, of: spec.server, to: file, freeze: .wished)
                }
                #expect(try Self.current(host, spec.server) == file)
                #expect(try Self.current(host, spec.server, isKept: true) == file)
            }
            #expect(try Self.chain("v.3", in: folder) == ["v.3", "v.2", "v.1", "v.raw"])
            // Out of the middle: what v.2 has goes down into v.1.
            for _ in 0..<2 {
                try await hypervisor.merge(
                    VolumeMerge(file: "v.2", into: "v.1"), ofVolume: Self.volume, of: spec.server)
            }
            #expect(try Self.chain("v.3", in: folder) == ["v.3", "v.1", "v.raw"])
            // The newest: the file in use takes in all above v.raw.
            for _ in 0..<2 {
                try await hypervisor.merge(
                    VolumeMerge(file: "v.raw", into: nil), ofVolume: Self.volume, of: spec.server)
            }
            #expect(try Self.chain("v.3", in: folder) == ["v.3", "v.raw"])
            let refused = await #expect(throws: Fault.self) {
                try await hypervisor.merge(
                    VolumeMerge(file: "v.raw", into: "v.9"), ofVolume: Self.volume, of: spec.server)
            }
            #expect(refused?.status == 409)
            // A guest that is down.
            try await hypervisor.power(spec.server, .stop)
            try Self.make("v.4", over: "v.3", in: folder)
            try await hypervisor.snapshot(volume: Self.volume, of: spec.server, to: "v.4", freeze: .none)
            #expect(try Self.current(host, spec.server, isKept: true) == "v.4")
            try await hypervisor.merge(VolumeMerge(file: nil, into: nil), ofVolume: Self.volume, of: spec.server)
            #expect(try Self.chain("v.4", in: folder) == ["v.4"])
            try await hypervisor.power(spec.server, .start)
            #expect(try await hypervisor.state(of: spec.server) == .running)
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test("An encrypted volume is opened by QEMU; its passphrase stands nowhere", .timeLimit(.minutes(5)))
    func encrypted() async throws {
        try await PrivateLibvirt.with { host async throws in
            let secrets = FakeSecretStore()
            let words = "volume-passphrase-\(RandomIdentifiers().hex())"
            await secrets.keep(Array(words.utf8), as: Self.volume)
            let file = host.directory + "/v.luks"
            try FileSystem.write(words, to: "/dev/shm/\(host.namespace.name)")
            defer { FileSystem.remove("/dev/shm/\(host.namespace.name)") }
            let making = [
                "qemu-img", "create", "-q", "-f", "luks", "--object",
                "secret,id=s,file=/dev/shm/\(host.namespace.name)", "-o", "key-secret=s,iter-time=10", file, "16M",
            ]
            // QEMU measures the processor before it encrypts, and gives up where its clock is too coarse for that.
            for attempt in 1... {
                let made = try Subprocess.runBlocking(making, timeout: .seconds(60))
                if made.status == 0 { break }
                try #require(attempt < 50 && made.complaint.contains("accurate CPU usage"), "\(made.complaint)")
            }
            let hypervisor = host.hypervisor(secrets: secrets)
            let base = host.directory + "/base.qcow2"
            try Subprocess.check(["qemu-img", "create", "-q", "-f", "qcow2", base, "16M"])
            let spec = host.spec(1)
            try await hypervisor.boot(spec, image: EncryptedDisksTests.image(base))
            let volume = GuestVolume(
                volumeID: Self.volume, connection: .file(path: file, format: "raw"), device: "/dev/vdb",
                encryption: "luks")
            try await hypervisor.attach(volume, to: spec.server)
            let target = try #require(
                XMLElement.parse(try host.virsh("dumpxml", spec.server))?["devices"]?.all("disk")
                    .first { $0["serial"]?.text == Self.volume }?["target"]?.attributes["dev"])
            let size = try host.virsh("domblkinfo", spec.server, target)
            #expect(size.contains("\(16 << 20)"), "the guest sees what is encrypted, not the header: \(size)")
            // A daemon that was started anew has forgotten it, and is told again.
            try await hypervisor.power(spec.server, .stop)
            _ = try? host.virsh("secret-undefine", Self.volume)
            try await hypervisor.power(spec.server, .start)
            #expect(try await hypervisor.state(of: spec.server) == .running)
            #expect(try !EncryptedDisksTests.isWritten(words, below: host.directory))
            #expect(try !EncryptedDisksTests.isWritten(Base64.encode(Array(words.utf8)), below: host.directory))
            try await hypervisor.power(spec.server, .stop)
            try await hypervisor.detach(volume: Self.volume, from: spec.server)
            #expect(try !host.virsh("secret-list").contains(Self.volume))
            try await hypervisor.destroy(spec.server)
        }
    }
}
