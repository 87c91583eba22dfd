// SPDX-License-Identifier: Apache-2.0
import Compute
import HypervisorLibvirt
import Kernel
import Testing

/// Trusted modules of real guests: what they have learnt is encrypted, lasts, and goes along.
@Suite(
    .serialized,
    .enabled(
        if: PrivateLibvirt.isPossible && Subprocess.locate("swtpm") != nil,
        "needs root, libvirtd, QEMU, swtpm and Open vSwitch's tools"))
struct TrustedModuleTests {
    private static func guest(_ host: PrivateLibvirt, _ number: Int, _ secrets: FakeSecretStore) async -> GuestSpec {
        var spec = host.spec(number)
        spec.extraSpecs = ["hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"]
        spec.moduleKey = await EncryptedDisksTests.key(secrets)
        return spec
    }

    private static func file(_ host: PrivateLibvirt, _ server: String) -> String {
        "\(host.directory)/varlib/swtpm/\(server)/tpm2/tpm2-00.permall"
    }

    @Test("It is encrypted, starts again as it was, and does not start with another secret", .timeLimit(.minutes(5)))
    func secrets() async throws {
        try await PrivateLibvirt.with { host async throws in
            let secrets = FakeSecretStore()
            let hypervisor = host.hypervisor(secrets: secrets)
            var spec = await Self.guest(host, 1, secrets)
            let (server, key) = (spec.server, try #require(spec.moduleKey))
            try await hypervisor.boot(spec, image: nil)
            #expect(try host.virsh("dumpxml", server).contains("<encryption secret='\(key)'/>"))
            #expect(try !host.virsh("secret-list").contains(key), "libvirt knows it only while it starts the guest")
            try await hypervisor.power(server, .stop)
            let learnt = try #require(FileSystem.read(Self.file(host, server)))
            try await hypervisor.power(server, .start)
            try await hypervisor.power(server, .stop)
            let passphrase = try await secrets.secret(key)
            await secrets.forget(key)
            await secrets.keep(Array("another".utf8), as: key)
            await #expect(throws: Fault.self) { try await hypervisor.power(server, .start) }
            #expect(try !host.virsh("secret-list").contains(key))
            await secrets.forget(key)
            await secrets.keep(passphrase, as: key)
            try await hypervisor.power(server, .start)
            #expect(try await hypervisor.state(of: server) == .running)
            #expect(!learnt.isEmpty)
            try await hypervisor.destroy(server)
            #expect(!FileSystem.exists("\(host.directory)/varlib/swtpm/\(server)"))
            // One from before there were secrets goes on without.
            spec = await Self.guest(host, 2, secrets)
            spec.moduleKey = nil
            try await hypervisor.boot(spec, image: nil)
            try await hypervisor.power(spec.server, .rebootHard)
            #expect(try await hypervisor.state(of: spec.server) == .running)
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test(
        "On its host it is kept for a size that is reverted, and begins anew with another kind", .timeLimit(.minutes(5))
    )
    func sizes() async throws {
        try await PrivateLibvirt.with { host async throws in
            let secrets = FakeSecretStore()
            let hypervisor = host.hypervisor(secrets: secrets)
            let spec = await Self.guest(host, 1, secrets)
            let file = Self.file(host, spec.server)
            try await hypervisor.boot(spec, image: nil)
            try await hypervisor.power(spec.server, .stop)
            let learnt = try #require(FileSystem.read(file))
            try await hypervisor.keepDisks(of: spec.server)
            var bigger = spec
            bigger.memoryMiB = 64
            try await hypervisor.resize(bigger)
            #expect(FileSystem.read(file) == learnt)
            bigger.extraSpecs = [:]
            bigger.moduleKey = nil
            try await hypervisor.resize(bigger)
            #expect(!FileSystem.exists(file))
            try await hypervisor.restoreDisks(spec)
            #expect(FileSystem.read(file) == learnt)
            try await hypervisor.power(spec.server, .start)
            #expect(try await hypervisor.state(of: spec.server) == .running)
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test("It goes to another host, guest down or running, and stays where it was until that is confirmed")
    func moves() async throws {
        try await PrivateLibvirt.with { first async throws in
            try await PrivateLibvirt.with { second async throws in
                try LibvirtMigrationTests().cable(first, second)
                let secrets = FakeSecretStore()
                let here = first.hypervisor(address: "10.9.0.1", secrets: secrets)
                let there = second.hypervisor(address: "10.9.0.2", secrets: secrets)
                for (number, runs) in [(1, false), (2, true)] {
                    let spec = await Self.guest(first, number, secrets)
                    let server = spec.server
                    try await here.boot(spec, image: nil)
                    if runs {
                        let place = try await there.expect(spec, disks: try await here.disks(of: server))
                        try await here.depart(server, to: place) { _ in }
                        try await there.arrive(spec, as: .running)
                        try await there.power(server, .rebootHard)
                    } else {
                        try await here.power(server, .stop)
                        let learnt = try #require(FileSystem.read(Self.file(first, server)))
                        try await there.receive(spec, disks: try await here.disks(of: server))
                        #expect(FileSystem.read(Self.file(second, server)) == learnt)
                        try await there.power(server, .start)
                        #expect(FileSystem.read(Self.file(first, server)) == learnt, "to be reverted to")
                    }
                    #expect(try await there.state(of: server) == .running)
                    try await here.destroy(server)
                    #expect(!FileSystem.exists(Self.file(first, server)))
                    try await there.destroy(server)
                    #expect(!FileSystem.exists(Self.file(second, server)))
                    for host in [first, second] {
                        #expect(try !host.virsh("secret-list").contains(spec.moduleKey ?? ""))
                    }
                }
            }
        }
    }
}
