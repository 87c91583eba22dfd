// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// Closing a socket with unread bytes resets it, and the reset overtakes the answer. So a second descriptor keeps the
/// socket alive and empties it for a moment after libmicrohttpd has closed its own.
final class Lingerer: EventSource {
    private static let patience: Duration = .seconds(2)
    private static let most = 1 << 20

    private let descriptor: Int32
    private let loop: EventLoop
    private var token: UInt64 = 0
    private var taken = 0

    private init(_ descriptor: Int32, _ loop: EventLoop) {
        self.descriptor = descriptor
        self.loop = loop
    }

    deinit { close(descriptor) }

    static func linger(_ socket: Int32, on loop: EventLoop) {
        let copy = fcntl(socket, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return }
        shutdown(copy, Int32(SHUT_WR))
        let lingerer = Lingerer(copy, loop)
        let token = loop.watch(copy, Int32(bitPattern: EPOLLIN.rawValue | EPOLLRDHUP.rawValue), lingerer)
        lingerer.token = token
        loop.after(patience) { loop.forget(copy, token) }
    }

    func ready(_ events: UInt32) {
        let count = withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) {
            recv(descriptor, $0.baseAddress!, $0.count, clinux_msg_dontwait)
        }
        taken += max(0, count)
        if count == 0 || (count < 0 && errno != EAGAIN) || taken > Lingerer.most { loop.forget(descriptor, token) }
    }
}

/// An answer while the body is still coming, where libmicrohttpd offers none: written to the socket directly. On a TLS
/// connection that is not possible, there the client sees the connection end.
enum EarlyAnswer {
    /// Only bytes can be sent so: nobody answers a long body with a stream.
    static func fitting(_ response: HTTPResponse) -> HTTPResponse {
        switch response.body {
        case .empty, .bytes: response
        case .file, .stream, .upgrade: HTTPResponse(status: 500, body: .empty)
        }
    }

    /// The status line and headers of an answer that ends its connection.
    static func head(_ response: HTTPResponse, length: Int) -> [UInt8] {
        var text = "HTTP/1.1 \(response.status) \(ResponseQueue.reason(response.status))\r\n"
        for (name, value) in response.headers where ResponseQueue.isSendable(name, value) {
            text += "\(name): \(value)\r\n"
        }
        text += "Content-Length: \(length)\r\nConnection: close\r\n\r\n"
        return Array(text.utf8)
    }

    static func send(_ response: HTTPResponse, on wire: HTTPConnection, isSecure: Bool) {
        wire.lingers = true
        guard !isSecure else { return }
        var body: [UInt8] = []
        if case .bytes(let bytes) = response.body { body = bytes }
        let bytes = head(response, length: body.count) + body
        // The send buffer is empty: nothing was answered yet. What does not fit is lost with the connection.
        _ = Glibc.send(
            wire.socket, bytes, bytes.count, clinux_msg_dontwait | clinux_msg_nosignal)
    }
}
