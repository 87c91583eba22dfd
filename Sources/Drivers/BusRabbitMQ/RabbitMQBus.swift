// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// RabbitMQ as oslo.messaging's `messagingv2` driver speaks to it: a topic exchange, a queue of the topic's name bound
/// to it, an envelope around the message. A message is sent once the broker has confirmed it.
package final class RabbitMQBus: MessageBus {
    private let options: RabbitMQOptions
    private let url: TransportURL
    private let ids: any Identifiers
    private let patience: Duration
    /// librabbitmq blocks; one connection means one thread.
    private let pool = BlockingPool(name: "rabbitmq", threads: 1, queue: 256)
    private let state = Mutex<(connection: RabbitMQConnection?, first: Int)>((nil, 0))

    /// Nil when no bus is configured.
    /// - Parameter patience: how long connecting, and the broker's word for one message, may take.
    package init?(_ options: RabbitMQOptions, ids: any Identifiers, patience: Duration = .seconds(10)) {
        guard let url = options.url else { return nil }
        self.options = options
        self.url = url
        self.ids = ids
        self.patience = patience
    }

    package func send(_ message: JSON, exchange: String, topic: String) async throws(Fault) {
        let body = Array(RabbitMQBus.envelope(message, id: ids.hex()).text().utf8)
        try await pool.run { [self] () throws(Fault) in
            try state.withLock { state throws(Fault) in
                // A connection that nothing was sent on for long may have ended unseen.
                if let kept = state.connection, (try? publish(body, exchange, topic, kept)) != nil { return }
                state.connection = nil
                let connection = try open(&state.first)
                try publish(body, exchange, topic, connection)
                state.connection = connection
            }
        }
    }

    /// What oslo.messaging's listeners unwrap: the message as a text in an object, its context in members of their own.
    static func envelope(_ message: JSON, id: String) -> JSON {
        var members = JSONObject()
        for (name, value) in message.object ?? JSONObject() where name != "context" { members[name] = value }
        for (name, value) in message["context"]?.object ?? JSONObject() { members["_context_" + name] = value }
        members["_unique_id"] = .string(id)
        return ["oslo.version": "2.0", "oslo.message": .string(JSON.object(members).text())]
    }

    private func publish(
        _ body: [UInt8], _ exchange: String, _ topic: String, _ connection: RabbitMQConnection
    ) throws(Fault) {
        try connection.declare(exchange, topic, options)
        try connection.publish(body, exchange, topic)
    }

    /// A connection to the first broker that takes one, beginning with the one that did last.
    private func open(_ first: inout Int) throws(Fault) -> RabbitMQConnection {
        var reasons: [String] = []
        for step in url.places.indices {
            let number = (first + step) % url.places.count
            let place = url.places[number]
            do throws(Fault) {
                let connection = try RabbitMQConnection(place, url.virtualHost, options, patience)
                first = number
                return connection
            } catch { reasons.append("\(place.host):\(place.port): \(error.message)") }
        }
        throw .unavailable("No message broker takes a connection: \(reasons.joined(separator: "; "))")
    }
}
