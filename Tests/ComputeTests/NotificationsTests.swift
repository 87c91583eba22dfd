// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

struct NotificationsTests {
    private func events(_ bus: FakeNotificationBus) async -> [String] {
        await bus.messages.compactMap { $0.notification["event_type"]?.string }
    }

    @Test("Others are told when an action begins and ends, once, with the server as it is")
    func told() async throws {
        let cloud = try await ComputeCloud()
        let bus = FakeNotificationBus()
        let relay = NotificationRelay(cloud.room, to: bus)
        try await relay.pass(upTo: cloud.room.clock.now())
        await cloud.flavor()
        let id = try await cloud.server()
        await cloud.act(id, ["os-stop": .null])
        try await cloud.work()
        try await relay.pass(upTo: cloud.room.clock.now())
        let told = await events(bus)
        #expect(
            told == [
                "instance.create.start", "instance.create.end", "instance.power_off.start", "instance.power_off.end",
            ])
        let last = await bus.messages.last
        #expect(last?.topic == "versioned_notifications")
        let payload = last?.notification["payload"]
        #expect(payload?["nova_object.name"]?.string == "InstanceActionPayload")
        let server = payload?["nova_object.data"]
        #expect(server?["uuid"]?.string == id && server?["state"]?.string == "stopped")
        #expect(server?["power_state"]?.string == "shutdown" && server?["host"]?.string == "host-1")
        #expect(server?["flavor"]?["nova_object.data"]?["flavorid"]?.string == "small")
        #expect(server?["ip_addresses"]?[0]?["nova_object.data"]?["label"]?.string == "private")
        try await relay.pass(upTo: cloud.room.clock.now())
        #expect(await events(bus).count == 4)
    }

    @Test("What a bus does not take is told later")
    func later() async throws {
        let cloud = try await ComputeCloud()
        let bus = FakeNotificationBus()
        let relay = NotificationRelay(cloud.room, to: bus)
        try await relay.pass(upTo: cloud.room.clock.now())
        await cloud.flavor()
        _ = try await cloud.server()
        await bus.fail(1)
        await #expect(throws: Fault.self) { try await relay.pass(upTo: cloud.room.clock.now()) }
        #expect(await events(bus).isEmpty)
        try await relay.pass(upTo: cloud.room.clock.now())
        #expect(await events(bus) == ["instance.create.start", "instance.create.end"])
    }
}
