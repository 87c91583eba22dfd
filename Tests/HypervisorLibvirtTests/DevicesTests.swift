// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

@testable import HypervisorLibvirt

/// Devices of the host: what operators say of them, and how guests have them, lose them and find others elsewhere.
struct DevicesTests {
    private static func partition(_ text: String) throws(ConfigurationErrors) -> HostPartition {
        try Configuration.load(
            sources: [ConfigurationSource(name: "apus.conf", text: text)], known: [HostPartition.self])[
                HostPartition.self]
    }

    private static func device(_ address: String, parent: String? = nil) -> HostResources.PCIDevice {
        .init(
            address: address, vendorID: "8086", productID: "10ed", kind: parent == nil ? .plain : .virtual,
            parent: parent)
    }

    @Test("What is said of devices reaches those that fit: by address, by their card's, by patterns")
    func specs() throws {
        let specs = try Self.partition(
            """
            [pci]
            device_spec = [{"address": "0000:82:00.0", "resource_class": "fast nic", "traits": "big, HW_NIC_SRIOV",
                "live_migratable": "yes", "managed": "no"},
                {"address": {"domain": ".*", "bus": "8[34]", "slot": "00", "function": "[0-1]"},
                "remote_managed": true},
                {"devname": "eth0", "physical_network": "physnet1"}]
            """
        ).devices
        #expect(specs[0].resourceClass == "CUSTOM_FAST_NIC" && specs[0].traits == ["CUSTOM_BIG", "HW_NIC_SRIOV"])
        #expect(specs[0].isLiveMigratable == true && specs[0].isManaged == false)
        #expect(specs[0].fits(Self.device("0000:82:00.0")) && !specs[0].fits(Self.device("0000:82:00.1")))
        #expect(specs[0].fits(Self.device("0000:82:10.3", parent: "0000:82:00.0")))
        #expect(specs[1].isRemoteManaged && specs[1].fits(Self.device("0000:84:00.1")))
        #expect(!specs[1].fits(Self.device("0000:85:00.1")) && !specs[1].fits(Self.device("0000:84:00.2")))
        #expect(specs[2].deviceName == "eth0" && specs[2].physicalNetwork == "physnet1")
        for wrong in [#"[{"managed": "perhaps"}]"#, #"{"devname": "eth0", "address": "0000:82:00.0"}"#] {
            #expect(throws: ConfigurationErrors.self) { try Self.partition("[pci]\ndevice_spec = \(wrong)") }
        }
    }

    @Test("Devices with a card's name are that card and its functions; who is managed from elsewhere is left out")
    func names() throws {
        let root = "/tmp/apus-pci-" + RandomIdentifiers().hex()
        defer { FileSystem.remove(root) }
        for address in ["0000:82:00.0", "0000:83:00.0", "0000:84:00.0"] {
            try FileSystem.makeDirectory("\(root)/\(address)")
            try FileSystem.write("0x8086\n", to: "\(root)/\(address)/vendor")
            try FileSystem.write("0x10fb\n", to: "\(root)/\(address)/device")
        }
        try FileSystem.makeDirectory("\(root)/0000:82:00.0/net/eth0")
        var (named, remote) = (PCIScan.Spec(physicalNetwork: "physnet1"), PCIScan.Spec(address: "0000:83:00.0"))
        (named.deviceName, remote.isRemoteManaged) = ("eth0", true)
        let found = PCIScan([named, remote, .init()], root: root).devices()
        #expect(found.map(\.address) == ["0000:82:00.0", "0000:84:00.0"])
        #expect(found.map(\.physicalNetwork) == ["physnet1", nil])
    }

    @Test(
        "Types of parts have a class and a limit; what would exceed it is left out, and made up hosts have such cards")
    func types() throws {
        let text = """
            [devices]
            enabled_mdev_types = nvidia-35, nvidia-36
            [mdev_nvidia-35]
            max_instances = 5
            [mdev_nvidia-36]
            device_addresses = 0000:86:00.0
            mdev_class = CUSTOM_FAST_VGPU
            """
        let host = try Self.partition(text).madeUpHost("one")
        #expect(host.mediatedSources?.map(\.address) == ["0000:84:00.0", "0000:84:01.0", "0000:86:00.0"])
        #expect(host.mediatedSources?.map(\.total) == [4, 0, 4])
        #expect(host.mediatedSources?.map(\.ownClass) == [nil, nil, "CUSTOM_FAST_VGPU"])
        #expect(throws: ConfigurationErrors.self) {
            try Self.partition("[devices]\nenabled_mdev_types = a\n[mdev_a]\nmdev_class = FAST")
        }
    }

    private static let port = "11111111-0d3b-4c57-9a11-2f6c1f7b9d10"

    private static func nic(_ kind: GuestNIC.Kind, _ address: String) -> GuestNIC {
        var nic = GuestNIC(portID: port, mac: "fa:16:3e:00:00:09", mtu: 1500)
        (nic.kind, nic.hostDevice) = (kind, HostDevice(.pci, address: address, portID: port))
        return nic
    }

    @Test(
        "A card in a domain is read back as what it was plugged in as",
        arguments: [GuestNIC.Kind.direct, .macvtap, .whole])
    func readBack(kind: GuestNIC.Kind) throws {
        var nic = Self.nic(kind, "0000:82:10.2")
        nic.hostDevice?.isManaged = kind == .macvtap ? nil : false
        var xml = XMLWriter()
        xml.element("domain") { xml in
            xml.element("devices") { nic.write(to: &$0, CardStyle(hasOffloads: false)) }
        }
        let found = GuestNIC.all(in: try #require(XMLElement.parse(xml.text)))
        #expect(found.count == 1 && found[0].portID == Self.port && found[0].kind == kind)
        #expect(
            found[0].hostDevice?.address == "0000:82:10.2"
                && found[0].hostDevice?.isManaged == nic.hostDevice?.isManaged)
        // What is taken out is described as it was put in.
        var (first, second) = (XMLWriter(), XMLWriter())
        nic.write(to: &first, CardStyle(hasOffloads: false))
        found[0].write(to: &second, CardStyle(hasOffloads: false))
        #expect(first.text == second.text)
    }

    @Test("A guest that travels has the devices of where it arrives")
    func travels() throws {
        func guest(_ device: String, _ part: String, _ function: String) throws -> String {
            var spec = DomainXMLTests.spec()
            spec.hostDevices = [
                HostDevice(.mediated, address: part), HostDevice(.pci, address: device, alias: "vf"),
            ]
            spec.nics.append(Self.nic(.macvtap, function))
            return try DomainXMLTests.text(spec)
        }
        let here = try guest("0000:81:00.1", "c60cc781-63ac-4ba3-a8d9-5e3f3a2b4c5d", "0000:82:10.0")
        let there = try guest("0000:91:00.2", "d60cc781-63ac-4ba3-a8d9-5e3f3a2b4c5e", "0000:92:10.1")
        #expect(here != there)
        #expect(ArrivalChanges(there, volumes: []).apply(to: here) == there)
    }
}
