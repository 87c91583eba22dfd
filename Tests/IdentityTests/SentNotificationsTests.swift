// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Testing

/// A bus that takes messages only while it is up.
actor SwitchedBus: MessageBus {
    var isUp = true
    private(set) var heard: [String] = []

    func turn(_ up: Bool) { isUp = up }

    func send(_ message: JSON, exchange: String, topic: String) throws(Fault) {
        guard isUp else { throw .unavailable("down") }
        heard.append("\(exchange) \(topic) \(message["n"]?.string ?? "")")
    }
}

struct SentNotificationsTests {
    @Test("Messages go to the bus in their order, and wait for one that is down")
    func order() async {
        let bus = SwitchedBus()
        let sent = SentNotifications(bus, topics: ["notifications"], log: .silent)
        await sent.send(["n": "1", "priority": "INFO"])
        await sent.pass()
        await bus.turn(false)
        await sent.send(["n": "2", "priority": "INFO"])
        await sent.send(["n": "3", "priority": "ERROR"])
        await sent.pass()
        await sent.pass()
        #expect(await bus.heard == ["keystone notifications.info 1"])
        await bus.turn(true)
        await sent.pass()
        #expect(
            await bus.heard == [
                "keystone notifications.info 1", "keystone notifications.info 2", "keystone notifications.error 3",
            ])
    }

    @Test("A long outage costs the messages that do not fit, and no more memory")
    func bound() async {
        let bus = SwitchedBus()
        let sent = SentNotifications(bus, topics: ["notifications"], log: .silent)
        await bus.turn(false)
        for number in 0..<10_050 { await sent.send(["n": .string("\(number)")]) }
        await bus.turn(true)
        await sent.pass()
        #expect(await bus.heard.count == 10_000)
        #expect(await bus.heard.first == "keystone notifications.info 0")
    }
}
