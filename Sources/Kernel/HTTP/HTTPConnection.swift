// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import CMicrohttpd
internal import Glibc
internal import Observability
internal import Synchronization

/// One client connection: where it came from, how long it may take, and the request it is at.
final class HTTPConnection {
    enum Phase {
        /// Headers are awaited, or nothing yet of a new connection.
        case opening
        /// Between two requests.
        case idle
        case handling
    }

    unowned let daemon: HTTPDaemon
    let tag: String
    let peer: String
    let peerPort: Int
    let port: Int
    let socket: Int32
    /// Its place in the loop's table.
    var index = 0
    private(set) var exchange: Exchange?
    private(set) var phase = Phase.opening
    private var deadline: UInt64
    /// The raw request target and its length as C sees it, kept from `lineArrived` to `begin`.
    private var target = ""
    private var targetLength = 0
    private var isPeeked = false
    /// Close with unread bytes on the wire: keep reading for a moment, else the reset eats the answer.
    var lingers = false

    init(_ arrival: Arrival, daemon: HTTPDaemon) {
        self.daemon = daemon
        (peer, peerPort) = arrival.peer
        tag = arrival.tag
        port = arrival.port
        socket = arrival.socket
        deadline = daemon.loop.now + daemon.service.limits.headerTimeout.nanoseconds
    }

    static func of(_ connection: OpaquePointer) -> HTTPConnection? {
        guard let held = cmhd_context(connection) else { return nil }
        return Unmanaged<HTTPConnection>.fromOpaque(held).takeUnretainedValue()
    }

    func lineArrived(_ uri: UnsafePointer<CChar>?) {
        targetLength = uri.map { strlen($0) } ?? 0
        target = uri.map { String(cString: $0) } ?? ""
        phase = .opening
        deadline = daemon.loop.now + daemon.service.limits.headerTimeout.nanoseconds
    }

    func begin(
        _ connection: OpaquePointer, method: UnsafePointer<CChar>, url: UnsafePointer<CChar>,
        version: UnsafePointer<CChar>
    ) -> MHD_Result {
        phase = .handling
        daemon.service.requests.add()
        let exchange = Exchange(self, connection)
        self.exchange = exchange
        do throws(Fault) {
            try RequestGuard.check(url, length: targetLength, version: version)
            let head = try RequestHead(
                connection, method: method, target: target, version: version,
                limit: daemon.service.limits.headerBytes)
            return exchange.begin(head)
        } catch {
            lingers = true
            // Such headers may have left libmicrohttpd no room for an answer.
            if error.status == 431, sendDirectly(error) { return .NO }
            return exchange.refuse(error)
        }
    }

    /// Writes a refusal past libmicrohttpd, which is to close the connection then; false where it cannot (TLS, a socket
    /// that takes nothing more).
    private func sendDirectly(_ fault: Fault) -> Bool {
        guard !daemon.secure else { return false }
        let text = fault.message + "\n"
        let answer = """
            HTTP/1.1 \(fault.status) Request Header Fields Too Large\r\nConnection: close\r\n\
            Content-Type: text/plain\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)
            """
        return answer.utf8.withContiguousStorageIfAvailable {
            send(socket, $0.baseAddress, $0.count, clinux_msg_dontwait | Int32(MSG_NOSIGNAL)) == $0.count
        } ?? false
    }

    /// libmicrohttpd is done with the request, answered or not.
    func completed(wasAnswered: Bool) {
        exchange?.finish(wasAnswered: wasAnswered)
        exchange = nil
        phase = .idle
        isPeeked = false
        deadline = daemon.loop.now + daemon.service.limits.keepAlive.nanoseconds
    }

    func closed() {
        exchange?.finish(wasAnswered: false)
        exchange = nil
        daemon.loop.connections.remove(self)
        if lingers { Lingerer.linger(socket, on: daemon.loop) }
    }

    // MARK: Time

    /// Cuts the connection when it has used up its time; libmicrohttpd notices by itself.
    func check(_ now: UInt64) {
        switch phase {
        case .opening, .idle:
            if now > deadline && phase == .opening { daemon.service.cutConnections.add() }
            if now > deadline || (!isPeeked && hasEnded) { cut() }
            isPeeked = true
        case .handling: exchange?.checkBody(now)
        }
    }

    /// Whether the client has closed its side. libmicrohttpd 0.9.75 misses that when the end arrives together with the
    /// last bytes: after a read that was not full it waits for an edge that never comes.
    var hasEnded: Bool {
        var byte: UInt8 = 0
        return recv(socket, &byte, 1, clinux_msg_peek | clinux_msg_dontwait) == 0
    }

    func cut() { shutdown(socket, Int32(SHUT_RDWR)) }

    /// The server stops: nothing more is read unless a request is on its way already.
    func drain() {
        exchange?.drain()
        guard phase != .handling else { return }
        var byte: UInt8 = 0
        if recv(socket, &byte, 1, clinux_msg_peek | clinux_msg_dontwait) <= 0 { cut() }
    }

    /// The time for draining is over.
    func abandon() {
        exchange?.abandon()
        if exchange == nil { cut() }
    }
}

/// The connections of one loop, looked over for overdue ones a few times per shortest limit.
final class ConnectionTable {
    private var all: [HTTPConnection] = []
    private let interval: UInt64
    private(set) var nextSweep = UInt64.max

    init(_ limits: HTTPLimits) {
        let shortest = min(
            limits.headerTimeout, limits.bodyIdleTimeout, limits.keepAlive, limits.bodyRateWindow, .seconds(4))
        interval = max(10_000_000, shortest.nanoseconds / 4)
    }

    var isEmpty: Bool { all.isEmpty }
    var count: Int { all.count }

    func add(_ connection: HTTPConnection) {
        connection.index = all.count
        all.append(connection)
        if nextSweep == .max { nextSweep = connection.daemon.loop.now + interval }
    }

    func remove(_ connection: HTTPConnection) {
        let last = all.removeLast()
        if last !== connection {
            all[connection.index] = last
            last.index = connection.index
        }
        connection.daemon.loop.load.wrappingSubtract(1, ordering: .relaxed)
    }

    /// Whether it was time to look.
    func sweep(_ now: UInt64) -> Bool {
        guard now >= nextSweep else { return false }
        nextSweep = all.isEmpty ? .max : now + interval
        for connection in all { connection.check(now) }
        return true
    }

    func forEach(_ body: (HTTPConnection) -> Void) { all.forEach(body) }
}

extension Duration {
    var nanoseconds: UInt64 { UInt64(max(0, microseconds)) * 1000 }
}
