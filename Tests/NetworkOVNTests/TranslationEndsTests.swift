// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import NetworkOVN
import OVSDB
import Testing

/// What is written down for switches to forget, in the transaction that ends it.
@Suite(.enabled(if: TestDatabases.isInstalled, "OVN's databases are not installed"), .timeLimit(.minutes(2)))
struct TranslationEndsTests {
    private func router(_ generation: Int, _ change: (inout RouterSpec) -> Void) -> TopologyChange {
        var router = World.router
        router.generation = generation
        change(&router)
        return TopologyChange(put: [.router(router)])
    }

    private static let forwarding = ForwardingSpec(
        id: "pf", floatingID: "f30", address: .v4(203, 0, 113, 30), ipProtocol: "udp", externals: 53...53,
        fixedAddress: .v4(10, 0, 0, 11), internals: 53...53)

    /// The addresses that have ended, without the router's UUID.
    private func ends(_ client: OVSDBClient) async throws -> [String] {
        let found = try await client.transact([
            .select(
                table: "NB_Global", where: [OVSDBCondition("nb_cfg", .greaterOrEqual, 0)], columns: ["external_ids"])
        ])
        return (found.first?.rows.first?["external_ids"]?.pairs ?? [:]).keys.map {
            $0.split(separator: " ").dropFirst(2).joined(separator: " ")
        }.sorted()
    }

    @Test("An address ends when it leads elsewhere or nowhere, one of many blocks behind it or another name does not")
    func ended() async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            let client = databases.client("nb")
            try await client.ready()
            try await client.transact([.insert(table: "NB_Global", row: ["nb_cfg": 0], name: nil)])
            _ = try await backend.synchronize(World.topology)
            #expect(try await ends(client).isEmpty, "what comes ends nothing")
            try await backend.apply(router(3) { $0.name = "another" })
            #expect(try await ends(client).isEmpty)
            try await backend.apply(router(4) { $0.forwardings = [Self.forwarding] })
            #expect(try await ends(client).isEmpty)
            var moved = Self.forwarding
            moved.fixedAddress = .v4(10, 0, 0, 12)
            try await backend.apply(router(5) { $0.forwardings = [moved] })
            #expect(try await ends(client) == ["203.0.113.30 udp 53", "203.0.113.30 udp 53"], "router and switch")
            try await backend.apply(
                router(6) {
                    $0.forwardings = [moved]
                    $0.floatingIPs[0].fixedAddress = .v4(10, 0, 0, 12)
                })
            #expect(try await ends(client).contains("203.0.113.21"))
            // Another program comes up after the change was asked for, and finds it by comparing.
            var whole = World.topology
            var second = World.interface
            second.id = "second"
            second.mac = MACAddress("fa:16:3e:aa:00:09")!
            second.networkID = "more"
            second.addresses = [FixedAddress(subnetID: "more-4", address: .v4(10, 5, 0, 1))]
            let more = SubnetSpec(id: "more-4", cidr: CIDR(strict: "10.5.0.0/24")!, gateway: .v4(10, 5, 0, 1))
            let network = SwitchSpec(id: "more", subnets: [more])
            try await backend.apply(TopologyChange(put: [.network(network), .port(second)]))
            for (generation, interfaces) in [["interface", "second"], ["second"], ["interface", "second"]].enumerated()
            {
                try await backend.apply(
                    router(7 + generation) {
                        $0.forwardings = [moved]
                        $0.floatingIPs[0].fixedAddress = .v4(10, 0, 0, 12)
                        $0.interfaces = interfaces
                    })
            }
            #expect(try await !ends(client).contains("203.0.113.10"), "one of two blocks goes, the other is left")
            var silent = World.router
            silent.gateway = GatewaySpec(portID: "gateway", snat: false)
            silent.forwardings = [moved]
            silent.floatingIPs[0].fixedAddress = .v4(10, 0, 0, 12)
            whole.put(silent)
            _ = try await databases.backend().synchronize(whole)
            #expect(try await ends(client).contains("203.0.113.10"), "nobody hides behind it any more")
            let before = try await ends(client)
            try await backend.apply(TopologyChange(remove: [.router("r")]))
            #expect(try await ends(client) == before, "what goes with its router needs no word")
        }
    }
}
