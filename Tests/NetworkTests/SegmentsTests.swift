// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct SegmentsTests {
    @Test("A network on several physical networks has a segment on each, which others do not get")
    func several() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.make(
            "network", "/networks",
            [
                "name": "wide",
                "segments": [
                    [
                        "provider:network_type": "vlan", "provider:physical_network": "rack-1",
                        "provider:segmentation_id": 7,
                    ],
                    [
                        "provider:network_type": "vlan", "provider:physical_network": "rack-2",
                        "provider:segmentation_id": 7,
                    ],
                ],
            ], as: .admin())
        #expect(network["segments"]?[1]?.text("provider:physical_network") == "rack-2")
        #expect(network["provider:network_type"] == nil)
        let segments = await cloud.call("GET", "/segments", as: .admin(), query: "network_id=\(network.id)")["segments"]
        #expect(segments.array?.count == 2)
        let third = try await cloud.make(
            "segment", "/segments",
            [
                "network_id": .string(network.id), "network_type": "vlan", "physical_network": "rack-3",
                "segmentation_id": 7,
            ], as: .admin())
        let taken = await cloud.call(
            "POST", "/networks",
            [
                "network": [
                    "name": "x", "provider:network_type": "vlan", "provider:physical_network": "rack-3",
                    "provider:segmentation_id": 7,
                ]
            ], as: .admin())
        #expect(taken.type == "VlanIdInUse")
        try await cloud.sync()
        #expect(await cloud.backend.topology.networks[network.id]?.more.count == 2)
        #expect(await cloud.call("DELETE", "/segments/\(third.id)", as: .admin()).status == 204)
        #expect(await cloud.call("GET", "/segments/\(third.id)", as: .admin()).status == 404)
        #expect(await cloud.call("GET", "/segments").status == 200)
        #expect(await cloud.call("GET", "/segments")["segments"].array?.isEmpty == true)
    }

    @Test("On a routed network a port's host says which addresses it has")
    func routed() async throws {
        let cloud = try await NetworkCloud()
        await cloud.backend.setHosts([
            ChassisFact(id: "c1", hostname: "host-1", physicalNetworks: ["rack-1"]),
            ChassisFact(id: "c2", hostname: "host-2", physicalNetworks: ["rack-2"]),
        ])
        try await cloud.service.sync.noteHosts()
        let network = try await cloud.make(
            "network", "/networks",
            [
                "name": "routed", "provider:network_type": "vlan", "provider:physical_network": "rack-1",
                "provider:segmentation_id": 10,
            ], as: .admin())
        let first = await cloud.call("GET", "/segments", as: .admin(), query: "network_id=\(network.id)")["segments"][
            0]?.id
        let second = try await cloud.make(
            "segment", "/segments",
            [
                "network_id": .string(network.id), "network_type": "vlan", "physical_network": "rack-2",
                "segmentation_id": 10,
            ], as: .admin())
        for (cidr, segment) in [("10.1.0.0/24", first ?? ""), ("10.2.0.0/24", second.id)] {
            _ = try await cloud.make(
                "subnet", "/subnets",
                [
                    "network_id": .string(network.id), "ip_version": 4, "cidr": .string(cidr),
                    "segment_id": .string(segment),
                ], as: .admin())
        }
        let odd = await cloud.call(
            "POST", "/subnets",
            ["subnet": ["network_id": .string(network.id), "ip_version": 4, "cidr": "10.3.0.0/24"]], as: .admin())
        #expect(odd.type == "SubnetsNotAllAssociatedWithSegments")
        let port = try await cloud.port(network.id, as: .admin())
        #expect(port.addresses.isEmpty && port.text("ip_allocation") == "deferred")
        let bound = await cloud.call("PUT", "/ports/\(port.id)", ["port": ["binding:host_id": "host-2"]], as: .admin())
        #expect(bound["port"].addresses.first?.hasPrefix("10.2.0.") == true)
        let apart = await cloud.call("PUT", "/ports/\(port.id)", ["port": ["binding:host_id": "host-1"]], as: .admin())
        #expect(apart.type == "HostNotCompatibleWithFixedIps")
        #expect(await cloud.call("DELETE", "/segments/\(second.id)", as: .admin()).type == "SegmentInUse")
    }
}
