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
            #expect(try await first.state(of: spec.server) == .paused)
            try await first.power(spec.server, .unpause)
            try await first.destroy(spec.server)
            #expect(try await second.guests().isEmpty)
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
