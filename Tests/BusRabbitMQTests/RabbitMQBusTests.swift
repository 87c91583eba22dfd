// SPDX-License-Identifier: Apache-2.0
import BusRabbitMQ
import Kernel
import Testing

/// The driver against a real RabbitMQ that the test starts.
@Suite(.enabled(if: PrivateRabbit.isPossible), .serialized)
struct RabbitMQBusTests {
    static let queue = "versioned_notifications.info"

    static func notice(_ number: Int) -> JSON {
        [
            "message_id": .string("m\(number)"), "event_type": "instance.create.end",
            "payload": ["n": .integer(Int64(number))],
            "context": ["request_id": "req-1"],
        ]
    }

    @Test("A message is in the queue when it is sent, in the envelope of oslo.messaging, and in its order")
    func envelope() async throws {
        try await PrivateRabbit.with { rabbit in
            let bus = try #require(RabbitMQBus(try rabbit.options(), ids: RandomIdentifiers()))
            for number in 1...50 { try await bus.send(Self.notice(number), exchange: "nova", topic: Self.queue) }
            let listener = try Listener(rabbit.port)
            let first = try #require(try listener.take(Self.queue))
            #expect(first.type == "application/json" && first.isPersistent)
            #expect(first.body["oslo.version"] == "2.0" && first.body.object?.count == 2)
            let message = try JSON.parse(Array((first.body["oslo.message"]?.string ?? "").utf8))
            #expect(message["message_id"] == "m1" && message["payload"]?["n"] == 1)
            #expect(message["_context_request_id"] == "req-1" && message["context"] == nil)
            #expect(message["_unique_id"]?.string?.count == 32)
            var others: [String] = []
            while let next = try listener.take(Self.queue) {
                let text = next.body["oslo.message"]?.string ?? ""
                others.append(try JSON.parse(Array(text.utf8))["message_id"]?.string ?? "")
            }
            #expect(others == (2...50).map { "m\($0)" })
        }
    }

    @Test("A broker that dies is told as such, one that is back is used again without anybody's help")
    func death() async throws {
        try await PrivateRabbit.with { rabbit in
            let bus = try #require(RabbitMQBus(try rabbit.options(), ids: RandomIdentifiers()))
            try await bus.send(Self.notice(1), exchange: "nova", topic: Self.queue)
            await rabbit.kill()
            await #expect(throws: Fault.self) {
                try await bus.send(Self.notice(2), exchange: "nova", topic: Self.queue)
            }
            try rabbit.start()
            try await bus.send(Self.notice(3), exchange: "nova", topic: Self.queue)
            #expect(try Listener(rabbit.port).take(Self.queue) != nil)
            // The kept connection is dead and nobody has noticed.
            await rabbit.kill()
            try rabbit.start()
            try await bus.send(Self.notice(4), exchange: "nova", topic: Self.queue)
            #expect(try Listener(rabbit.port).take(Self.queue) != nil)
        }
    }

    @Test("A wrong password is refused with a reason that does not hold it; the next place is tried")
    func places() async throws {
        try await PrivateRabbit.with { rabbit in
            var options = try rabbit.options()
            options.url = TransportURL("rabbit://guest:hush@127.0.0.1:\(rabbit.port)/")
            let wrong = try #require(RabbitMQBus(options, ids: RandomIdentifiers()))
            do throws(Fault) {
                try await wrong.send(Self.notice(1), exchange: "nova", topic: Self.queue)
                Issue.record("it was let in")
            } catch {
                #expect(error.message.contains("127.0.0.1:\(rabbit.port)") && !error.message.contains("hush"))
            }
            options.url = TransportURL("rabbit://guest:guest@127.0.0.1:1,guest:guest@127.0.0.1:\(rabbit.port)/")
            let second = try #require(RabbitMQBus(options, ids: RandomIdentifiers()))
            try await second.send(Self.notice(2), exchange: "nova", topic: Self.queue)
            #expect(try Listener(rabbit.port).take(Self.queue) != nil)
        }
    }

    @Test("Durable and quorum queues are declared as asked for")
    func durable() async throws {
        try await PrivateRabbit.with { rabbit in
            let options = try rabbit.options("[oslo_messaging_rabbit]\nrabbit_quorum_queue = true\n")
            #expect(options.isDurable)
            let bus = try #require(RabbitMQBus(options, ids: RandomIdentifiers()))
            try await bus.send(Self.notice(1), exchange: "nova", topic: Self.queue)
            // Declared otherwise it is another queue, which the broker says.
            let other = try #require(RabbitMQBus(try rabbit.options(), ids: RandomIdentifiers()))
            do throws(Fault) {
                try await other.send(Self.notice(2), exchange: "nova", topic: Self.queue)
                Issue.record("it was taken")
            } catch { #expect(error.message.contains("durable"), "\(error.message)") }
        }
    }
}

struct RabbitMQOptionsTests {
    static func options(_ text: String) throws -> RabbitMQOptions {
        try Configuration.load(
            sources: [ConfigurationSource(name: "apus.conf", text: text)], known: [RabbitMQOptions.self])[
                RabbitMQOptions.self]
    }

    @Test("A transport URL names places, who logs in there, and a virtual host")
    func urls() throws {
        let url = try #require(TransportURL("rabbit://ann:p%40ss@one:5673,bob:x@[::1]:5674,three/my%2Fhost?ssl=1"))
        #expect(url.virtualHost == "my/host")
        let texts = url.places.map { "\($0.user) \($0.password) \($0.host) \($0.port)" }
        #expect(texts == ["ann p@ss one 5673", "bob x ::1 5674", "guest guest three 5672"])
        #expect(TransportURL("rabbit://a:b@host")?.virtualHost == "/")
        for wrong in ["", "rabbit://", "kafka://a:b@host/", "host:5672", "rabbit://host:70000/", "rabbit://[::1/"] {
            #expect(TransportURL(wrong) == nil, "\(wrong)")
        }
    }

    @Test("The bus is used when the driver is, at the URL of its own or the general one")
    func choice() throws {
        let general = "[DEFAULT]\ntransport_url = rabbit://a:b@one/\n"
        #expect(try Self.options(general).url == nil)
        let driver = "[oslo_messaging_notifications]\ndriver = log,messagingv2\n"
        #expect(try Self.options(general + driver).url?.places.first?.host == "one")
        #expect(
            try Self.options(general + driver + "transport_url = rabbit://a:b@two/\n").url?.places.first?.host == "two")
        #expect(throws: ConfigurationErrors.self) { try Self.options(driver) }
        #expect(throws: ConfigurationErrors.self) {
            try Self.options("[oslo_messaging_notifications]\ndriver = bird\n")
        }
        #expect(throws: ConfigurationErrors.self) {
            try Self.options("[oslo_messaging_rabbit]\nssl_cert_file = /etc/ssl/cert.pem\n")
        }
    }
}
