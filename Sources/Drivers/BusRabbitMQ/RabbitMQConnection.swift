// SPDX-License-Identifier: Apache-2.0
internal import CRabbitMQ
internal import Kernel

/// One connection with one channel that confirms what it is given. Every call blocks, within its patience.
/// Used by one thread at a time: the bus holds its lock around every call.
final class RabbitMQConnection: @unchecked Sendable {
    private let handle: UnsafeMutablePointer<crabbitmq>
    private var declared: Set<[String]> = []

    init(
        _ place: TransportURL.Place, _ virtualHost: String, _ options: RabbitMQOptions, _ patience: Duration
    ) throws(Fault) {
        guard let memory = calloc(1, MemoryLayout<crabbitmq>.size) else { throw .internalError("no memory") }
        handle = memory.assumingMemoryBound(to: crabbitmq.self)
        let texts = [
            place.host, place.user, place.password, virtualHost, options.authorities, options.certificate, options.key,
        ].map { text in text.flatMap { strdup($0) } }
        defer { for text in texts { free(text) } }
        var wanted = crabbitmq_place()
        wanted.host = UnsafePointer(texts[0])
        wanted.port = Int32(place.port)
        wanted.user = UnsafePointer(texts[1])
        wanted.password = UnsafePointer(texts[2])
        wanted.vhost = UnsafePointer(texts[3])
        wanted.secure = options.isSecure
        wanted.checks_name = options.checksName
        wanted.authorities = UnsafePointer(texts[4])
        wanted.certificate = UnsafePointer(texts[5])
        wanted.key = UnsafePointer(texts[6])
        // The password must not stay in a reason; librabbitmq's hold none.
        try check(crabbitmq_open(handle, &wanted, Int(patience.milliseconds)), "connecting")
    }

    deinit { crabbitmq_close(handle) }

    /// Once for each connection: a broker that was started anew may have forgotten it.
    func declare(_ exchange: String, _ queue: String, _ options: RabbitMQOptions) throws(Fault) {
        guard !declared.contains([exchange, queue]) else { return }
        try check(
            crabbitmq_declare(
                handle, exchange, queue, options.isDurable, options.deletesQueues, options.isQuorum),
            "declaring the queue '\(queue)'")
        declared.insert([exchange, queue])
    }

    func publish(_ body: [UInt8], _ exchange: String, _ topic: String) throws(Fault) {
        try check(crabbitmq_publish(handle, exchange, topic, body, body.count), "publishing")
    }

    private func check(_ reason: UnsafePointer<CChar>?, _ deed: String) throws(Fault) {
        guard let reason else { return }
        throw .unavailable("\(deed): \(String(cString: reason))")
    }
}
