// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import Glibc
internal import Observability
internal import Synchronization

/// A listening socket and what its connections are told apart by. The descriptor goes with the last owner.
final class Listener: Sendable {
    let socket: Int32
    let tag: String
    let port: Int
    /// Which daemon of each loop serves it: 0 the plain one, then one per TLS identity.
    let daemon: Int

    init(socket: Int32, tag: String, daemon: Int) {
        self.socket = socket
        self.tag = tag
        self.daemon = daemon
        port = Listener.boundPort(socket)
    }

    deinit { close(socket) }

    private static func boundPort(_ socket: Int32) -> Int {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(socket, $0, &length) }
            // Both families keep the port in the same place.
            return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { ipv4 in
                [AF_INET, AF_INET6].contains(Int32(ipv4.pointee.sin_family))
                    ? Int(UInt16(bigEndian: ipv4.pointee.sin_port)) : 0
            }
        }
    }

    /// A socket that listens on the host's first address.
    static func open(host: String, port: Int) throws(Fault) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &found)
        defer { if let found { freeaddrinfo(found) } }
        guard status == 0, let address = found?.pointee else {
            throw .internalError("listen on \(host): \(String(cString: gai_strerror(status)))")
        }
        let kind = address.ai_socktype | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let socket = Glibc.socket(address.ai_family, kind, address.ai_protocol)
        var on: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, 4)
        guard socket >= 0, bind(socket, address.ai_addr, address.ai_addrlen) == 0, listen(socket, 4096) == 0 else {
            let reason = String(cString: strerror(errno))
            close(socket)
            throw .internalError("listen on \(host):\(port): \(reason)")
        }
        return socket
    }
}

/// One loop's ear on a listener. Whoever hears a connection gives it to the loop that has fewest.
/// Touched on its loop's thread alone.
final class Acceptor: EventSource, @unchecked Sendable {
    private let listener: Listener
    private let loop: EventLoop
    private let loops: [EventLoop]
    private let service: HTTPService
    private var token: UInt64 = 0
    /// For good: the order to close may overtake the one to open.
    private var isClosed = false

    init(_ listener: Listener, loop: EventLoop, loops: [EventLoop], service: HTTPService) {
        self.listener = listener
        self.loop = loop
        self.loops = loops
        self.service = service
    }

    /// On the loop's thread, as everything below.
    func open() {
        guard !isClosed, token == 0 else { return }
        token = loop.watch(
            listener.socket, Int32(bitPattern: EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue), self)
    }

    func close() {
        isClosed = true
        pause()
    }

    private func pause() {
        loop.forget(listener.socket, token)
        token = 0
    }

    func ready(_ events: UInt32) {
        for _ in 0..<16 {
            var address = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let socket = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    accept4(
                        listener.socket, $0, &length, Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue))
                }
            }
            guard socket >= 0 else { return failed(errno) }
            place(
                Arrival(
                    socket: socket, address: address, addressLength: length, tag: listener.tag, port: listener.port))
        }
    }

    private func place(_ arrival: Arrival) {
        var total = 0
        var idlest = loop
        var fewest = loop.load.load(ordering: .relaxed)
        for other in loops {
            let load = other.load.load(ordering: .relaxed)
            total += load
            if load < fewest { (idlest, fewest) = (other, load) }
        }
        guard total < service.limits.connections else {
            service.refusedConnections.add()
            Glibc.close(arrival.socket)
            return
        }
        idlest.load.wrappingAdd(1, ordering: .relaxed)
        let daemon = listener.daemon
        if idlest === loop {
            idlest.adopt(arrival, by: daemon, service)
        } else {
            idlest.post { [idlest, service] in idlest.adopt(arrival, by: daemon, service) }
        }
    }

    /// Out of descriptors or memory: the connection stays in the queue, so look away for a moment.
    private func failed(_ reason: Int32) {
        guard [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(reason), token != 0 else { return }
        pause()
        loop.after(.milliseconds(100)) { [self] in open() }
    }
}

extension EventLoop {
    /// On the loop's thread. A loop that was emptied has no daemons any more; another one may still hear somebody.
    fileprivate func adopt(_ arrival: Arrival, by daemon: Int, _ service: HTTPService) {
        guard daemons.indices.contains(daemon) else {
            Glibc.close(arrival.socket)
            service.refusedConnections.add()
            load.wrappingSubtract(1, ordering: .relaxed)
            return
        }
        daemons[daemon].adopt(arrival)
    }
}
