// SPDX-License-Identifier: Apache-2.0
import Compute
import Glibc
import Kernel
import Testing

@testable import HypervisorLibvirt

/// What a host is found to have.
struct HostFactsTests {
    private static let capabilities = """
        <capabilities><host><topology><cells num='2'>
          <cell id='0'><memory unit='KiB'>4194304</memory>
            <pages unit='KiB' size='4'>1048576</pages><pages unit='KiB' size='2048'>64</pages>
            <cpus num='4'><cpu id='0' siblings='0,2'/><cpu id='1' siblings='1,3'/><cpu id='2' siblings='0,2'/>
              <cpu id='3' siblings='1,3'/></cpus></cell>
          <cell id='1'><memory unit='KiB'>2097152</memory><cpus num='1'><cpu id='4' siblings='4'/></cpus></cell>
        </cells></topology></host></capabilities>
        """

    @Test("Cells have their processors, threads, memory and pages; what is set aside is apart")
    func cells() throws {
        let root = try #require(XMLElement.parse(Self.capabilities))
        var settings = LibvirtSettings(
            uri: "qemu:///system", dataDirectory: "/srv", accelerator: .tcg, hostName: "h")
        let plain = try #require(HostCells.read(root, settings))
        #expect(plain.map(\.sharedCPUs) == [[0, 1, 2, 3], [4]] && plain.map(\.memoryMiB) == [4096, 2048])
        #expect(plain[0].siblings == [[0, 2], [1, 3]] && plain[1].siblings == [])
        #expect(plain[0].pages == [.init(kibibytes: 4, total: 1_048_576), .init(kibibytes: 2048, total: 64)])
        settings.dedicatedCPUs = [2, 3]
        #expect(HostCells.read(root, settings)?.map(\.sharedCPUs) == [[], []])
        settings.sharedCPUs = [0, 4]
        let parted = try #require(HostCells.read(root, settings))
        #expect(parted.map(\.sharedCPUs) == [[0], [4]] && parted.map(\.ownCPUs) == [[2, 3], []])
    }

    @Test("What QEMU can do is told by the names of standard traits")
    func traits() throws {
        let text = """
            <domainCapabilities>
              <os supported='yes'><enum name='firmware'><value>bios</value><value>efi</value></enum>
                <loader supported='yes'><enum name='secure'><value>no</value><value>yes</value></enum></loader></os>
              <devices>
                <disk supported='yes'><enum name='bus'><value>ide</value><value>virtio</value></enum></disk>
                <video supported='yes'><enum name='modelType'><value>vga</value><value>none</value></enum></video>
                <tpm supported='yes'><enum name='model'><value>tpm-tis</value><value>tpm-spapr</value></enum>
                  <enum name='backendModel'><value>passthrough</value><value>emulator</value></enum>
                  <enum name='backendVersion'><value>1.2</value><value>2.0</value></enum></tpm>
              </devices>
              <features><sev supported='yes'/></features>
            </domainCapabilities>
            """
        let root = try #require(XMLElement.parse(text))
        #expect(
            HostAbilities.traits(of: root).sorted() == [
                "COMPUTE_FIRMWARE_UEFI", "COMPUTE_GRAPHICS_MODEL_NONE", "COMPUTE_GRAPHICS_MODEL_VGA",
                "COMPUTE_SECURITY_STATELESS_FIRMWARE", "COMPUTE_SECURITY_TPM_1_2", "COMPUTE_SECURITY_TPM_2_0",
                "COMPUTE_SECURITY_TPM_SECRET_SECURITY_DEPLOYMENT", "COMPUTE_SECURITY_TPM_SECRET_SECURITY_HOST",
                "COMPUTE_SECURITY_TPM_SECRET_SECURITY_USER", "COMPUTE_SECURITY_TPM_TIS",
                "COMPUTE_SECURITY_UEFI_SECURE_BOOT", "COMPUTE_STORAGE_BUS_IDE",
                "COMPUTE_STORAGE_BUS_VIRTIO", "HW_CPU_X86_AMD_SEV",
            ])
    }

    @Test("Devices that the operator set aside are found, with what they are functions of")
    func devices() throws {
        let root = "/tmp/apus-pci-" + RandomIdentifiers().hex()
        defer { FileSystem.remove(root) }
        func add(_ address: String, _ vendor: String, _ device: String, _ more: [String: String] = [:]) throws {
            try FileSystem.makeDirectory("\(root)/\(address)")
            for (name, text) in more.merging(
                ["vendor": "0x\(vendor)", "device": "0x\(device)"], uniquingKeysWith: { $1 })
            {
                try FileSystem.write(text + "\n", to: "\(root)/\(address)/\(name)")
            }
        }
        try add("0000:81:00.0", "10de", "1db4", ["numa_node": "1"])
        try add("0000:82:00.0", "8086", "10fb", ["sriov_totalvfs": "8", "numa_node": "-1"])
        try add("0000:82:10.0", "8086", "10ed")
        try add("0000:00:1f.2", "8086", "2922")
        symlink("../0000:82:00.0", "\(root)/0000:82:10.0/physfn")
        symlink("../0000:82:10.0", "\(root)/0000:82:00.0/virtfn3")
        try FileSystem.makeDirectory("\(root)/0000:82:00.0/net/ens1f0")
        try FileSystem.write("52:54:00:aa:bb:cc\n", to: "\(root)/0000:82:00.0/net/ens1f0/address")
        let scan = PCIScan(
            [.init(vendorID: "10de"), .init(address: "82:*.*", physicalNetwork: "physnet1")], root: root)
        let found = scan.devices()
        #expect(found.map(\.address) == ["0000:81:00.0", "0000:82:00.0", "0000:82:10.0"])
        #expect(found.map(\.kind) == [.plain, .physical, .virtual] && found.map(\.cell) == [1, nil, nil])
        #expect(found[2].parent == "0000:82:00.0" && found[2].physicalNetwork == "physnet1")
        #expect(found[2].functionNumber == 3 && found[2].parentMAC == "52:54:00:aa:bb:cc")
        #expect(found[1].mac == "52:54:00:aa:bb:cc" && found[0].mac == nil)
        #expect(PCIScan([], root: root).devices().isEmpty)
    }

    @Test(
        "A real host tells its cells, its traits and its guests' processor",
        .enabled(if: PrivateLibvirt.isPossible, "needs root, libvirtd and QEMU"), .timeLimit(.minutes(3)))
    func real() async throws {
        try await PrivateLibvirt.with { host async throws in
            let facts = try await host.hypervisor().resources()
            let cells = try #require(facts.numaCells)
            #expect(cells.flatMap(\.sharedCPUs).count == facts.vcpus && cells[0].memoryMiB > 0)
            #expect(cells[0].pages.contains { $0.kibibytes == 4 })
            let traits = facts.traits ?? []
            #expect(traits.contains("COMPUTE_STORAGE_BUS_VIRTIO") && traits.contains("COMPUTE_GRAPHICS_MODEL_VGA"))
            #expect(facts.cpu.features.contains("sse2"))
        }
    }
}
