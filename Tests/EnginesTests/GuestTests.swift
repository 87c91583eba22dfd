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
        let paths = try EnginePaths(dataDirectory: cloud.folder)
        let other = try EnginePaths(dataDirectory: cloud.folder + "-other", create: false)
        #expect(ProcessorGroups.partition(paths) != ProcessorGroups.partition(other))
        try await cloud.with { engines in
            #expect(ProcessorGroups.find().map { FileSystem.exists($0.folder(paths)) } != false)
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
        #expect(ProcessorGroups.find().map { FileSystem.exists($0.folder(paths)) } != true)
        #expect(!FileSystem.exists("/run/libvirt/libvirt-sock") || FileSystem.exists("/run/libvirtd.pid"))
        FileSystem.remove(cloud.folder)
    }

    @Test("A guest's network card is a tap of the chassis' namespace, bound to its port by OVN")
    func networkCard() async throws {
        let cloud = try TestEngines(hypervisor: true)
        try await cloud.with { engines in
            let paths = engines.paths
            try network(
                engines, "ls-add net1 -- lsp-add net1 p1 -- lsp-set-addresses p1 fa:16:3e:00:00:01=10.0.0.11")
            _ = try output(["ip", "-n", paths.prefix, "tuntap", "add", "dev", "tap1", "mode", "tap"])
            _ = try output([
                "ovs-vsctl", "--timeout=10", "--db=\(paths.switchDatabase)", "add-port", "br-int", "tap1", "--",
                "set", "Interface", "tap1", "external-ids:iface-id=p1",
            ])
            let card = """
                <interface type='ethernet'><mac address='fa:16:3e:00:00:01'/><target dev='tap1' managed='no'/>
                <model type='virtio'/><mtu size='\(EngineOptions.tunnelMTU)'/></interface></devices>
                """
            let file = "\(paths.root)/card.xml"
            let parts = Self.domain.split(separator: "</devices>", maxSplits: 1)
            try FileSystem.write(parts[0] + card + parts[1], to: file)
            _ = try virsh(paths, "create", file)
            try network(engines, "wait-until Logical_Switch_Port p1 up=true")
            _ = try output(["ip", "-n", paths.prefix, "link", "set", "tap1", "up"])
            let link = try output(["ip", "-n", paths.prefix, "-o", "link", "show", "dev", "tap1"])
            // Somebody holds the other end of the tap.
            #expect(link.contains("LOWER_UP"))
        }
        #expect(cloud.leftNothing)
        FileSystem.remove(cloud.folder)
    }

    @Test("A stop in the middle of libvirt's first look at QEMU leaves nothing either")
    func interrupted() async throws {
        var options = EngineOptions()
        let folder = TestEngines.freshFolder()
        options.cacheDirectory = "\(folder)/cache"
        let cloud = try TestEngines(options, folder: folder, hypervisor: true)
        try await cloud.with { engines in
            await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await engines.run() }
                while LibvirtDaemons.emulators(engines.paths).isEmpty { await Task.yield() }
                group.cancelAll()
            }
        }
        #expect(cloud.leftNothing)
        FileSystem.remove(folder)
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
        let status = try KVMProbe.run("/usr/bin/qemu-system-x86_64", accelerator: "tcg")
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
