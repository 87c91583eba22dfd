// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Ports that are functions of their hosts' network cards: each has one of its own, on the right wires, and Network is
/// told which.
struct PortCardsTests {
    static func cloud(hosts: Int = 1, functions: Int = 2) async throws -> ComputeCloud {
        var facts = HostResources.fake()
        facts.pciDevices = (0..<functions).map { number in
            var device = HostResources.PCIDevice(
                address: "0000:82:10.\(number)", vendorID: "8086", productID: "10ed", kind: .virtual,
                parent: "0000:82:00.0", physicalNetwork: "physnet1")
            (device.functionNumber, device.parentMAC) = (number, "52:54:00:00:00:01")
            return device
        }
        var whole = HostResources.PCIDevice(
            address: "0000:83:00.0", vendorID: "8086", productID: "10fb", kind: .physical, physicalNetwork: "physnet1")
        whole.mac = "52:54:00:00:00:02"
        facts.pciDevices?.append(whole)
        let cloud = try await ComputeCloud(hosts: hosts, each: facts)
        await cloud.flavor()
        cloud.network.state.withLock { state in
            for (name, value) in [
                "provider:physical_network": "physnet1", "provider:network_type": "vlan",
                "provider:segmentation_id": 7,
            ] as JSONObject {
                state.networks[FakeNetwork.network]?[name] = value
            }
        }
        return cloud
    }

    static func port(_ cloud: ComputeCloud, _ kind: String = "direct", on network: String = FakeNetwork.network)
        -> String
    {
        let id = RandomIdentifiers().uuid()
        cloud.network.state.withLock { state in
            state.addresses += 1
            state.ports[id] = [
                "id": .string(id), "network_id": .string(network), "project_id": "project-a", "status": "DOWN",
                "mac_address": .string("fa:16:3e:00:20:" + Hex.encode([UInt8(state.addresses)])),
                "fixed_ips": [["subnet_id": "s1", "ip_address": .string("10.0.0.\(state.addresses)")]],
                "binding:vnic_type": .string(kind), "binding:profile": ["kept": "yes"],
            ]
        }
        return id
    }

    static func profile(_ cloud: ComputeCloud, _ port: String) -> JSON {
        cloud.network.state.withLock { $0.ports[port]?["binding:profile"] ?? .null }
    }

    static func boot(_ cloud: ComputeCloud, _ port: String) async throws -> String {
        try await cloud.server(["networks": [["port": .string(port)]]])
    }

    @Test("Each port has a function of its own, and Network knows which; deleted, both are free again")
    func functions() async throws {
        let cloud = try await Self.cloud()
        let (one, two, three) = (Self.port(cloud), Self.port(cloud, "macvtap"), Self.port(cloud))
        let first = try await Self.boot(cloud, one)
        #expect(await cloud.show(first)["status"] == "ACTIVE")
        let spec = try #require(await cloud.hosts["host-1"]?.spec(of: first))
        #expect(spec.nics.map(\.kind) == [.direct] && spec.nics[0].vlan == 7)
        #expect(spec.nics[0].hostDevice?.address == "0000:82:10.0" && spec.hostDevices.isEmpty)
        #expect(
            Self.profile(cloud, one) == [
                "kept": "yes", "pci_vendor_info": "8086:10ed", "pci_slot": "0000:82:10.0",
                "physical_network": "physnet1", "pf_mac_address": "52:54:00:00:00:01", "vf_num": 0,
            ])
        let second = try await Self.boot(cloud, two)
        let other = try #require(await cloud.hosts["host-1"]?.spec(of: second))
        #expect(other.nics.map(\.kind) == [.macvtap] && other.nics[0].hostDevice?.address == "0000:82:10.1")
        let third = try await Self.boot(cloud, three)
        #expect(await cloud.show(third)["status"] == "ERROR")
        let fault = await cloud.show(third)["fault"]?["message"]?.string ?? ""
        #expect(fault.hasPrefix("No valid host was found."), "\(fault)")
        #expect(Self.profile(cloud, three) == ["kept": "yes"])
        #expect(await cloud.call("DELETE", "/servers/\(first)").status == 204)
        try await cloud.work()
        #expect(Self.profile(cloud, one) == ["kept": "yes"])
        let fourth = try await Self.boot(cloud, one)
        #expect(await cloud.show(fourth)["status"] == "ACTIVE")
        #expect(Self.profile(cloud, one)["pci_slot"] == "0000:82:10.0")
    }

    @Test("A whole card is the guest's, with the card's own address; functions and other wires are not taken for it")
    func whole() async throws {
        let cloud = try await Self.cloud()
        let port = Self.port(cloud, "direct-physical")
        let id = try await Self.boot(cloud, port)
        let spec = try #require(await cloud.hosts["host-1"]?.spec(of: id))
        #expect(spec.nics.isEmpty)
        #expect(spec.hostDevices.map(\.address) == ["0000:83:00.0"] && spec.hostDevices[0].portID == port)
        #expect(Self.profile(cloud, port)["device_mac_address"] == "52:54:00:00:00:02")
        // A network that is nowhere outside has no card.
        cloud.network.addSecond()
        cloud.network.state.withLock {
            $0.networks[FakeNetwork.second]?["provider:physical_network"] = "physnet2"
        }
        let lost = try await Self.boot(cloud, Self.port(cloud, on: FakeNetwork.second))
        #expect(await cloud.show(lost)["status"] == "ERROR")
    }

    @Test("A server that moves has a function of its new host, and the old one again when it comes back")
    func moves() async throws {
        let cloud = try await Self.cloud(hosts: 2)
        let (taken, port) = (Self.port(cloud), Self.port(cloud))
        let resident = try await Self.boot(cloud, taken)
        let home = await ServerMovesTests.host(cloud, resident)
        let answer = await cloud.call(
            "POST", "/servers",
            ComputeCloud.draft(["networks": [["port": .string(port)]], "availability_zone": .string("nova:\(home)")]),
            as: .admin(project: "project-a"))
        try await cloud.work()
        let id = answer["server"]["id"]?.string ?? ""
        #expect(await ServerMovesTests.host(cloud, id) == home)
        #expect(Self.profile(cloud, port)["pci_slot"] == "0000:82:10.1")
        #expect(await cloud.act(id, ["migrate": .null], as: .admin()).status == 202)
        try await cloud.work()
        let moved = await cloud.show(id)
        #expect(moved["status"] == "VERIFY_RESIZE", "\(moved["fault"]?.text() ?? "")")
        let dest = await ServerMovesTests.host(cloud, id)
        #expect(dest != home)
        #expect(Self.profile(cloud, port)["pci_slot"] == "0000:82:10.0")
        #expect(await cloud.hosts[dest]?.spec(of: id)?.nics[0].hostDevice?.address == "0000:82:10.0")
        // Until it is settled both are held.
        let third = try await Self.boot(cloud, Self.port(cloud))
        let fourth = try await Self.boot(cloud, Self.port(cloud))
        #expect(await cloud.show(third)["status"] == "ACTIVE")
        #expect(await cloud.show(fourth)["status"] == "ERROR")
        _ = await cloud.act(id, ["revertResize": .null])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(Self.profile(cloud, port)["pci_slot"] == "0000:82:10.1")
        #expect(await cloud.hosts[home]?.spec(of: id)?.nics[0].hostDevice?.address == "0000:82:10.1")
    }

    @Test("A server that comes back from the shelf has a function where it comes to, and the profile says so")
    func shelved() async throws {
        let cloud = try await Self.cloud()
        let port = Self.port(cloud)
        let id = try await Self.boot(cloud, port)
        _ = await cloud.act(id, ["shelve": .null])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHELVED_OFFLOADED")
        let other = Self.port(cloud)
        _ = try await Self.boot(cloud, other)
        #expect(Self.profile(cloud, other)["pci_slot"] == "0000:82:10.0")
        _ = await cloud.act(id, ["unshelve": .null])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(Self.profile(cloud, port)["pci_slot"] == "0000:82:10.1")
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.nics[0].hostDevice?.address == "0000:82:10.1")
    }
}
