// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

@testable import Identity

/// A bus that takes messages only while it is up.
actor SwitchedBus: MessageBus {
    private var isUp = true
    private(set) var heard: [String] = []

    func turn(_ up: Bool) { isUp = up }

    func send(_ message: JSON, exchange: String, topic: String) throws(Fault) {
        guard isUp else { throw .unavailable("down") }
        heard.append("\(exchange) \(topic) \(message["event_type"]?.string ?? "")")
    }
}

/// What Identity tells a bus is written by the transactions that do it, and goes when it was told.
struct IdentityRelayTests {
    private static func cloud() async throws -> IdentityCloud {
        var options = IdentityOptions()
        options.notifications.drivers.isSent = true
        return try await IdentityCloud(options)
    }

    private static func events(_ cloud: IdentityCloud) async throws -> [String] {
        try await cloud.database.all(IdentityNotice.self, "1 = 1 ORDER BY number").map { notice in
            try JSON.parse(Array(notice.message.utf8))["event_type"]?.string ?? ""
        }
    }

    @Test("What changes is a row of the same transaction, what only happens a row of its own; once each")
    func rows() async throws {
        let cloud = try await Self.cloud()
        let admin = await cloud.token()
        let before = try await Self.events(cloud)
        let project = await cloud.call("POST", "/v3/projects", ["project": ["name": "ship"]], token: admin)
        #expect(project.status == 201)
        let id = project["project"]["id"]?.string ?? ""
        _ = await cloud.call("PATCH", "/v3/projects/\(id)", ["project": ["description": "d"]], token: admin)
        _ = await cloud.call("DELETE", "/v3/projects/\(id)", token: admin)
        #expect(
            try await Self.events(cloud).dropFirst(before.count) == [
                "identity.project.created", "identity.project.updated", "identity.project.deleted",
            ])
        let told = try await cloud.database.all(IdentityNotice.self, "1 = 1 ORDER BY number DESC").first
        let message = try JSON.parse(Array((told?.message ?? "").utf8))
        #expect(message["payload"]?["resource_info"]?.string == id)
        // The log has the same message.
        #expect(cloud.notifications.messages.last?["message_id"] == message["message_id"])
    }

    @Test("Without its notification a change is not made")
    func together() async throws {
        let cloud = try await Self.cloud()
        let admin = await cloud.token()
        _ = try await cloud.database.execute("ALTER TABLE identity_notices RENAME TO elsewhere")
        let made = await cloud.call("POST", "/v3/projects", ["project": ["name": "ship"]], token: admin)
        #expect(made.status == 500)
        _ = try await cloud.database.execute("ALTER TABLE elsewhere RENAME TO identity_notices")
        #expect(try await cloud.database.count(Project.self, "name = 'ship'") == 0)
    }

    @Test("Messages go to the bus in their order; they outlive an outage and the process")
    func order() async throws {
        let cloud = try await Self.cloud()
        let admin = await cloud.token()
        let bus = SwitchedBus()
        var outage = Outage()
        await IdentityRelay(cloud.service, to: bus).attempt(&outage)
        let before = await bus.heard.count
        await bus.turn(false)
        for name in ["a", "b", "c"] {
            _ = await cloud.call("POST", "/v3/projects", ["project": ["name": .string(name)]], token: admin)
        }
        await IdentityRelay(cloud.service, to: bus).attempt(&outage)
        #expect(outage.failures == 1)
        await bus.turn(true)
        // Another process has the rows alone.
        outage = Outage()
        await IdentityRelay(cloud.service, to: bus).attempt(&outage)
        #expect(outage.failures == 0)
        let heard = await bus.heard.dropFirst(before)
        #expect(heard.count == 3)
        #expect(heard.allSatisfy { $0 == "keystone notifications.info identity.project.created" })
        #expect(try await cloud.database.count(IdentityNotice.self) == 0)
    }
}
