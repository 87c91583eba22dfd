// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// A cloud whose notifications are heard.
struct ListeningCloud {
    let cloud: ComputeCloud
    let bus = FakeNotificationBus()
    let relay: NotificationRelay

    init(
        hosts: Int = 1, changes: NotificationOptions.StateChanges = .none, clock: any WallClock = MachineClock(),
        storage: FakeBlockStorage? = nil, _ adjust: (inout ComputeOptions) -> Void = { _ in }
    ) async throws {
        var options = ComputeOptions()
        options.notifications.isOn = true
        options.notifications.stateChanges = changes
        adjust(&options)
        cloud = try await ComputeCloud(hosts: hosts, options: options, clock: clock, storage: storage)
        relay = NotificationRelay(cloud.room, to: bus)
        await cloud.flavor()
    }

    /// What was told since the last time.
    func heard() async throws -> [JSON] {
        let before = await bus.messages.count
        try await relay.pass()
        return await bus.messages.dropFirst(before).map(\.notification)
    }

    func events() async throws -> [String] { try await heard().compactMap { $0["event_type"]?.string } }
}

struct NotificationsTests {
    static func data(_ message: JSON?) -> JSON? { message?["payload"]?["nova_object.data"] }

    @Test("Others are told when an action begins and ends, once, with the server as it was then")
    func told() async throws {
        let listening = try await ListeningCloud()
        let cloud = listening.cloud
        _ = try await listening.heard()
        let id = try await cloud.server()
        await cloud.act(id, ["os-stop": .null])
        try await cloud.work()
        let heard = try await listening.heard()
        let events = heard.compactMap { $0["event_type"]?.string }
        #expect(
            events == [
                "scheduler.select_destinations.start", "scheduler.select_destinations.end", "instance.create.start",
                "instance.create.end", "instance.power_off.start", "instance.power_off.end",
            ])
        // Nobody asked while it was going on, and yet each tells of its own moment.
        #expect(Self.data(heard[2])?["state"] == "building" && Self.data(heard[3])?["state"] == "active")
        #expect(Self.data(heard[4])?["task_state"] == "powering-off" && Self.data(heard[4])?["state"] == "active")
        let last = heard[5]
        #expect(await listening.bus.messages.last?.topic == "versioned_notifications")
        #expect(last["payload"]?["nova_object.name"] == "InstanceActionPayload")
        #expect(last["payload"]?["nova_object.version"] == "1.9" && last["publisher_id"] == "nova-compute:host-1")
        #expect(last["priority"] == "INFO")
        let server = Self.data(last)
        #expect(server?["uuid"]?.string == id && server?["state"] == "stopped")
        #expect(
            server?["power_state"] == "shutdown" && server?["host"] == "host-1" && server?["shares"]?.isNull == true)
        #expect(server?["flavor"]?["nova_object.data"]?["flavorid"] == "small")
        #expect(server?["ip_addresses"]?[0]?["nova_object.data"]?["label"] == "private")
        #expect(try await listening.events().isEmpty)
        #expect(try await cloud.room.database.rows("SELECT id FROM compute_notices").isEmpty)
    }

    @Test("What a bus does not take is told later, in its order")
    func later() async throws {
        let listening = try await ListeningCloud()
        _ = try await listening.heard()
        _ = try await listening.cloud.server()
        await listening.bus.fail(1)
        await #expect(throws: Fault.self) { try await listening.relay.pass() }
        #expect(
            try await listening.events().suffix(2) == ["instance.create.start", "instance.create.end"])
    }

    @Test("A bus that is away is asked again after a second, two, four, up to half a minute")
    func backoff() {
        var outage = Outage()
        var now = Timestamp(microseconds: 0)
        #expect(outage.isOver(now))
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            #expect(outage.goesOn(now) == (pause == 1))
            #expect(!outage.isOver(now + .seconds(pause) - .milliseconds(1)))
            now = now + .seconds(pause)
            #expect(outage.isOver(now))
        }
        #expect(outage.end() && !outage.end())
    }

    @Test("After as many tries as an operator allows a notification is given up, the others are not")
    func retries() async throws {
        let clock = AdvancedClock()
        let listening = try await ListeningCloud(clock: clock) { $0.notifications.drivers.retriesMax = 1 }
        _ = try await listening.heard()
        _ = try await listening.cloud.server()
        let before = await listening.bus.messages.count
        var outage = Outage()
        await listening.bus.fail(2)
        for _ in 0..<3 {
            await listening.relay.attempt(&outage)
            clock.advance(by: .seconds(60))
        }
        let events = await listening.bus.messages.dropFirst(before).map { $0.notification["event_type"]?.string }
        #expect(
            events == ["scheduler.select_destinations.end", "instance.create.start", "instance.create.end"])
    }

    @Test("Nothing is written for nobody")
    func off() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        _ = try await cloud.server()
        #expect(try await cloud.room.database.rows("SELECT id FROM compute_notices").isEmpty)
    }

    @Test("Changes of states are told when asked for; a new name and tags as well")
    func updates() async throws {
        let listening = try await ListeningCloud(changes: .stateAndTask)
        let cloud = listening.cloud
        let id = try await cloud.server()
        let made = try await listening.heard().filter { $0["event_type"] == "instance.update" }
        let states = made.compactMap { message -> String? in
            let state = Self.data(message)?["state_update"]?["nova_object.data"]
            return "\(state?["old_state"]?.string ?? "-") \(state?["old_task_state"]?.string ?? "-") > "
                + "\(state?["state"]?.string ?? "-") \(state?["new_task_state"]?.string ?? "-")"
        }
        #expect(states.first == "building scheduling > building scheduling")
        #expect(states.contains("building scheduling > building networking"))
        #expect(states.contains("building networking > building spawning"))
        #expect(states.last == "building spawning > active -")
        #expect(made.first?["payload"]?["nova_object.name"] == "InstanceUpdatePayload")
        #expect(Self.data(made.first)?["audit_period"]?["nova_object.data"]?["audit_period_ending"] != nil)
        _ = await cloud.call("PUT", "/servers/\(id)", ["server": ["name": "other"]])
        #expect(Self.data(try await listening.heard().first)?["old_display_name"] == "web")
        _ = await cloud.call("PUT", "/servers/\(id)/tags/blue", at: "2.26")
        let tagged = try await listening.heard()
        #expect(Self.data(tagged.first)?["tags"]?[0] == "blue" && tagged.first?["publisher_id"] == "nova-api:host-1")
    }

    @Test("Only changes of what a server is are told when only those are asked for")
    func vmStates() async throws {
        let listening = try await ListeningCloud(changes: .state)
        let cloud = listening.cloud
        let id = try await cloud.server()
        _ = try await listening.heard()
        await cloud.act(id, ["pause": nil])
        try await cloud.work()
        let updates = try await listening.heard().filter { $0["event_type"] == "instance.update" }
        let last = Self.data(updates.last)?["state_update"]?["nova_object.data"]
        #expect(last?["old_state"] == "active" && last?["state"] == "paused" && last?["old_task_state"] == "pausing")
        // A change of the task alone is an update without states that differ.
        let first = Self.data(updates.first)?["state_update"]?["nova_object.data"]
        #expect(first?["old_task_state"] == "pausing" && first?["new_task_state"] == "pausing")
    }

    @Test("A failed action tells why, as an error")
    func failures() async throws {
        let listening = try await ListeningCloud()
        let cloud = listening.cloud
        let id = try await cloud.server()
        _ = try await listening.heard()
        await cloud.hosts["host-1"]?.setTrouble(.init(failures: 1))
        await cloud.act(id, ["reboot": ["type": "HARD"]])
        try await cloud.work()
        let heard = try await listening.heard()
        #expect(
            heard.compactMap { $0["event_type"]?.string } == [
                "instance.reboot.start", "instance.reboot.error", "compute.exception",
            ])
        #expect(heard[1]["priority"] == "ERROR")
        let fault = Self.data(heard[1])?["fault"]?["nova_object.data"]
        #expect(fault?["function_name"] == "reboot" && fault?["exception_message"]?.string?.isEmpty == false)
        await cloud.flavor("huge", vcpus: 9999)
        _ = try await listening.heard()
        let lost = await cloud.call("POST", "/servers", ComputeCloud.draft(["flavorRef": "huge"]))
        #expect(lost.status == 403 || lost.status == 202)
    }

    @Test("A server that finds no host is told by the conductor, with what was asked of the scheduler")
    func nowhere() async throws {
        let listening = try await ListeningCloud()
        let cloud = listening.cloud
        await cloud.flavor("wide", vcpus: 1, ram: 4_000_000)
        var quota = JSONObject()
        quota["ram"] = -1
        _ = await cloud.call(
            "PUT", "/os-quota-sets/\(Caller.member().projectID ?? "")", ["quota_set": .object(quota)], as: .admin())
        _ = try await listening.heard()
        _ = try await cloud.server(["flavorRef": "wide"])
        let heard = try await listening.heard()
        let last = heard.last
        #expect(last?["event_type"] == "compute_task.build_instances.error")
        #expect(last?["publisher_id"] == "nova-conductor:host-1")
        let reason = Self.data(last)?["reason"]?["nova_object.data"]
        #expect(reason?["exception"] == "NoValidHost")
        let spec = Self.data(last)?["request_spec"]?["nova_object.data"]
        #expect(spec?["flavor"]?["nova_object.data"]?["flavorid"] == "wide" && spec?["num_instances"] == 1)
    }
}
