// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import NetworkOVN
import OVSDB
import Testing

@Suite(.enabled(if: TestDatabases.isInstalled, "OVN's databases are not installed"), .timeLimit(.minutes(2)))
struct OVNNetworkBackendTests {
    @Test("Changes applied one by one leave what a full recompute would make", arguments: 1...8)
    func incremental(seed: UInt64) async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            var world = RandomTopology(seed: seed)
            var topology = Topology()
            for step in 0..<60 {
                let change = world.change()
                topology.apply(change)
                try await backend.apply(change)
                let drift = try await backend.synchronize(topology)
                try #require(drift.isEmpty, "seed \(seed), step \(step): \(change) left \(drift)")
            }
        }
    }

    @Test("A back end that starts anew over what is there finds nothing to do, and goes on from it")
    func restart() async throws {
        try await TestDatabases.with { databases in
            var world = RandomTopology(seed: 99)
            var topology = Topology()
            let first = databases.backend()
            for _ in 0..<40 {
                let change = world.change()
                topology.apply(change)
                try await first.apply(change)
            }
            let second = databases.backend()
            #expect(try await second.synchronize(topology).isEmpty)
            let change = world.change()
            topology.apply(change)
            try await second.apply(change)
            #expect(try await second.synchronize(topology).isEmpty)
        }
    }

    @Test("Balancers that others link to our switches stay, whatever is compared")
    func strangers() async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            let client = databases.client("nb")
            try await client.ready()
            _ = try await backend.synchronize(World.topology)
            try await client.transact([
                .insert(table: "Load_Balancer", row: ["name": "theirs"], name: "lb"),
                .mutate(
                    table: "Logical_Switch", where: [], [OVSDBMutation("load_balancer", .insert, .named("lb"))]),
            ])
            try await client.transact([.insert(table: "Address_Set", row: ["name": "fence"], name: nil)])
            #expect(try await databases.backend().synchronize(World.topology).isEmpty)
            let switches = try await client.transact([
                .select(table: "Logical_Switch", where: [], columns: ["load_balancer"])
            ])
            #expect("\(switches)".contains("uuid"))
        }
    }

    @Test("Applying a change twice changes nothing the second time")
    func idempotent() async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            let client = databases.client("nb")
            try await client.ready()
            let change = TopologyChange(put: World.topology.objects)
            try await backend.apply(change)
            // The backend has a connection of its own: once this is answered, ours has heard of the first change, too.
            try await client.transact([.insert(table: "Address_Set", row: ["name": "fence"], name: nil)])
            var heard = client.changes().makeAsyncIterator()
            try await backend.apply(change)
            try await client.transact([.insert(table: "NB_Global", row: ["nb_cfg": 1], name: nil)])
            #expect(await heard.next()?.map(\.table) == ["NB_Global"])
        }
    }

    @Test("What one change costs does not grow with the cloud")
    func scale() async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            var whole = World.topology
            for n in 0..<400 {
                var port = World.guest(UInt8(n % 200))
                port.id = "many-\(n)"
                port.dnsName = "many-\(n)"
                port.mac = MACAddress(number: MACAddress.base.number + UInt64(1000 + n))!
                port.addresses = [
                    FixedAddress(subnetID: "inside-4", address: .v4(10, 0, UInt8(1 + n / 200), UInt8(n % 200)))
                ]
                whole.ports[port.id] = port
            }
            _ = try await backend.synchronize(whole)
            var next = whole
            next.ports["guest-1"] = World.guest(1, groups: [])
            next.ports["guest-1"]?.dnsName = "renamed"
            let graphs = (TopologyGraph(whole), TopologyGraph(next))
            let client = databases.client("nb")
            try await client.ready()
            let plan = Differ.plan(client.replica, whole: Translator(graphs.1).everything())
            var writer = JSONWriter()
            for operation in plan.operations { operation.write(to: &writer) }
            #expect(plan.operations.count <= 4)
            #expect(writer.finish().count < 2500)
            let change = TopologyChange(put: [.port(try #require(next.ports["guest-1"]))])
            try await backend.apply(change)
            #expect(try await backend.synchronize(next).isEmpty)
        }
    }

    @Test("Drift is mended: rows lost, altered, doubled or slipped in")
    func drift() async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            let whole = World.topology
            #expect(try await backend.synchronize(whole).inserted.count > 20)
            let client = databases.client("nb")
            try await client.ready()
            let web = [OVSDBCondition("name", .equal, "pg_web")]
            try await client.transact([
                .delete(table: "DHCP_Options", where: []),
                .update(
                    table: "Logical_Switch_Port", where: [OVSDBCondition("name", .equal, "guest-1")],
                    row: ["addresses": ["unknown"]]),
                .insert(
                    table: "ACL",
                    row: ["direction": "to-lport", "priority": 2000, "match": "1", "action": "allow"], name: "hole"),
                .mutate(table: "Port_Group", where: web, [OVSDBMutation("acls", .insert, .named("hole"))]),
                .insert(
                    table: "Logical_Switch", row: ["name": "left-over", "external_ids": ["apus:id": "left-over"]],
                    name: nil),
                .insert(table: "Logical_Switch", row: ["name": "somebody-elses"], name: nil),
            ])
            let drift = try await backend.synchronize(whole)
            #expect(drift.inserted == ["DHCP_Options inside-4"])
            #expect(drift.updated.contains("Logical_Switch_Port guest-1"))
            #expect(drift.updated.contains("Port_Group web acls"))
            #expect(drift.deleted == ["Logical_Switch left-over"])
            #expect(try await backend.synchronize(whole).isEmpty)
            #expect(client.replica.first("Logical_Switch", where: "name", is: "somebody-elses") != nil)
        }
    }

    @Test("Rows that Neutron made are taken over under their names")
    func adoption() async throws {
        try await TestDatabases.with { databases in
            let client = databases.client("nb")
            try await client.transact([
                .insert(table: "Logical_Switch_Port", row: ["name": "guest-1"], name: "port"),
                .insert(
                    table: "Logical_Switch", row: ["name": "neutron-inside", "ports": .named("port")], name: nil),
            ])
            let before = try #require(client.replica.first("Logical_Switch_Port", where: "name", is: "guest-1"))
            let backend = databases.backend()
            _ = try await backend.synchronize(World.topology)
            #expect(try await backend.synchronize(World.topology).isEmpty)
            #expect(client.replica.first("Logical_Switch_Port", where: "name", is: "guest-1")?.uuid == before.uuid)
        }
    }

    @Test("Ports come up with their host's name, and gateways move when hosts come and go")
    func events() async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            let south = databases.client("sb")
            let north = databases.client("nb")
            _ = try await backend.synchronize(World.topology)
            var events = await backend.events().makeAsyncIterator()
            let serving = Task { await backend.run() }
            defer { serving.cancel() }
            try await south.transact(World.host("c1") + World.binding("guest-1", of: "c1"))
            #expect(await events.next() == PortEvent(portID: "guest-1", isUp: true, host: "c1.example.org"))
            try await north.wait(within: .seconds(20), for: "the gateway") { replica in
                replica.rows("Gateway_Chassis").map { $0["chassis_name"].string } == ["c1"]
            }
            #expect(try await backend.chassis().first?.physicalNetworks == ["ext"])
            // Who comes later hears what he has missed.
            var late = await backend.events().makeAsyncIterator()
            #expect(await late.next() == PortEvent(portID: "guest-1", isUp: true, host: "c1.example.org"))
            // A second host is ready for a port that moves to it.
            try await south.transact(
                [
                    .insert(
                        table: "Encap", row: ["type": "geneve", "ip": "192.0.2.2", "chassis_name": "c2"],
                        name: "encap"),
                    .insert(
                        table: "Chassis",
                        row: ["name": "c2", "hostname": "c2.example.org", "encaps": .named("encap")], name: "host"),
                    .mutate(
                        table: "Port_Binding", where: [OVSDBCondition("logical_port", .equal, .string("guest-1"))],
                        [OVSDBMutation("additional_chassis", .insert, .named("host"))]),
                ])
            let arrival = PortEvent(portID: "guest-1", isUp: true, host: "c2.example.org", isArriving: true)
            #expect(await events.next() == arrival)
            try await south.transact([.delete(table: "Port_Binding", where: []), .delete(table: "Chassis", where: [])])
            #expect(await events.next() == PortEvent(portID: "guest-1", isUp: false))
            try await north.wait(within: .seconds(20), for: "no gateway") { $0.count("Gateway_Chassis") == 0 }
        }
    }
}
