// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Servers that wait until Network says that their ports carry traffic.
struct PlugTests {
    private static func cloud(
        hosts: Int = 1, _ change: (inout ComputeOptions) -> Void = { _ in }
    ) async throws -> ComputeCloud {
        var options = ComputeOptions()
        change(&options)
        let cloud = try await ComputeCloud(hosts: hosts, options: options)
        await cloud.flavor()
        for host in cloud.hosts.values { await host.setReporting(true) }
        cloud.network.state.withLock { $0.comesUp = false }
        return cloud
    }

    /// Begins a server and runs until it waits.
    private static func waiting(_ cloud: ComputeCloud, _ members: JSONObject = [:]) async throws -> String {
        let answer = await cloud.call("POST", "/servers", ComputeCloud.draft(members))
        #expect(answer.status == 202, "\(answer.json.text())")
        let id = answer["server"]["id"]?.string ?? ""
        try await untilWaiting(cloud, id)
        return id
    }

    private static func untilWaiting(_ cloud: ComputeCloud, _ id: String) async throws {
        let database = cloud.room.database
        try await cloud.work {
            let record = try await database.first(
                OperationRecord.self, "subject = \(id) AND state = 'parked' AND step_name = 'plugging'")
            return record != nil
        }
    }

    private static func comeUp(_ cloud: ComputeCloud, _ status: String = "ACTIVE") {
        cloud.network.state.withLock { state in
            for id in state.ports.keys { state.ports[id]?["status"] = .string(status) }
        }
    }

    private static func tell(_ cloud: ComputeCloud, _ id: String, _ status: String = "completed") async {
        for port in cloud.network.ports {
            let event: JSON = [
                "name": "network-vif-plugged", "server_uuid": .string(id), "tag": port["id"] ?? .null,
                "status": .string(status),
            ]
            let answer = await cloud.call(
                "POST", "/os-server-external-events", ["events": [event]], as: .service())
            #expect(answer.status == 200, "\(answer.json.text())")
        }
    }

    @Test("A server is ACTIVE when its ports carry traffic and not before, whether or not anybody says so")
    func boot() async throws {
        let cloud = try await Self.cloud()
        let id = try await Self.waiting(cloud)
        #expect(try await cloud.hosts["host-1"]?.state(of: id) == .running)
        let before = await cloud.show(id)
        #expect(before["status"] == "BUILD" && before["OS-EXT-STS:task_state"] == "spawning")
        // A word alone proves nothing: what it was about may have changed since.
        await Self.tell(cloud, id)
        try await Self.untilWaiting(cloud, id)
        #expect(await cloud.show(id)["status"] == "BUILD")
        // What happens while nobody listens is found.
        Self.comeUp(cloud)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
    }

    @Test("A word from Network ends the waiting")
    func word() async throws {
        let cloud = try await Self.cloud()
        let answer = await cloud.call("POST", "/servers", ComputeCloud.draft())
        let id = answer["server"]["id"]?.string ?? ""
        let database = cloud.room.database
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cloud.work() }
            try await cloud.until {
                try await database.first(OperationRecord.self, "subject = \(id) AND step_name = 'plugging'") != nil
            }
            Self.comeUp(cloud)
            await Self.tell(cloud, id)
            try await group.waitForAll()
        }
        #expect(await cloud.show(id)["status"] == "ACTIVE")
    }

    @Test("A server whose ports do not come up in time fails in upstream's words, and nothing of it is left")
    func inVain() async throws {
        let cloud = try await Self.cloud { $0.plugs.timeout = .milliseconds(120) }
        let id = try await cloud.server()
        let server = await cloud.show(id)
        #expect(server["status"] == "ERROR")
        #expect(server["fault"]?["code"]?.integer == 500)
        #expect(
            server["fault"]?["message"]?.string
                == "Build of instance \(id) aborted: Failed to allocate the network(s), not rescheduling.")
        #expect(server["OS-EXT-SRV-ATTR:host"]?.isNull == true)
        #expect(cloud.network.ports.isEmpty)
        #expect(try await cloud.hosts["host-1"]?.state(of: id) == nil)
        let held = await cloud.cloud.call("placement", "GET", "/allocations/\(id)", as: .service())
        #expect(held["allocations"].object?.isEmpty == true)
    }

    @Test("Where it is not fatal, or not waited for, the server is ACTIVE without its ports")
    func without() async throws {
        for timeout in [Duration.milliseconds(120), .zero] {
            let cloud = try await Self.cloud {
                $0.plugs.timeout = timeout
                $0.plugs.isFatal = timeout == .zero
            }
            let id = try await cloud.server()
            #expect(await cloud.show(id)["status"] == "ACTIVE")
        }
    }

    @Test("A port that cannot be plugged ends the waiting at once")
    func failure() async throws {
        let cloud = try await Self.cloud()
        let answer = await cloud.call("POST", "/servers", ComputeCloud.draft())
        let id = answer["server"]["id"]?.string ?? ""
        let database = cloud.room.database
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cloud.work() }
            try await cloud.until {
                try await database.first(OperationRecord.self, "subject = \(id) AND step_name = 'plugging'") != nil
            }
            // The step is written before it begins: the word is said until it was heard.
            try await cloud.until {
                if !cloud.network.ports.isEmpty { await Self.tell(cloud, id, "failed") }
                return try await cloud.room.queue.unfinished() == 0
            }
            try await group.waitForAll()
        }
        #expect(await cloud.show(id)["status"] == "ERROR")
    }

    @Test("Ports that are switched off, functions of cards, and hosts that nobody tells of are not waited for")
    func exempt() async throws {
        let cloud = try await Self.cloud(hosts: 1)
        let ports: [JSONObject] = [["admin_state_up": false], ["binding:vnic_type": "accelerator-direct"]]
        for (number, members) in ports.enumerated() {
            let port = RandomIdentifiers().uuid()
            cloud.network.state.withLock { state in
                var row = members
                row["id"] = .string(port)
                row["network_id"] = .string(FakeNetwork.network)
                row["project_id"] = "project-a"
                row["status"] = "DOWN"
                row["mac_address"] = .string("fa:16:3e:00:10:0\(number)")
                row["fixed_ips"] = [["subnet_id": "s1", "ip_address": .string("10.0.0.20\(number)")]]
                state.ports[port] = row
            }
            let id = try await cloud.server(["networks": [["port": .string(port)]]])
            #expect(await cloud.show(id)["status"] == "ACTIVE")
        }
        await cloud.hosts["host-1"]?.setReporting(false)
        #expect(await cloud.show(try await cloud.server())["status"] == "ACTIVE")
    }

    @Test("A server that waits can be deleted")
    func deleted() async throws {
        let cloud = try await Self.cloud()
        let id = try await Self.waiting(cloud)
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await cloud.call("GET", "/servers/\(id)").status == 404)
        #expect(cloud.network.ports.isEmpty)
    }

    @Test("Servers that come back wait as well; those that are resized, and by default those that reboot, do not")
    func later() async throws {
        let cloud = try await Self.cloud(hosts: 2) { $0.plugs.rebootKinds = ["direct"] }
        let id = try await Self.waiting(cloud)
        Self.comeUp(cloud)
        try await cloud.work()
        // Rebuilt: whatever became of its ports meanwhile.
        Self.comeUp(cloud, "DOWN")
        _ = await cloud.act(id, ["reboot": ["type": "HARD"]])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        _ = await cloud.act(id, ["rebuild": ["imageRef": .string(ComputeCloud.image)]])
        try await Self.untilWaiting(cloud, id)
        Self.comeUp(cloud)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        // Moved, and back: the port is DOWN whenever its host is another.
        _ = await cloud.act(id, ["migrate": .null], as: .admin())
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "VERIFY_RESIZE")
        _ = await cloud.act(id, ["revertResize": .null])
        try await Self.untilWaiting(cloud, id)
        Self.comeUp(cloud)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        _ = await cloud.act(id, ["shelve": .null])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHELVED_OFFLOADED")
        _ = await cloud.act(id, ["unshelve": .null])
        try await Self.untilWaiting(cloud, id)
        Self.comeUp(cloud)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
    }

    @Test("A hard reboot waits for the kinds of ports that the operator names")
    func reboot() async throws {
        let cloud = try await Self.cloud { $0.plugs.rebootKinds = ["normal"] }
        let id = try await Self.waiting(cloud)
        Self.comeUp(cloud)
        try await cloud.work()
        Self.comeUp(cloud, "DOWN")
        _ = await cloud.act(id, ["reboot": ["type": "HARD"]])
        try await Self.untilWaiting(cloud, id)
        #expect(await cloud.show(id)["status"] == "HARD_REBOOT")
        Self.comeUp(cloud)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
    }

    @Test("A live migration waits for its destination's ports; both hosts have them, and in the end only the new one")
    func live() async throws {
        let cloud = try await Self.cloud(hosts: 2)
        let id = try await Self.waiting(cloud)
        Self.comeUp(cloud)
        try await cloud.work()
        let source = await ServerMovesTests.host(cloud, id)
        _ = await cloud.act(
            id, ["os-migrateLive": ["host": nil, "block_migration": "auto"]], at: "2.34", as: .admin())
        let network = cloud.network
        try await cloud.work { network.state.withLock { !$0.bindings.values.allSatisfy(\.isEmpty) } }
        #expect(await ServerMovesTests.host(cloud, id) == source)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cloud.work() }
            // The port was ACTIVE before: only a word says that the other host has it.
            await Self.tell(cloud, id)
            try await group.waitForAll()
        }
        let dest = await ServerMovesTests.host(cloud, id)
        #expect(dest != source && !dest.isEmpty)
        #expect(cloud.network.ports.first?["binding:host_id"] == .string(dest))
        #expect(cloud.network.state.withLock { $0.bindings.values.allSatisfy(\.isEmpty) })
    }

    @Test("A live migration whose ports are never told of is given up, and the server runs on where it was")
    func liveInVain() async throws {
        let cloud = try await Self.cloud(hosts: 2) { $0.plugs.timeout = .milliseconds(150) }
        cloud.network.state.withLock { $0.comesUp = true }
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        // What was told of the boot does not count.
        await Self.tell(cloud, id)
        _ = await cloud.act(
            id, ["os-migrateLive": ["host": nil, "block_migration": "auto"]], at: "2.34", as: .admin())
        try await cloud.work()
        let server = await cloud.show(id)
        #expect(server["status"] == "ACTIVE")
        #expect(await ServerMovesTests.host(cloud, id) == source)
        #expect(server["fault"]?["message"] == nil)
        #expect(await ServerMovesTests.migrations(cloud, of: id).first?["status"] == "failed")
        #expect(cloud.network.state.withLock { $0.bindings.values.allSatisfy(\.isEmpty) })
        #expect(cloud.network.ports.first?["binding:host_id"] == .string(source))
    }

    @Test("A server that is evacuated waits on its new host, and fails there in upstream's words")
    func evacuated() async throws {
        let cloud = try await Self.cloud(hosts: 2) { $0.plugs.timeout = .milliseconds(250) }
        Self.comeUp(cloud)
        cloud.network.state.withLock { $0.comesUp = true }
        let id = try await cloud.server()
        cloud.network.state.withLock { $0.comesUp = false }
        let host = await ServerMovesTests.host(cloud, id)
        let down: JSON = ["host": .string(host), "binary": "nova-compute", "forced_down": true]
        _ = await cloud.call("PUT", "/os-services/force-down", down, at: "2.11", as: .admin())
        await cloud.hosts[host]?.setUnreachable(true)
        #expect(await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin()).status == 200)
        try await cloud.work()
        let server = await cloud.show(id)
        #expect(server["status"] == "ERROR")
        #expect(server["fault"]?["message"]?.string == "Virtual Interface creation failed", "\(server.text())")
    }
}
