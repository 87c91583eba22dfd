// SPDX-License-Identifier: Apache-2.0
import Compute
import HypervisorLibvirt
import Kernel
import Testing

/// Two daemons with a cable between them: guests go from one to the other.
@Suite(.serialized, .enabled(if: PrivateLibvirt.isPossible, "needs root, libvirtd and QEMU"))
struct LibvirtMigrationTests {
    @Test("A guest that is down takes its disks to another host, complete in themselves, and grows there")
    func cold() async throws {
        try await PrivateLibvirt.with { first async throws in
            try await PrivateLibvirt.with { second async throws in
                let (here, there) = (first.hypervisor(), second.hypervisor())
                let base = first.directory + "/base.qcow2"
                try Subprocess.check(["qemu-img", "create", "-q", "-f", "qcow2", base, "16M"])
                let image = ImageSource(id: RandomIdentifiers().uuid(), checksum: "1", format: .qcow2) {
                    path throws(Fault) in
                    try Subprocess.check(["cp", base, path])
                }
                var spec = first.spec(1)
                spec.swapMiB = 8
                try await here.boot(spec, image: image)
                try await here.power(spec.server, .stop)
                try mark(first, spec.server, "here it was")
                let disks = try await here.disks(of: spec.server)
                #expect(disks.map(\.name) == ["disk", "disk.swap", "disk.config"])
                for _ in 1...2 { try await there.receive(spec, disks: disks) }
                #expect(try await there.state(of: spec.server) == .shutdown)
                let root = "\(second.data)/instances/\(spec.server)/disk"
                let facts = try Subprocess.check(["qemu-img", "info", root])
                #expect(!facts.contains("backing file"))
                #expect(try read(root).contains("here it was"))
                var bigger = spec
                bigger.rootDiskGiB = 2
                bigger.swapMiB = 16
                try await there.resize(bigger)
                try await there.power(spec.server, .start)
                #expect(try await there.state(of: spec.server) == .running)
                try await here.destroy(spec.server)
                try await there.destroy(spec.server)
                #expect(!FileSystem.exists("\(second.data)/instances/\(spec.server)"))
            }
        }
    }

    @Test("A guest that was resized in place gets its disks and its size back, however often that is asked")
    func restore() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            let spec = host.spec(1)
            try await hypervisor.boot(spec, image: nil)
            try await hypervisor.power(spec.server, .stop)
            try mark(host, spec.server, "before")
            for _ in 1...2 { try await hypervisor.keepDisks(of: spec.server) }
            var bigger = spec
            (bigger.rootDiskGiB, bigger.swapMiB, bigger.memoryMiB) = (2, 8, 64)
            for _ in 1...2 { try await hypervisor.resize(bigger) }
            try mark(host, spec.server, "after!")
            try await hypervisor.power(spec.server, .start)
            try await hypervisor.power(spec.server, .stop)
            for _ in 1...2 { try await hypervisor.restoreDisks(spec) }
            let folder = "\(host.data)/instances/\(spec.server)"
            #expect(try read(folder + "/disk").contains("before"))
            #expect(try Subprocess.check(["qemu-img", "info", folder + "/disk"]).contains("virtual size: 1 GiB"))
            #expect(!FileSystem.exists(folder + "/disk.swap") && !FileSystem.exists(folder + "/kept"))
            #expect(try host.virsh("dominfo", spec.server).contains("Max memory:     32768 KiB"))
            try await hypervisor.power(spec.server, .start)
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test("A guest goes to another host while it runs, is told of on its way, and leaves nothing behind")
    func live() async throws {
        try await PrivateLibvirt.with { first async throws in
            try await PrivateLibvirt.with { second async throws in
                try cable(first, second)
                let (here, there) = (
                    first.hypervisor(address: "10.9.0.1"), second.hypervisor(address: "10.9.0.2")
                )
                let spec = first.spec(1)
                let server = spec.server
                try await here.boot(spec, image: nil)
                let disks = try await here.disks(of: server)
                for _ in 1...2 { _ = try await there.expect(spec, disks: disks) }
                let place = try await there.expect(spec, disks: disks)
                #expect(try await !here.hasLeft(server))
                try await here.depart(server, to: place) { _ in }
                try await here.depart(server, to: place) { _ in }
                #expect(try await here.hasLeft(server))
                for _ in 1...2 { try await there.arrive(spec, as: .running) }
                #expect(try await there.state(of: server) == .running)
                #expect(try second.devices().contains(spec.nics[0].tap))
                try await here.destroy(server)
                #expect(try await here.state(of: server) == nil)
                #expect(try !first.devices().contains(spec.nics[0].tap))
                #expect(!FileSystem.exists("\(first.data)/instances/\(server)"))
                // What it is after its next start is as true as what it is now.
                try await there.power(server, .rebootHard)
                #expect(try await there.state(of: server) == .running)
                _ = try await there.display(of: server)
                try await there.destroy(server)
                #expect(!FileSystem.exists("\(second.data)/instances/\(server)"))
            }
        }
    }

    @Test("Over TLS a guest goes where the certificates are right, and stays where it is when there are none")
    func liveOverTLS() async throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-pki")
        defer { FileSystem.remove(folder) }
        try certify(folder)
        for certificates in [folder, nil] {
            try await PrivateLibvirt.with(certificates: certificates) { first async throws in
                try await PrivateLibvirt.with(certificates: certificates) { second async throws in
                    try cable(first, second)
                    let here = first.hypervisor(address: "10.9.0.1") { $0.migratesWithTLS = true }
                    let there = second.hypervisor(address: "10.9.0.2") { $0.migratesWithTLS = true }
                    let spec = first.spec(1)
                    try await here.boot(spec, image: nil)
                    let place = try await there.expect(spec, disks: try await here.disks(of: spec.server))
                    if certificates == nil {
                        await #expect(throws: Fault.self) { try await here.depart(spec.server, to: place) { _ in } }
                        #expect(try await here.state(of: spec.server) == .running)
                    } else {
                        try await here.depart(spec.server, to: place) { _ in }
                        try await there.arrive(spec, as: .running)
                        #expect(try await there.state(of: spec.server) == .running)
                    }
                    try await here.destroy(spec.server)
                    try await there.destroy(spec.server)
                }
            }
        }
    }

    /// An authority, and one certificate for both hosts' both ends, under the names that QEMU looks for.
    private func certify(_ folder: String) throws {
        let new = ["-nodes", "-days", "2", "-newkey", "rsa:2048"]
        let (authority, key) = (folder + "/ca-cert.pem", folder + "/ca-key.pem")
        try Subprocess.check(
            ["openssl", "req", "-x509", "-subj", "/CN=hosts", "-keyout", key, "-out", authority] + new,
            timeout: .seconds(60))
        try Subprocess.check(
            ["openssl", "req", "-subj", "/CN=host", "-keyout", folder + "/server-key.pem", "-out", folder + "/csr"]
                + new, timeout: .seconds(60))
        try FileSystem.write("subjectAltName=IP:10.9.0.1,IP:10.9.0.2\n", to: folder + "/ext")
        try Subprocess.check(
            [
                "openssl", "x509", "-req", "-in", folder + "/csr", "-CA", authority, "-CAkey", key, "-CAcreateserial",
                "-days", "2", "-extfile", folder + "/ext", "-out", folder + "/server-cert.pem",
            ], timeout: .seconds(60))
        for part in ["cert", "key"] {
            try Subprocess.check(["cp", "\(folder)/server-\(part).pem", "\(folder)/client-\(part).pem"])
        }
    }

    @Test("A volume is not copied: the guest reaches it where it arrives as that host does")
    func liveWithVolume() async throws {
        try await PrivateLibvirt.with { first async throws in
            try await PrivateLibvirt.with { second async throws in
                try cable(first, second)
                let file = first.directory + "/volume"
                try Subprocess.check(["qemu-img", "create", "-q", "-f", "raw", file, "16M"])
                let server = try Subprocess.spawn(
                    [
                        "ip", "netns", "exec", first.namespace.name, "qemu-nbd", "--persistent", "--shared=4", "-f",
                        "raw", "-x", "v", "-b", "0.0.0.0", "-p", "10809", file,
                    ], log: first.directory + "/nbd.log")
                do { try await carry(first, second) } catch {
                    await server.terminate(grace: .zero)
                    throw error
                }
                await server.terminate(grace: .zero)
            }
        }
    }

    /// Takes a guest with a volume from one host to the other.
    private func carry(_ first: PrivateLibvirt, _ second: PrivateLibvirt) async throws {
        func volume(_ address: String) -> GuestVolume {
            GuestVolume(
                volumeID: "aaaaaaaa-0000-4000-8000-000000000001",
                connection: .nbd(host: address, port: 10_809, export: "v"), device: "/dev/vdb")
        }
        let (here, there) = (first.hypervisor(address: "10.9.0.1"), second.hypervisor(address: "10.9.0.2"))
        var spec = first.spec(1)
        spec.volumes = [volume("127.0.0.1")]
        try await here.boot(spec, image: nil)
        var moved = spec
        moved.volumes = [volume("10.9.0.1")]
        let place = try await there.expect(moved, disks: try await here.disks(of: spec.server))
        try await here.depart(spec.server, to: place) { _ in }
        try await there.arrive(moved, as: .running)
        #expect(try await there.state(of: spec.server) == .running)
        for form in ["--inactive", "--migratable"] {
            let text = try second.virsh("dumpxml", form, spec.server)
            #expect(text.contains("name='10.9.0.1'") && !text.contains("127.0.0.1' port='10809'"))
        }
        try await here.destroy(spec.server)
        try await there.power(spec.server, .rebootHard)
        #expect(try await there.state(of: spec.server) == .running)
        try await there.destroy(spec.server)
    }

    @Test("Two daemons hand guests over as every driver's hosts do")
    func conformance() async throws {
        try await PrivateLibvirt.with { first async throws in
            try await PrivateLibvirt.with { second async throws in
                try cable(first, second)
                let (here, there) = (first.hypervisor(address: "10.9.0.1"), second.hypervisor(address: "10.9.0.2"))
                for (at, conformance) in GuestMigrationConformance.allCases.enumerated() {
                    try await conformance.run(from: here, to: there, first.spec(at + 1))
                }
                for host in [first, second] {
                    #expect(FileSystem.list(host.data + "/instances").isEmpty)
                    #expect(try !host.devices().contains { $0.hasPrefix("tap") })
                }
            }
        }
    }

    func cable(_ first: PrivateLibvirt, _ second: PrivateLibvirt) throws {
        let (one, two) = (first.namespace.name, second.namespace.name)
        try Subprocess.check(
            ["ip", "-n", one, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", two])
        for (namespace, address) in [(one, "10.9.0.1/24"), (two, "10.9.0.2/24")] {
            try Subprocess.check(["ip", "-n", namespace, "address", "add", address, "dev", "cable"])
            try Subprocess.check(["ip", "-n", namespace, "link", "set", "cable", "up"])
            try Subprocess.check(["ip", "-n", namespace, "link", "set", "lo", "up"])
        }
    }

    /// Writes something onto the root disk of a guest that is down.
    private func mark(_ host: PrivateLibvirt, _ server: String, _ words: String) throws {
        let (disk, file) = ("\(host.data)/instances/\(server)/disk", host.directory + "/words")
        try FileSystem.write(words, to: file)
        try Subprocess.check(["qemu-io", "-f", "qcow2", "-c", "write -s \(file) 0 512", disk])
    }

    private func read(_ disk: String) throws -> String {
        try Subprocess.check([
            "qemu-img", "dd", "-U", "-f", "qcow2", "-O", "raw", "bs=512", "count=1", "if=\(disk)",
            "of=\(disk).raw",
        ])
        defer { FileSystem.remove(disk + ".raw") }
        return FileSystem.text(disk + ".raw") ?? ""
    }
}
