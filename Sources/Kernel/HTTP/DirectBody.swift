// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import Glibc

/// A long body that is taken from its socket past libmicrohttpd, which reads no more at once than it has memory for a
/// connection's headers: here it is a quarter of a megabyte, straight into the piece that the handler gets. Only for
/// plain connections and bodies of known length. libmicrohttpd, suspended meanwhile, never learns that the body has
/// come, so the answer is written past it too, and ends the connection.
final class DirectBody: EventSource {
    /// Shorter bodies are not worth a connection.
    static let shortest = 1 << 20
    private static let portion = 256 * 1024

    private unowned let exchange: Exchange
    private let socket: Int32
    private let pipe: BodyPipe
    private(set) var left: Int
    private var token: UInt64 = 0

    init(_ exchange: Exchange, socket: Int32, pipe: BodyPipe, left: Int) {
        self.exchange = exchange
        self.socket = socket
        self.pipe = pipe
        self.left = left
    }

    /// Whether it is not the client that is waited for.
    var isResting: Bool { token == 0 }

    func start() {
        guard token == 0, left > 0, !pipe.isFull else { return }
        token = exchange.loop.watch(socket, Int32(bitPattern: EPOLLIN.rawValue | EPOLLRDHUP.rawValue), self)
    }

    func stop() {
        guard token != 0 else { return }
        exchange.loop.forget(socket, token)
        token = 0
    }

    func ready(_ events: UInt32) {
        guard token != 0 else { return }
        var waiting: Int32 = 0
        _ = ioctl(socket, UInt(FIONREAD), &waiting)
        let most = max(1, min(left, Int(waiting), Self.portion))
        var result = 0
        let piece = [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
            result = recv(socket, buffer.baseAddress, most, clinux_msg_dontwait)
            count = max(0, result)
        }
        if result < 0, errno == EAGAIN || errno == EINTR { return }
        guard result > 0 else {
            stop()
            return exchange.lostClient()
        }
        left -= result
        exchange.count(result)
        if left == 0 { stop() }
        pipe.append(piece, isLast: left == 0)
        if pipe.isFull { stop() }
    }
}
