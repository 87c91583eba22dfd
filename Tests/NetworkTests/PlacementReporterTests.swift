// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Network
import Placement
import Simulation
import Synchronization
import Testing

/// Hosts' bandwidths in a real Placement.
struct PlacementReporterTests {
    private final class Held: Sendable {
        let service = Mutex<NetworkService?>(nil)
        let front = Mutex<(@Sendable () -> Front?)?>(nil)
    }

    private static func fact(_ options: [String]) -> ChassisFact {
        var fact = ChassisFact(id: "c1", hostname: "rack-1", physicalNetworks: ["ext"])
        fact.packetRates = PacketRate.read(options, host: "rack-1")
        fact.bandwidths = DeviceBandwidth.read(options, bridges: [("ext", "br-ex")], host: "rack-1")
        return fact
    }

    /// Bandwidth and packets of one host.
    private static let both =
        "resources1=NET_BW_IGR_KILOBIT_PER_SEC:100&required1=CUSTOM_PHYSNET_EXT"
        + "&resources2=NET_PACKET_RATE_KILOPACKET_PER_SEC:10&required2=CUSTOM_VNIC_TYPE_NORMAL"
        + "&same_subtree=1,2&group_policy=none"

    private static func ground(_ held: Held, _ backend: FakeNetworkBackend) async throws -> TestCloud {
        try await TestCloud(
            rooms: { PlacementService(database: $0.database, clock: $0.clock, ids: $0.ids, log: $0.log) },
            { parts in
                let service = NetworkService(
                    database: parts.database, clock: parts.clock, ids: parts.ids, log: parts.log,
                    transport: InProcess(parts.front), caller: .service("neutron"), backend: backend)
                held.service.withLock { $0 = service }
                held.front.withLock { $0 = parts.front }
                return service
            })
    }

    @Test("Bridges are providers below their host, with traits and inventories, and go when they promise nothing more")
    func reported() async throws {
        let (backend, held) = (FakeNetworkBackend(), Held())
        let cloud = try await Self.ground(held, backend)
        let service = try #require(held.service.withLock { $0 })
        let front = try #require(held.front.withLock { $0 })
        let reporter = PlacementReporter(service, over: InProcess(front), as: .service("neutron"))
        func ask(_ path: String, query: String = "") async -> TestCloud.Answer {
            await cloud.call("placement", "GET", path, at: "1.36", as: .service(), query: query)
        }
        await backend.setHosts([
            Self.fact([
                "resource_provider_bandwidths=br-ex:2000:1000;rp_tunnelled:300:;br-lost:1:1",
                "resource_provider_inventory_defaults=allocation_ratio:1.5;min_unit:10",
                "resource_provider_packet_processing_without_direction=:700",
            ])
        ])
        // Compute has not reported the host yet: nothing is below nothing, and it is tried again.
        var told = try await reporter.report()
        #expect(told.isEmpty)
        let root = "88888888-8888-4888-8888-888888888888"
        _ = await cloud.call(
            "placement", "POST", "/resource_providers", ["uuid": .string(root), "name": "rack-1"], at: "1.36",
            as: .service())
        told = try await reporter.report(told)
        told = try await reporter.report(told)
        let tree = await ask("/resource_providers", query: "in_tree=\(root)")["resource_providers"].array ?? []
        let names = Dictionary(
            tree.map { ($0.text("name"), $0.text("uuid")) }, uniquingKeysWith: { first, _ in first })
        let agent = "rack-1:OVN Controller agent"
        #expect(Set(names.keys) == ["rack-1", agent, "\(agent):br-ex", "\(agent):rp_tunnelled"])
        let bridge = names["\(agent):br-ex"] ?? ""
        // UUID version 5 of `rack-1:br-ex` in upstream's namespace of ML2/OVN's providers.
        #expect(bridge == "359da930-19f6-5b31-94dd-9a17b45199e2")
        let inventory = await ask("/resource_providers/\(bridge)/inventories")["inventories"]
        #expect(inventory["NET_BW_EGR_KILOBIT_PER_SEC"]?["total"] == 2000)
        #expect(inventory["NET_BW_IGR_KILOBIT_PER_SEC"]?["total"] == 1000)
        #expect(inventory["NET_BW_IGR_KILOBIT_PER_SEC"]?["min_unit"] == 10)
        #expect(inventory["NET_BW_IGR_KILOBIT_PER_SEC"]?["allocation_ratio"] == 1.5)
        let traits = await ask("/resource_providers/\(bridge)/traits")["traits"].array?.compactMap(\.string) ?? []
        #expect(traits.contains("CUSTOM_PHYSNET_EXT") && traits.contains("CUSTOM_VNIC_TYPE_NORMAL"))
        let packets = await ask("/resource_providers/\(names[agent] ?? "")/inventories")["inventories"]
        #expect(packets["NET_PACKET_RATE_KILOPACKET_PER_SEC"]?["total"] == 700)
        #expect(await ask("/allocation_candidates", query: Self.both)["allocation_requests"].array?.count == 1)
        let found = await ask(
            "/allocation_candidates",
            query: "resources1=NET_BW_IGR_KILOBIT_PER_SEC:100&required1=CUSTOM_PHYSNET_EXT,CUSTOM_VNIC_TYPE_NORMAL")
        #expect(found["allocation_requests"].array?.count == 1)

        await backend.setHosts([Self.fact(["resource_provider_bandwidths=rp_tunnelled:300:300"])])
        told = try await reporter.report(told)
        let left = await ask("/resource_providers", query: "in_tree=\(root)")["resource_providers"].array ?? []
        #expect(Set(left.map { $0.text("name") }) == ["rack-1", agent, "\(agent):rp_tunnelled"])
        let none = await ask("/resource_providers/\(names[agent] ?? "")/inventories")["inventories"]
        #expect(none.object?.isEmpty == true, "packets are promised no more")
    }
}
