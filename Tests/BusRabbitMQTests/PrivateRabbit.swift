// SPDX-License-Identifier: Apache-2.0
import BusRabbitMQ
import CRabbitMQ
import Glibc
import Kernel
import Synchronization

/// A RabbitMQ of the test's own on loopback ports, everything of it in a folder that goes with the test.
final class PrivateRabbit: Sendable {
    private static let program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    static var isPossible: Bool { FileSystem.isExecutable(program) && Subprocess.locate("epmd") != nil }

    let directory: String
    let port = PrivateRabbit.freePort()
    private let distributionPort = PrivateRabbit.freePort()
    private let mapperPort = PrivateRabbit.freePort()
    private let mapper = Mutex<ChildProcess?>(nil)
    private let server = Mutex<ChildProcess?>(nil)

    var url: String { "rabbit://guest:guest@127.0.0.1:\(port)/" }

    /// Runs a test beside a broker and clears everything away afterwards.
    static func with(_ body: (PrivateRabbit) async throws -> Void) async throws {
        let rabbit = try PrivateRabbit()
        do {
            try rabbit.start()
            try await body(rabbit)
        } catch {
            await rabbit.clear()
            throw error
        }
        await rabbit.clear()
    }

    private init() throws {
        directory = try FileSystem.makeTemporaryDirectory("apus-rabbit")
        for name in ["mnesia", "log"] { try FileSystem.makeDirectory("\(directory)/\(name)") }
        // A broker that finds no port mapper starts one that outlives it.
        let child = try Subprocess.spawn(
            ["epmd", "-address", "127.0.0.1", "-port", "\(mapperPort)"], log: directory + "/epmd.log")
        mapper.withLock { $0 = child }
        let watch = Stopwatch()
        let ask = ["epmd", "-address", "127.0.0.1", "-port", "\(mapperPort)", "-names"]
        while try Subprocess.runBlocking(ask, timeout: .seconds(10)).status != 0 {
            guard child.isRunning, watch.elapsed < .seconds(30) else {
                throw Fault.unavailable("epmd did not start: \(FileSystem.text(directory + "/epmd.log") ?? "")")
            }
            usleep(20_000)
        }
    }

    private var environment: [String: String] {
        [
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": directory, "LANG": "C.UTF-8",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_CONFIG_FILE": directory + "/none",
            "RABBITMQ_MNESIA_BASE": directory + "/mnesia", "RABBITMQ_LOG_BASE": directory + "/log",
            "RABBITMQ_NODENAME": "apus\(port)@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": "\(port)", "RABBITMQ_DIST_PORT": "\(distributionPort)",
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": "\(mapperPort)",
            "RABBITMQ_PID_FILE": directory + "/pid", "RABBITMQ_ENABLED_PLUGINS_FILE": directory + "/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +S 1",
        ]
    }

    /// Starts the broker and waits until it lets somebody in.
    func start() throws {
        let child = try Subprocess.spawn(
            [Self.program], log: directory + "/rabbit.log", environment: environment)
        server.withLock { $0 = child }
        let watch = Stopwatch()
        while (try? Listener(port)) == nil {
            guard child.isRunning, watch.elapsed < .seconds(90) else {
                throw Fault.unavailable("RabbitMQ did not start: \(FileSystem.text(directory + "/rabbit.log") ?? "")")
            }
            usleep(50_000)
        }
    }

    /// Ends it as a power cut would.
    func kill() async {
        let child = server.withLock { $0 }
        child?.signal(SIGKILL)
        await child?.wait()
    }

    private func clear() async {
        await kill()
        await mapper.withLock { $0 }?.terminate(grace: .seconds(5))
        FileSystem.remove(directory)
    }

    func options(_ more: String = "") throws -> RabbitMQOptions {
        let text = "[oslo_messaging_notifications]\ndriver = messagingv2\ntransport_url = \(url)\n" + more
        return try Configuration.load(
            sources: [ConfigurationSource(name: "apus.conf", text: text)], known: [RabbitMQOptions.self])[
                RabbitMQOptions.self]
    }

    private static func freePort() -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length)
                getsockname(descriptor, raw, &length)
            }
            return Int(UInt16(bigEndian: pointer.pointee.sin_port))
        }
    }
}

/// Somebody who takes messages out of a queue, with librabbitmq alone.
final class Listener {
    private let own: amqp_connection_state_t

    init(_ port: Int) throws {
        var place = crabbitmq_place()
        let texts: [UnsafeMutablePointer<CChar>?] = ["127.0.0.1", "guest", "/"].map { (text: String) in strdup(text) }
        defer { for text in texts { free(text) } }
        place.host = UnsafePointer(texts[0])
        place.port = Int32(port)
        place.user = UnsafePointer(texts[1])
        place.password = UnsafePointer(texts[1])
        place.vhost = UnsafePointer(texts[2])
        var connection = crabbitmq()
        let isOpen = crabbitmq_open(&connection, &place, 5000) == nil
        guard let state = connection.state else { throw Fault.internalError("no memory") }
        guard isOpen else {
            amqp_destroy_connection(state)
            throw Fault.unavailable("The broker lets nobody in.")
        }
        own = state
    }

    deinit { amqp_destroy_connection(own) }

    /// The oldest message of a queue, and the properties it came with.
    func take(_ queue: String) throws -> (body: JSON, type: String, isPersistent: Bool)? {
        let name = strdup(queue)
        defer { free(name) }
        let reply = amqp_basic_get(own, 1, amqp_cstring_bytes(name), 1)
        guard reply.reply_type == AMQP_RESPONSE_NORMAL, reply.reply.id == AMQP_BASIC_GET_OK_METHOD else { return nil }
        var message = amqp_message_t()
        guard amqp_read_message(own, 1, &message, 0).reply_type == AMQP_RESPONSE_NORMAL else { return nil }
        defer { amqp_destroy_message(&message) }
        let bytes = UnsafeRawBufferPointer(start: message.body.bytes, count: message.body.len)
        let type = UnsafeRawBufferPointer(
            start: message.properties.content_type.bytes, count: message.properties.content_type.len)
        return (
            try JSON.parse(Array(bytes)), String(decoding: type, as: UTF8.self), message.properties.delivery_mode == 2
        )
    }

    /// Has the broker forget a queue.
    func remove(_ queue: String) {
        let name = strdup(queue)
        defer { free(name) }
        amqp_queue_delete(own, 1, amqp_cstring_bytes(name), 0, 0)
    }
}
