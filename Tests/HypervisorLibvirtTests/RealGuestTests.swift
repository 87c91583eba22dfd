// SPDX-License-Identifier: Apache-2.0
import Compute
import Glibc
import HypervisorLibvirt
import Kernel
import Testing

/// With an operating system inside: what needs a guest's help. `APUS_TEST_GUEST` names the image that `make guest`
/// builds.
@Suite(
    .serialized,
    .enabled(
        if: PrivateLibvirt.isPossible && Environment.variable("APUS_TEST_GUEST") != nil,
        "needs root, libvirtd, QEMU and a guest image in APUS_TEST_GUEST"))
struct RealGuestTests {
    /// Waits until the guest's console says something; its size at that point is where to look on from.
    @discardableResult
    static func hear(_ words: String, from start: Int = 0, on hypervisor: LibvirtHypervisor, _ server: String)
        async throws -> Int
    {
        let watch = Stopwatch()
        while watch.elapsed < .seconds(120) {
            let heard = try await hypervisor.consoleOutput(of: server, lines: nil)
            if String(decoding: heard.dropFirst(start), as: UTF8.self).contains(words) { return heard.count }
            try await Task.sleep(for: .milliseconds(200))
        }
        let heard = try await hypervisor.consoleOutput(of: server, lines: 30)
        throw Fault.timeout("The guest never said '\(words)': \(String(decoding: heard, as: UTF8.self))")
    }

    /// Asks a guest to shut down until it has: one that is just starting hears nothing.
    static func shutDown(_ server: String, on hypervisor: LibvirtHypervisor) async throws {
        let watch = Stopwatch()
        while try await !hypervisor.askToShutDown(server) {
            guard watch.elapsed < .seconds(120) else { throw Fault.timeout("The guest did not shut down.") }
            for _ in 1...20 where try await hypervisor.state(of: server) == .running {
                try await Task.sleep(for: .milliseconds(250))
            }
        }
    }

    @Test("A guest reads its config drive, gets and loses a card, changes a password, reboots and shuts down")
    func life() async throws {
        let path = try #require(Environment.variable("APUS_TEST_GUEST"))
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            let image = ImageSource(id: RandomIdentifiers().uuid(), checksum: "1", format: .qcow2) {
                to throws(Fault) in
                try Subprocess.check(["cp", path, to])
            }
            var spec = host.spec(1)
            spec.memoryMiB = 128
            let metadata = """
                {"uuid": "\(spec.server)", "name": "lion", "hostname": "lion.local"}
                """
            spec.configDrive = ConfigDrive(files: [
                "openstack/latest/meta_data.json": Array(metadata.utf8),
                "openstack/latest/user_data": Array("#!/bin/sh\necho guest: roared > /dev/console\n".utf8),
            ])
            try await hypervisor.boot(spec, image: image)
            let server = spec.server
            try await Self.hear("guest: roared", on: hypervisor, server)
            let ready = try await Self.hear("guest: ready after", on: hypervisor, server)

            let nic = GuestNIC(portID: RandomIdentifiers().uuid(), mac: "fa:16:3e:00:02:01", mtu: 1442)
            try await hypervisor.plug(nic, into: server)
            #expect(try host.devices().contains(nic.tap))
            try await hypervisor.unplug(port: nic.portID, from: server)
            #expect(try !host.devices().contains(nic.tap))

            try await hypervisor.changePassword(of: server, user: "apus", to: "s3cret")
            try await hypervisor.snapshot(server, to: host.directory + "/copy.qcow2")
            let facts = try Subprocess.check(["qemu-img", "info", "-U", host.directory + "/copy.qcow2"])
            #expect(!facts.contains("backing file") && facts.contains("virtual size: 1 GiB"))
            #expect(try await hypervisor.state(of: server) == .running)

            try await Self.shutDown(server, on: hypervisor)
            try await hypervisor.power(server, .start)
            try await Self.hear("guest: ready after", from: ready, on: hypervisor, server)
            try await Self.shutDown(server, on: hypervisor)
            #expect(try await hypervisor.state(of: server) == .shutdown)
            try await hypervisor.snapshot(server, to: host.directory + "/cold.qcow2")
            #expect(FileSystem.exists(host.directory + "/cold.qcow2"))
            try await hypervisor.destroy(server)
        }
    }

    @Test("A guest boots from an encrypted disk and notices nothing; what it writes is noise on the host")
    func encrypted() async throws {
        let path = try #require(Environment.variable("APUS_TEST_GUEST"))
        try await PrivateLibvirt.with { host async throws in
            let secrets = FakeSecretStore()
            let hypervisor = host.hypervisor(secrets: secrets)
            var spec = await EncryptedDisksTests.guest(host, 1, secrets, isFull: true)
            spec.memoryMiB = 128
            let script = """
                #!/bin/sh
                for number in 1 2 3 4 5 6 7 8; do echo MARKER-$((40 + 2))-written-inside >> /root/marker; done
                sync
                echo guest: wrote $(cat /root/marker | wc -l) > /dev/console

                """
            spec.configDrive = ConfigDrive(files: [
                "openstack/latest/meta_data.json": Array("{\"uuid\": \"\(spec.server)\"}".utf8),
                "openstack/latest/user_data": Array(script.utf8),
            ])
            try await hypervisor.boot(spec, image: EncryptedDisksTests.image(path))
            try await Self.hear("guest: wrote 8", on: hypervisor, spec.server)
            let (image, key) = (RandomIdentifiers().uuid(), await EncryptedDisksTests.key(secrets))
            try await hypervisor.takeSnapshot(image, of: spec.server, freeze: .none, key: key)
            #expect(try !EncryptedDisksTests.isWritten("MARKER-42", below: host.data))
            try await Self.shutDown(spec.server, on: hypervisor)
            #expect(try !EncryptedDisksTests.isWritten("MARKER-42", below: host.data))
            // The other way round: with the key it is there.
            let words = try await EncryptedDisksTests.words(secrets, key)
            let plain = host.directory + "/plain.raw"
            try Subprocess.check(
                ["qemu-img", "convert", "-O", "raw"]
                    + EncryptedDisksTests.opened("\(host.data)/snapshots/\(image)", words) + [plain],
                timeout: .seconds(120))
            #expect(try EncryptedDisksTests.isWritten("MARKER-42-written-inside", below: plain))
            try await hypervisor.destroy(spec.server)
        }
    }
}
