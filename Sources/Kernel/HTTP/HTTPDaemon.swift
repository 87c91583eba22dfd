// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import CMicrohttpd
internal import Glibc
internal import Observability
internal import Synchronization

/// One libmicrohttpd daemon without a listening socket, driven by one loop: one for plain connections, and one more
/// for each TLS identity. The loop accepts and hands the sockets over, so listeners come and go at run time.
/// Touched on its loop's thread alone, once attached.
final class HTTPDaemon: EventSource, @unchecked Sendable {
    let service: HTTPService
    unowned let loop: EventLoop
    let secure: Bool
    private var handle: OpaquePointer?
    private var token: UInt64 = 0
    /// Whether `run` has something to do without an event.
    var isDue = true
    /// The connection that is being handed over: its object is made inside `MHD_add_connection`.
    private var arriving: Arrival?

    init(service: HTTPService, loop: EventLoop, tls: TLSIdentity?) throws(Fault) {
        self.service = service
        self.loop = loop
        secure = tls != nil
        let limits = service.limits
        let quiet = max(limits.keepAlive, limits.bodyIdleTimeout, limits.headerTimeout)
        handle = tls.withPEM { key, certificate in
            cmhd_start(
                Unmanaged.passUnretained(self).toOpaque(), httpAccess, httpCompleted, httpConnection, httpLine,
                httpUnescape, limits.headerBytes + limits.answerBytes, UInt32(limits.connections),
                UInt32(quiet.components.seconds + 2), key, certificate)
        }
        guard handle != nil else {
            throw .internalError(
                secure ? "The TLS certificate and key are not usable." : "libmicrohttpd did not start.")
        }
    }

    /// On the loop's thread.
    func attach() {
        guard let handle else { return }
        token = loop.watch(cmhd_epoll(handle), Int32(bitPattern: EPOLLIN.rawValue), self)
        loop.daemons.append(self)
    }

    func ready(_ events: UInt32) { isDue = true }

    func run() {
        guard let handle else { return }
        isDue = false
        MHD_run(handle)
        var wait: UInt64 = 0
        if MHD_get_timeout(handle, &wait) == .YES && wait == 0 { isDue = true }
    }

    func adopt(_ arrival: Arrival) {
        guard let handle, !loop.draining else {
            close(arrival.socket)
            return dropped()
        }
        arriving = arrival
        isDue = true
        var address = arrival.address
        let taken = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                MHD_add_connection(handle, arrival.socket, $0, arrival.addressLength)
            }
        }
        // Refused (memory, limit): libmicrohttpd has closed the socket.
        if taken != .YES && arriving != nil { dropped() }
        arriving = nil
    }

    private func dropped() {
        service.refusedConnections.add()
        loop.load.wrappingSubtract(1, ordering: .relaxed)
    }

    /// Taken once, when the connection's object is made.
    fileprivate func takeArrival() -> Arrival? {
        defer { arriving = nil }
        return arriving
    }

    /// Only when none of its connections is suspended: libmicrohttpd would abort the process.
    func stop() {
        guard let handle else { return }
        loop.forget(cmhd_epoll(handle), token)
        self.handle = nil
        MHD_stop_daemon(handle)
    }

    fileprivate static func of(_ context: UnsafeMutableRawPointer?) -> HTTPDaemon {
        Unmanaged<HTTPDaemon>.fromOpaque(context!).takeUnretainedValue()
    }
}

/// A certificate chain and its key, as PEM text.
package struct TLSIdentity: Sendable {
    let certificate: String
    let key: String

    package init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }
}

extension TLSIdentity? {
    fileprivate func withPEM<T>(_ body: (UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> T) -> T {
        guard let identity = self else { return body(nil, nil) }
        return identity.key.withCString { key in
            identity.certificate.withCString { certificate in body(key, certificate) }
        }
    }
}

// MARK: - What libmicrohttpd calls, on the loop's thread

private func httpAccess(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ url: UnsafePointer<CChar>?,
    _ method: UnsafePointer<CChar>?, _ version: UnsafePointer<CChar>?, _ data: UnsafePointer<CChar>?,
    _ count: UnsafeMutablePointer<Int>?, _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let connection, let count, let wire = HTTPConnection.of(connection) else { return .NO }
    if count.pointee > 0 {
        let bytes = UnsafeRawBufferPointer(start: data, count: count.pointee)
        count.pointee = 0
        return wire.exchange?.receive(bytes) ?? .NO
    }
    if let exchange = wire.exchange { return exchange.proceed() }
    guard let url, let method, let version else { return .NO }
    return wire.begin(connection, method: method, url: url, version: version)
}

private func httpCompleted(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_RequestTerminationCode
) {
    guard let connection, let wire = HTTPConnection.of(connection) else { return }
    wire.completed(wasAnswered: code.rawValue == 0)
}

private func httpConnection(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_ConnectionNotificationCode
) {
    guard let slot else { return }
    if cmhd_started(code) != 0 {
        let daemon = HTTPDaemon.of(context)
        guard let arrival = daemon.takeArrival() else { return }
        let wire = HTTPConnection(arrival, daemon: daemon)
        slot.pointee = Unmanaged.passRetained(wire).toOpaque()
        daemon.loop.connections.add(wire)
    } else if let held = slot.pointee {
        slot.pointee = nil
        Unmanaged<HTTPConnection>.fromOpaque(held).takeRetainedValue().closed()
    }
}

/// The request line as it came, before libmicrohttpd cuts it into pieces.
private func httpLine(
    _ context: UnsafeMutableRawPointer?, _ uri: UnsafePointer<CChar>?, _ connection: OpaquePointer?
) -> UnsafeMutableRawPointer? {
    if let connection, let wire = HTTPConnection.of(connection) { wire.lineArrived(uri) }
    // We have the query now. libmicrohttpd would note each of its arguments in the connection's memory, and hang up
    // without a word when they are some hundreds; it is shown none.
    if let uri, let mark = strchr(uri, 63), mark[1] != 0 { mark[1] = 0 }
    return nil
}

/// Left as it came: `%2F` in a path is not a `/`.
private func httpUnescape(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ text: UnsafeMutablePointer<CChar>?
) -> Int {
    text.map { strlen($0) } ?? 0
}
