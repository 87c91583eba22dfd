// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Testing

@testable import Engines

@Suite("Guests", .serialized, .enabled(if: Machine.hasEngines, "\(Machine.why)"), .timeLimit(.minutes(3)))
struct GuestTests {
    static let domain = """
        <domain type='qemu'><name>idle</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
        <os><type arch='x86_64' machine='pc'>hvm</type></os>
        <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>
        """

    private func virsh(_ paths: EnginePaths, _ words: String...) throws(Fault) -> String {
        try output(["virsh", "--quiet", "--connect", paths.libvirtURI] + words)
    }

    @Test("libvirt answers on its own socket; guests survive its death and its successor knows them")
    func libvirt() async throws {
        let cloud = try TestEngines(hypervisor: true)
        try await cloud.with { engines in
            let paths = engines.paths
            let file = "\(paths.root)/idle.xml"
            try FileSystem.write(Self.domain, to: file)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await engines.run() }
                _ = try virsh(paths, "create", file)
                let guest = try #require(LibvirtDaemons.guests(paths).first?.pid)
                try await HealingTests.kill("libvirtd", of: cloud)
                #expect(try virsh(paths, "list", "--name") == "idle")
                #expect(LibvirtDaemons.guests(paths).map(\.pid) == [guest])
                group.cancelAll()
            }
        }
        #expect(cloud.leftNothing)
        #expect(!FileSystem.exists("/run/libvirt/libvirt-sock") || FileSystem.exists("/run/libvirtd.pid"))
        FileSystem.remove(cloud.folder)
    }

    @Test("Guests that are kept run on through a stop and are there after the next start")
    func kept() async throws {
        let folder = TestEngines.freshFolder()
        let paths: EnginePaths
        let guest: Int32
        do {
            let cloud = try TestEngines(folder: folder, hypervisor: true)
            paths = cloud.paths
            try await cloud.engines.start()
            try FileSystem.write(Self.domain, to: "\(folder)/idle.xml")
            _ = try virsh(paths, "create", "\(folder)/idle.xml")
            guest = try #require(LibvirtDaemons.guests(paths).first?.pid)
            try await cloud.engines.stop(guests: .keep)
            #expect(LibvirtDaemons.guests(paths).map(\.pid) == [guest])
        }
        let next = try TestEngines(folder: folder, hypervisor: true)
        try await next.with { _ in
            let names = try virsh(paths, "list", "--name")
            #expect(names == "idle")
        }
        #expect(ProcessHandle(guest)?.hasEnded ?? true)
        #expect(next.leftNothing)
        FileSystem.remove(folder)
    }

    @Test("The probe's guest runs to its end under emulation, so a failure under KVM is KVM's")
    func probe() throws {
        let folder = TestEngines.freshFolder()
        try FileSystem.makeDirectory(folder)
        defer { FileSystem.remove(folder) }
        let status = try KVMProbe.run("/usr/bin/qemu-system-x86_64", accelerator: "tcg", folder: folder)
        #expect(status == KVMProbe.success)
    }

    @Test("The accelerator is found out once per boot")
    func accelerator() async throws {
        let cloud = try TestEngines()
        let first = try await cloud.engines.accelerator()
        let probe = KVMProbe(paths: cloud.paths)
        #expect(probe.cached()?.0 == first.0)
        try FileSystem.write("another-boot kvm long ago\n", to: cloud.paths.kvmVerdict)
        #expect(probe.cached() == nil)
        #expect(!first.reason.isEmpty)
        FileSystem.remove(cloud.folder)
    }
}
