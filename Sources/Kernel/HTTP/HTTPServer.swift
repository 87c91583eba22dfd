// SPDX-License-Identifier: Apache-2.0
package import Base
internal import CLinux
internal import Glibc
package import Observability
internal import Synchronization

/// Names a listener of a server.
package struct ListenerID: Hashable, Sendable {
    let number: Int
}

/// An HTTP/1.1 server: one event loop per core, on which handlers start and go on, over libmicrohttpd.
package final class HTTPServer: Sendable {
    private struct State {
        var listeners: [ListenerID: (listener: Listener, acceptors: [Acceptor])] = [:]
        var lastID = 0
        /// Daemons of each loop; the first is the plain one.
        var daemons = 1
        var running = false
        var stopped = false
    }

    private let loops: [EventLoop]
    private let service: HTTPService
    private let state = Mutex(State())

    package static var cores: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    package init(
        loops count: Int = HTTPServer.cores, limits: HTTPLimits = HTTPLimits(), log: Log = .silent,
        metrics: Metrics = Metrics(), handler: @escaping HTTPHandler
    ) throws(Fault) {
        // Writing to a connection that is gone must be an error and not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        service = HTTPService(limits: limits, log: log, metrics: metrics, handler: handler)
        loops = (0..<max(1, count)).map { _ in EventLoop(limits: limits) }
        try addDaemon(nil)
        for (number, loop) in loops.enumerated() { loop.start(name: "http-\(number)") }
        metrics.gauge("http_connections", "Open client connections.") { [loops] in
            Double(loops.reduce(0) { $0 + $1.load.load(ordering: .relaxed) })
        }
    }

    deinit { for loop in loops { loop.stop() } }

    /// The loops, for tasks that belong to no request. They run as long as the server lives.
    package var executors: [any TaskExecutor] { loops }

    private func addDaemon(_ tls: TLSIdentity?) throws(Fault) {
        for loop in loops {
            let daemon = try HTTPDaemon(service: service, loop: loop, tls: tls)
            loop.post { daemon.attach() }
        }
    }

    // MARK: Listeners

    /// Port 0 takes a free one; the port that was taken is returned.
    @discardableResult
    package func listen(host: String, port: Int, tag: String, tls: TLSIdentity? = nil) throws(Fault) -> Int {
        let socket = try Listener.open(host: host, port: port)
        let id = try add(socket, tag: tag, tls: tls)
        return state.withLock { $0.listeners[id]?.listener.port } ?? 0
    }

    /// Takes over a socket that listens already, also one that was made in another network namespace.
    package func listen(socket descriptor: Int32, tag: String) throws(Fault) -> ListenerID {
        try listen(socket: descriptor, tag: tag, tls: nil)
    }

    package func listen(socket descriptor: Int32, tag: String, tls: TLSIdentity?) throws(Fault) -> ListenerID {
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) >= 0 else {
            throw .internalError("listen: \(String(cString: strerror(errno)))")
        }
        return try add(descriptor, tag: tag, tls: tls)
    }

    /// The listener on that port.
    package func listener(port: Int) -> ListenerID? {
        state.withLock { $0.listeners.first { $0.value.listener.port == port }?.key }
    }

    private func add(_ socket: Int32, tag: String, tls: TLSIdentity?) throws(Fault) -> ListenerID {
        var daemon = 0
        if let tls {
            try addDaemon(tls)
            daemon = state.withLock { state in
                defer { state.daemons += 1 }
                return state.daemons
            }
        }
        let listener = Listener(socket: socket, tag: tag, daemon: daemon)
        let acceptors = loops.map { Acceptor(listener, loop: $0, loops: loops, service: service) }
        let (id, running) = state.withLock { state in
            state.lastID += 1
            let id = ListenerID(number: state.lastID)
            state.listeners[id] = (listener, acceptors)
            return (id, state.running)
        }
        if running { open(acceptors) }
        return id
    }

    private func open(_ acceptors: [Acceptor]) {
        for (loop, acceptor) in zip(loops, acceptors) { loop.post { acceptor.open() } }
    }

    /// Accepts no more there; the connections it brought live on.
    package func close(listener id: ListenerID) {
        let closed = state.withLock { $0.listeners.removeValue(forKey: id) }
        for (loop, acceptor) in zip(loops, closed?.acceptors ?? []) { loop.post { acceptor.close() } }
    }

    // MARK: Life

    /// Serves until the task is cancelled; then answers what runs, within `limits.drain`, and returns.
    package func run() async {
        startAccepting()
        await untilCancelled()
        await stop()
    }

    /// Apart from `run`, which would keep closed listeners alive, and with them their sockets.
    private func startAccepting() {
        let acceptors = state.withLock { state in
            state.running = true
            return state.listeners.values.map(\.acceptors)
        }
        for acceptors in acceptors { open(acceptors) }
    }

    private func untilCancelled() async {
        let gate = CancellationGate()
        await withTaskCancellationHandler {
            await withCheckedContinuation { gate.wait($0) }
        } onCancel: {
            gate.open()
        }
    }

    private func stop() async {
        let listeners = state.withLock { state in
            state.running = false
            return Array(state.listeners.keys)
        }
        for listener in listeners { close(listener: listener) }
        let patience = service.limits.drain
        await withTaskGroup(of: Void.self) { group in
            for loop in loops {
                group.addTask {
                    await withCheckedContinuation { done in
                        loop.post { loop.drain(within: patience) { done.resume() } }
                    }
                }
            }
        }
    }

    /// Connections at this moment.
    package var connectionCount: Int { loops.reduce(0) { $0 + $1.load.load(ordering: .relaxed) } }
    /// Connections that were turned away because a limit was reached.
    package var refusedConnections: Int { Int(service.refusedConnections.value) }
}

/// A continuation and a cancellation, in whichever order they come.
private final class CancellationGate: Sendable {
    private let state = Mutex<(open: Bool, waiter: CheckedContinuation<Void, Never>?)>((false, nil))

    func wait(_ continuation: CheckedContinuation<Void, Never>) {
        let open = state.withLock { state in
            if !state.open { state.waiter = continuation }
            return state.open
        }
        if open { continuation.resume() }
    }

    func open() {
        let waiter = state.withLock { state in
            state.open = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}
