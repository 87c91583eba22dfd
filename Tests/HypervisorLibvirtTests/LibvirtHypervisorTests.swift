// SPDX-License-Identifier: Apache-2.0
import Compute
import Glibc
import HypervisorLibvirt
import Kernel
import Synchronization
import Testing

/// Against real guests, where the machine allows it.
@Suite(
    .serialized,
    .enabled(if: PrivateLibvirt.isPossible, "needs root, libvirtd, QEMU, genisoimage and Open vSwitch's tools"))
struct LibvirtHypervisorTests {
    /// A small qcow2 image that counts how often it was fetched.
    final class TestImage: Sendable {
        let fetches = Atomic(0)

        func source(id: String = "0c5a1d3e-9b2f-4d7a-8f61-3c2b1a0d9e8f") -> ImageSource {
            ImageSource(id: id, checksum: "c0ffee", format: .qcow2) { path throws(Fault) in
                self.fetches.add(1, ordering: .relaxed)
                try Subprocess.check(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"])
            }
        }
    }

    @Test("Translation always works, and what is proposed works")
    func accelerator() async throws {
        let pool = BlockingPool(name: "probe", threads: 1, queue: 4)
        #expect(try await Accelerator.tcg.works(on: pool))
        let proposed = await Accelerator.probe(on: pool)
        #expect(try await proposed.works(on: pool))
    }

    @Test("Libvirt is a hypervisor", .timeLimit(.minutes(10)))
    func conformance() async throws {
        try await PrivateLibvirt.with { host async throws in
            let image = TestImage()
            let hypervisor = host.hypervisor()
            for (number, part) in HypervisorConformance.allCases.enumerated() {
                do { try await part.run(on: hypervisor, host.spec(number + 1), image: image.source()) } catch {
                    Issue.record("\(part): \(error)")
                }
            }
            #expect(image.fetches.load(ordering: .relaxed) == 1, "the image was fetched once for all of them")
            #expect(try await hypervisor.guests().isEmpty)
            #expect(FileSystem.list(host.data + "/instances").isEmpty)
            #expect(FileSystem.list(host.data + "/vnc").isEmpty)
            #expect(try host.devices().filter { $0.hasPrefix("tap") }.isEmpty)
            #expect(try Subprocess.check(host.vsctl("list-ports", "br-int")).isEmpty)
        }
    }

    @Test("It rebuilds, rescues and copies guests", .timeLimit(.minutes(10)))
    func life() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            let image = TestImage()
            for (number, part) in GuestLifeConformance.allCases.enumerated() {
                do { try await part.run(on: hypervisor, host.spec(number + 1), image: image.source()) } catch {
                    Issue.record("\(part): \(error)")
                }
            }
            for folder in ["instances", "snapshots", "vnc", "serial", "spice"] {
                #expect(FileSystem.list(host.data + "/" + folder).isEmpty, "\(folder)")
            }
        }
    }

    @Test("A restarted process and a restarted daemon find the guest running", .timeLimit(.minutes(5)))
    func adoption() async throws {
        try await PrivateLibvirt.with { host async throws in
            let first = host.hypervisor()
            let spec = host.spec(1)
            try await first.boot(spec, image: nil)
            let nic = spec.nics[0]
            #expect(try host.devices().contains(nic.tap))
            let id = try Subprocess.check(host.vsctl("get", "Interface", nic.tap, "external_ids:iface-id"))
            #expect(id.contains(nic.portID))

            let second = host.hypervisor()
            #expect(try await second.guests() == [spec.server: .running])
            try await second.boot(spec, image: nil)
            guard case .unix(let path) = try await second.display(of: spec.server) else { return }
            #expect(FileSystem.exists(path))
            try await second.power(spec.server, .pause)
            #expect(try await first.state(of: spec.server) == .paused)

            await host.stopDaemon()
            await #expect(throws: Fault.self) { try await first.guests() }
            try await host.startDaemon()
            var events = await first.events().makeAsyncIterator()
            #expect(try await first.state(of: spec.server) == .paused)
            try await first.power(spec.server, .unpause)
            // A daemon that is still taking its guests back may tell first that this one is paused.
            var heard = await events.next()
            while heard?.state == .paused { heard = await events.next() }
            #expect(heard == GuestEvent(server: spec.server, kind: .unpaused, state: .running))
            try await first.destroy(spec.server)
            #expect(try await second.guests().isEmpty)
        }
    }

    @Test("Images are kept for boots to come, dropped when nobody uses them, and refused when they reach out")
    func images() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            let (used, unused) = (TestImage(), TestImage())
            try await hypervisor.keep(used.source())
            try await hypervisor.keep(unused.source(id: "unused"))
            let spec = host.spec(1)
            try await hypervisor.boot(spec, image: used.source())
            #expect(used.fetches.load(ordering: .relaxed) == 1)
            #expect(try await hypervisor.pruneImages(unusedFor: .seconds(3600)) == 0)
            #expect(try await hypervisor.pruneImages(unusedFor: .seconds(-60)) == 1)
            #expect(FileSystem.list(host.data + "/images").count == 1)
            try await hypervisor.destroy(spec.server)
            #expect(try await hypervisor.pruneImages(unusedFor: .seconds(-60)) == 1)

            let thief = ImageSource(id: "thief", checksum: "1", format: .qcow2) { path throws(Fault) in
                try Subprocess.check(
                    ["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", path, "1M"])
            }
            let short = ImageSource(id: "short", checksum: "1", format: .raw, size: 100) { path throws(Fault) in
                try FileSystem.write([1, 2, 3], to: path)
            }
            await #expect(throws: Fault.self) { try await hypervisor.boot(spec, image: thief) }
            await #expect(throws: Fault.self) { try await hypervisor.boot(spec, image: short) }
            try await hypervisor.destroy(spec.server)
            #expect(try await hypervisor.guests().isEmpty)
            #expect(FileSystem.list(host.data + "/images").isEmpty && FileSystem.list(host.data + "/instances").isEmpty)
        }
    }

    @Test("A VMDK image becomes a disk, an ISO image a drive beside an empty disk, and extra disks are there")
    func formats() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            var spec = host.spec(1)
            spec.ephemeralGiB = 1
            spec.swapMiB = 64
            let vmdk = ImageSource(id: "vmdk", checksum: "1", format: .vmdk) { path throws(Fault) in
                try Subprocess.check(["qemu-img", "create", "-q", "-f", "vmdk", path, "64M"])
            }
            try await hypervisor.boot(spec, image: vmdk)
            let disks = try host.virsh("domblklist", spec.instanceName)
            for name in ["vda", "vdb", "vdc", "hda", "disk.eph0", "disk.swap", "disk.config"] {
                #expect(disks.contains(name))
            }
            let iso = ImageSource(id: "iso", checksum: "1", format: .iso) { path throws(Fault) in
                try Subprocess.check(["genisoimage", "-quiet", "-o", path, "/usr/share/seabios"])
            }
            var second = host.spec(2)
            second.nics = []
            try await hypervisor.boot(second, image: iso)
            #expect(try await hypervisor.pruneImages(unusedFor: .seconds(-60)) == 1)
            #expect(try host.virsh("domblklist", second.instanceName).contains("disk.iso"))
            try await hypervisor.power(second.server, .rebootHard)
            try await hypervisor.destroy(second.server)
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test("Where images are kept as raw bytes a disk stands on a raw image, whatever it came as")
    func rawImages() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor { $0.forcesRawImages = true }
            let spec = host.spec(1)
            let image = ImageSource(id: "qcow2", checksum: "1", format: .qcow2) { path throws(Fault) in
                try Subprocess.check(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"])
            }
            try await hypervisor.boot(spec, image: image)
            #expect(FileSystem.list(host.data + "/images") == ["qcow2_1.raw"])
            let disk = host.data + "/instances/\(spec.server)/disk"
            let told = try Subprocess.check(["qemu-img", "info", "-U", disk])
            #expect(told.contains("backing file format: raw"))
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test("Domains of others are reported and left alone", .timeLimit(.minutes(5)))
    func foreign() async throws {
        try await PrivateLibvirt.with { host async throws in
            let id = RandomIdentifiers().uuid()
            let xml = """
                <domain type='qemu'><name>theirs</name><uuid>\(id)</uuid><memory unit='MiB'>16</memory>
                <os><type>hvm</type></os></domain>
                """
            try FileSystem.write(xml, to: host.directory + "/theirs.xml")
            _ = try host.virsh("define", host.directory + "/theirs.xml")
            let hypervisor = host.hypervisor()
            #expect(try await hypervisor.guests() == [id: .shutdown])
            var spec = host.spec(1)
            spec.server = id
            await #expect(throws: Fault.guestNotOurs(id)) { try await hypervisor.boot(spec, image: nil) }
            await #expect(throws: Fault.guestNotOurs(id)) { try await hypervisor.destroy(id) }
            await #expect(throws: Fault.guestNotOurs(id)) { try await hypervisor.power(id, .start) }
            #expect(try await hypervisor.guests() == [id: .shutdown])
            _ = try host.virsh("undefine", "theirs")
        }
    }
}
