// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import Glibc

/// A long file that is sent past libmicrohttpd, which hands the kernel 128 KiB in each turn of the loop: here it is as
/// much as the socket takes. Only on plain connections; libmicrohttpd, suspended meanwhile, never learns of the answer,
/// so it ends the connection.
final class DirectFile: EventSource {
    /// Shorter answers are not worth a connection.
    static let shortest = 4 << 20
    /// The most in one turn: others wait meanwhile.
    private static let portion = 2 << 20

    private unowned let exchange: Exchange
    private let socket: Int32
    private let file: OpenFile
    private var offset: off_t
    private var left: Int
    private var head: [UInt8]
    private var token: UInt64 = 0

    init(_ exchange: Exchange, socket: Int32, head: [UInt8], file: OpenFile, offset: Int, length: Int) {
        self.exchange = exchange
        self.socket = socket
        self.head = head
        self.file = file
        self.offset = off_t(offset)
        left = length
    }

    func start() {
        token = exchange.loop.watch(socket, Int32(bitPattern: EPOLLOUT.rawValue), self)
    }

    func stop() {
        guard token != 0 else { return }
        exchange.loop.forget(socket, token)
        token = 0
    }

    func ready(_ events: UInt32) {
        guard token != 0 else { return }
        guard events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) == 0 else { return end(wasWhole: false) }
        if !head.isEmpty {
            let count = Glibc.send(
                socket, head, head.count, clinux_msg_dontwait | clinux_msg_nosignal | clinux_msg_more)
            if count > 0 { head.removeFirst(count) }
            if count <= 0 || !head.isEmpty { return count < 0 && errno != EAGAIN ? end(wasWhole: false) : () }
        }
        let count = sendfile(socket, file.descriptor, &offset, min(left, Self.portion))
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        // A file that ends early was cut: the connection's end says so.
        guard count > 0 else { return end(wasWhole: false) }
        left -= count
        exchange.sentDirectly()
        if left == 0 { end(wasWhole: true) }
    }

    private func end(wasWhole: Bool) {
        stop()
        exchange.endedDirectly(wasWhole: wasWhole)
    }
}
