// SPDX-License-Identifier: Apache-2.0
import Base
import OVSDB
import Testing

@Suite(.enabled(if: TestServer.isInstalled, "ovsdb-server or OVN's schema is not installed"), .timeLimit(.minutes(10)))
struct ClientTests {
    static let monitors = [
        OVSDBMonitor("Logical_Switch"), OVSDBMonitor("Logical_Switch_Port"), OVSDBMonitor("NB_Global"),
    ]

    private func with(_ body: (TestServer, OVSDBClient) async throws -> Void) async throws {
        let server = try TestServer()
        let client = OVSDBClient([server.endpoint], database: "OVN_Northbound", monitors: Self.monitors)
        client.start()
        do {
            try await client.ready()
            try await body(server, client)
        } catch {
            await server.remove()
            throw error
        }
        client.stop()
        await server.remove()
    }

    static let insertion: [OVSDBOperation] = [
        .insert(
            table: "Logical_Switch_Port",
            row: ["name": "p1", "addresses": ["a", "b"], "options": ["k": "v"], "tag": 7], name: "port"),
        .insert(table: "Logical_Switch", row: ["name": "s1", "ports": .named("port")], name: "switch"),
        .comment("test"),
    ]

    @Test("A transaction's effect is in the replica when it is answered, and rows under a name refer to each other")
    func transact() async throws {
        try await with { _, client in
            let results = try await client.transact(Self.insertion)
            let port = try #require(client.replica.first("Logical_Switch_Port", where: "name", is: "p1"))
            #expect(port.uuid == results[0].uuid)
            #expect(port["addresses"].strings == ["a", "b"])
            #expect(port["options"]["k"] == "v")
            #expect(port["tag"].integer == 7)
            #expect(port["parent_name"].isEmpty)
            #expect(port["type"].string == "")
            #expect(client.replica.first("Logical_Switch", where: "name", is: "s1")?["ports"].uuids == [port.uuid])
        }
    }

    @Test("Sets and maps follow the differences that the server sends")
    func differences() async throws {
        try await with { _, client in
            try await client.transact(Self.insertion)
            let here = [OVSDBCondition("name", .equal, "p1")]
            try await client.transact([
                .mutate(
                    table: "Logical_Switch_Port", where: here,
                    [
                        OVSDBMutation("addresses", .delete, ["a"]), OVSDBMutation("addresses", .insert, ["c", "d"]),
                        OVSDBMutation("options", .insert, ["n": "m"]), OVSDBMutation("options", .delete, ["k"]),
                    ])
            ])
            var port = try #require(client.replica.first("Logical_Switch_Port", where: "name", is: "p1"))
            #expect(port["addresses"] == ["b", "c", "d"])
            #expect(port["options"] == ["n": "m"])
            let row: [String: OVSDBValue] = ["options": ["n": "x"], "tag": .empty, "type": "router"]
            let counted = try await client.transact([.update(table: "Logical_Switch_Port", where: here, row: row)])
            #expect(counted.first?.count == 1)
            port = try #require(client.replica.first("Logical_Switch_Port", where: "name", is: "p1"))
            #expect(port["options"] == ["n": "x"])
            #expect(port["tag"].isEmpty)
            #expect(port["type"] == "router")
            let read = try await client.transact([
                .select(table: "Logical_Switch_Port", where: here, columns: ["name", "type"])
            ])
            #expect(read.first?.rows == [["name": "p1", "type": "router"]])
        }
    }

    @Test("A failing operation undoes the whole transaction and says why; a failed comparison is a conflict")
    func failures() async throws {
        try await with { _, client in
            try await client.transact(Self.insertion)
            let again = await #expect(throws: Fault.self) { try await client.transact(Self.insertion) }
            #expect(again?.status == 409)
            #expect(client.replica.count("Logical_Switch") == 1)
            let compared = await #expect(throws: Fault.self) {
                try await client.transact([
                    .wait(
                        table: "Logical_Switch", where: [OVSDBCondition("name", .equal, "s1")],
                        rows: [["name": "other"]], columns: ["name"]),
                    .delete(table: "Logical_Switch", where: []),
                ])
            }
            #expect(compared?.code == "ovsdb.timed out")
            #expect(client.replica.count("Logical_Switch") == 1)
            let unknown = await #expect(throws: Fault.self) {
                try await client.transact([.delete(table: "Nonsense", where: [])])
            }
            #expect(unknown?.status == 500)
        }
    }

    @Test("Listeners hear of rows that come, change and go")
    func changes() async throws {
        try await with { _, client in
            var heard = client.changes().makeAsyncIterator()
            try await client.transact(Self.insertion)
            let first = try #require(await heard.next())
            #expect(Set(first.map(\.table)) == ["Logical_Switch", "Logical_Switch_Port"])
            #expect(first.allSatisfy { $0.old == nil && $0.new != nil })
            try await client.transact([.delete(table: "Logical_Switch", where: [])])
            let last = try #require(await heard.next())
            #expect(last.count == 2)
            #expect(last.allSatisfy { $0.new == nil })
        }
    }

    @Test("Waiting ends when the replica satisfies, or at the deadline")
    func waiting() async throws {
        try await with { _, client in
            async let seen = client.wait(within: .seconds(20), for: "the counter") { replica in
                replica.rows("NB_Global").contains { ($0["hv_cfg"].integer ?? 0) >= 2 }
            }
            try await client.transact([.insert(table: "NB_Global", row: ["hv_cfg": 1], name: nil)])
            try await client.transact([
                .mutate(table: "NB_Global", where: [], [OVSDBMutation("hv_cfg", .add, 1)])
            ])
            #expect(try await seen.count("NB_Global") == 1)
            let late = await #expect(throws: Fault.self) {
                try await client.wait(within: .milliseconds(1), for: "what never comes") { _ in false }
            }
            #expect(late?.status == 504)
        }
    }

    @Test("After the server's restart the client is there again and has what changed meanwhile")
    func reconnection() async throws {
        let server = try TestServer()
        let client = OVSDBClient([server.endpoint], database: "OVN_Northbound", monitors: Self.monitors)
        client.start()
        try await client.ready()
        try await client.transact(Self.insertion)
        var heard = client.changes().makeAsyncIterator()
        await server.end()
        let second = try TestServer(directory: server.directory)
        // Asked while there is no connection: kept until there is one.
        try await client.transact([
            .update(table: "Logical_Switch", where: [], row: ["external_ids": ["seen": "yes"]])
        ])
        #expect(client.replica.first("Logical_Switch", where: "name", is: "s1")?["external_ids"]["seen"] == "yes")
        #expect(await heard.next()?.first?.new?["external_ids"]["seen"] == "yes")
        client.stop()
        let stopped = await #expect(throws: Fault.self) { try await client.transact([.comment("late")]) }
        #expect(stopped?.status == 503)
        await second.remove()
    }

    @Test("A server that is not there is a 503 fault at the deadline")
    func absent() async throws {
        let client = OVSDBClient([.unix(path: "/nonexistent/x.sock")], database: "OVN_Northbound")
        client.start()
        let fault = await #expect(throws: Fault.self) {
            try await client.transact([.comment("x")], within: .milliseconds(20))
        }
        #expect(fault?.status == 503)
    }
}
