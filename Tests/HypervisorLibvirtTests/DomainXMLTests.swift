// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

@testable import HypervisorLibvirt

struct DomainXMLTests {
    static let server = "5b0a3f6e-2c41-4d8e-9a77-0c1d2e3f4a5b"

    static func spec() -> GuestSpec {
        var spec = GuestSpec(
            server: server, instanceName: GuestSpec.instanceName(42), title: "web & <mail>\nhost", vcpus: 2,
            memoryMiB: 512, rootDiskGiB: 10)
        spec.nics = [
            GuestNIC(
                portID: "8c2a9f1e-0d3b-4c57-9a11-2f6c1f7b9d10", mac: "fa:16:3e:00:00:01", mtu: 1442,
                addresses: ["10.0.0.5", "fd00::5"])
        ]
        spec.origin.flavorName = "m1.tiny"
        spec.origin.flavorID = "1"
        spec.origin.userID = "u1"
        spec.origin.userName = "ann"
        spec.origin.projectID = "p1"
        spec.origin.projectName = "demo"
        spec.origin.imageID = "i1"
        spec.origin.createdAt = Timestamp("2026-11-20T10:00:00Z")
        return spec
    }

    static func text(
        _ spec: GuestSpec = spec(), accelerator: Accelerator = .tcg, isMedium: Bool = false,
        change: (inout LibvirtSettings) -> Void = { _ in }
    ) throws -> String {
        var settings = LibvirtSettings(
            uri: "qemu:///system", dataDirectory: "/srv", accelerator: accelerator, hostName: "h1")
        change(&settings)
        let folder = try GuestFolder(of: spec.server, in: "/srv")
        var disks = [GuestDisk(role: .root, path: folder.root, format: "qcow2")]
        if isMedium { disks.append(GuestDisk(role: .installer, path: "/srv/images/i.raw", format: "raw")) }
        disks.append(GuestDisk(role: .configDrive, path: folder.configDrive, format: "raw"))
        return try DomainXML(spec: spec, folder: folder, settings: settings, disks: disks, diskCache: "none").text()
    }

    @Test("An emulated guest's domain is this, to the letter")
    func emulated() throws {
        #expect(try Self.text() == Self.expected)
    }

    @Test("What is written is well formed and gives the ports back")
    func ports() throws {
        let root = try #require(XMLElement.parse(try Self.text()))
        let nic = try #require(GuestNIC.all(in: root).first)
        #expect(nic.portID == "8c2a9f1e-0d3b-4c57-9a11-2f6c1f7b9d10")
        #expect(nic.tap == "tap8c2a9f1e-0d" && nic.mac == "fa:16:3e:00:00:01" && nic.mtu == 1442)
        #expect(root["metadata", "nova:instance", "nova:name"]?.text == "web & <mail>\nhost")
        #expect(root["title"]?.text == "web & <mail> host")
    }

    @Test("Image properties choose the devices")
    func properties() throws {
        var spec = Self.spec()
        spec.properties = [
            "hw_disk_bus": "scsi", "hw_vif_model": "e1000", "hw_video_model": "virtio", "hw_machine_type": "q35",
            "hw_firmware_type": "uefi", "hw_cpu_cores": "2", "hw_pointer_model": "usbtablet", "nonsense": "<>",
        ]
        let root = try #require(XMLElement.parse(try Self.text(spec)))
        #expect(root["os"]?.attributes["firmware"] == "efi")
        #expect(root["os", "type"]?.attributes["machine"] == "q35")
        let disks = root["devices"]?.all("disk").compactMap { $0["target"]?.attributes } ?? []
        #expect(disks == [["dev": "sda", "bus": "scsi"], ["dev": "sdb", "bus": "sata"]])
        let controllers = root["devices"]?.all("controller").compactMap { $0.attributes["model"] } ?? []
        #expect(controllers.contains("virtio-scsi") && controllers.contains("pcie-root-port"))
        #expect(root["devices", "interface", "model"]?.attributes["type"] == "e1000")
        #expect(root["devices", "interface", "driver"] == nil)
        #expect(root["devices", "video", "model"]?.attributes["type"] == "virtio")
        #expect(root["devices", "input"]?.attributes["type"] == "tablet")
        #expect(root["cpu", "topology"]?.attributes == ["sockets": "1", "cores": "2", "threads": "1"])
    }

    @Test("Under KVM the guest has the host's processor and no translation cache")
    func kvm() throws {
        let text = try Self.text(accelerator: .kvm) { $0.userspaceDatapath = false }
        let root = try #require(XMLElement.parse(text))
        #expect(root.attributes["type"] == "kvm")
        #expect(root["cpu"]?.attributes == ["mode": "host-model"])
        #expect(root["features", "tcg"] == nil)
        #expect(root["devices", "interface", "driver"] == nil)
        #expect(root["devices", "input"]?.attributes["bus"] == "usb")
    }

    @Test("An installation medium is the second thing to boot from")
    func medium() throws {
        let root = try #require(XMLElement.parse(try Self.text(isMedium: true)))
        #expect(root["os"]?.all("boot").compactMap { $0.attributes["dev"] } == ["hd", "cdrom"])
        let targets = root["devices"]?.all("disk").compactMap { $0["target"]?.attributes["dev"] }
        #expect(targets == ["vda", "hda", "hdb"])
    }

    @Test("A server's id that is no UUID never becomes a path", arguments: ["../../etc", "", "x/y", "5b0a3f6e"])
    func folder(id: String) { #expect(throws: Fault.self) { try GuestFolder(of: id, in: "/srv") } }
}

struct DiskHeaderTests {
    static func qcow2(version: UInt8 = 3, backing: UInt8 = 0, features: UInt8 = 0) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 512)
        bytes.replaceSubrange(0..<4, with: [0x51, 0x46, 0x49, 0xFB])
        bytes[7] = version
        bytes[15] = backing
        bytes[28] = 4  // 64 MiB
        bytes[79] = features
        return bytes
    }

    @Test("A qcow2 header tells its size and what it refers to")
    func qcow2() {
        #expect(DiskHeader(Self.qcow2()) == .qcow2(virtualSize: 64 << 20, hasBacking: false, hasDataFile: false))
        #expect(
            DiskHeader(Self.qcow2(backing: 104)) == .qcow2(virtualSize: 64 << 20, hasBacking: true, hasDataFile: false))
        #expect(
            DiskHeader(Self.qcow2(features: 4)) == .qcow2(virtualSize: 64 << 20, hasBacking: false, hasDataFile: true))
        #expect(
            DiskHeader(Self.qcow2(version: 2, features: 4))
                == .qcow2(virtualSize: 64 << 20, hasBacking: false, hasDataFile: false))
        #expect(DiskHeader([1, 2, 3]) == .other)
    }

    @Test("Images that refer to other files are refused")
    func references() throws {
        try DiskHeader(Self.qcow2()).refuseReferences(image: "i")
        #expect(throws: Fault.self) { try DiskHeader(Self.qcow2(backing: 104)).refuseReferences(image: "i") }
        #expect(throws: Fault.self) { try DiskHeader(Self.qcow2(features: 4)).refuseReferences(image: "i") }
        var vmdk = [UInt8](repeating: 0, count: 1024)
        vmdk.replaceSubrange(0..<4, with: Array("KDMV".utf8))
        let descriptor = Array("# Disk DescriptorFile\ncreateType=\"monolithicSparse\"\n".utf8)
        vmdk.replaceSubrange(512..<512 + descriptor.count, with: descriptor)
        #expect(throws: Fault.self) { try DiskHeader(vmdk).refuseReferences(image: "i") }
        vmdk[13] = 1
        try DiskHeader(vmdk).refuseReferences(image: "i")
    }
}
