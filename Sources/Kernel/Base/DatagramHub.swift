// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Synchronization

/// Many UDP sockets, heard by one thread; whoever reads the stream answers.
package final class DatagramHub: Sendable {
    /// Something that came in, and where an answer goes.
    package struct Datagram: Sendable {
        package let tag: String
        package let bytes: [UInt8]
        fileprivate let socket: Socket
        fileprivate let sender: [UInt8]
    }

    /// A number tells a socket from a later one with the same descriptor.
    fileprivate struct Socket: Sendable, Hashable {
        let file: Int32
        let number: UInt64
    }

    private struct Books {
        var tags: [Socket: String] = [:]
        var last: UInt64 = 0
    }

    /// What comes in; of a flood only the newest is kept.
    package let datagrams: AsyncStream<Datagram>
    private let listener: AsyncStream<Datagram>.Continuation
    private let books = Mutex(Books())
    /// A pipe: what is written into it makes the thread look at the sockets anew.
    private let wakened: Int32
    private let waker: Int32

    package init() throws(Fault) {
        (datagrams, listener) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1024))
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemError.fault("Cannot wait for datagrams") }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (wakened, waker) = (ends[0], ends[1])
        try DedicatedThread.start { [self] in hear() }
    }

    /// Takes a bound socket over and hears it until `remove`.
    package func add(_ file: Int32, tag: String) {
        _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK)
        books.withLock { books in
            books.last += 1
            books.tags[Socket(file: file, number: books.last)] = tag
        }
        wake()
    }

    private func wake() {
        var byte: UInt8 = 1
        _ = write(waker, &byte, 1)
    }

    /// Closes all sockets with this tag.
    package func remove(tag: String) {
        books.withLock { books in
            for (socket, other) in books.tags where other == tag {
                close(socket.file)
                books.tags[socket] = nil
            }
        }
        wake()
    }

    /// Sends an answer to where a datagram came from; dropped when its socket is gone.
    package func answer(_ datagram: Datagram, _ bytes: [UInt8]) {
        books.withLock { books in
            guard books.tags[datagram.socket] != nil else { return }
            datagram.sender.withUnsafeBytes { sender in
                guard let address = sender.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return }
                _ = sendto(datagram.socket.file, bytes, bytes.count, 0, address, socklen_t(sender.count))
            }
        }
    }

    private func hear() {
        while true {
            let sockets = books.withLock { Array($0.tags.keys) }
            var waiting = ([wakened] + sockets.map(\.file)).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&waiting, nfds_t(waiting.count), -1) >= 0 || errno == EINTR else { return }
            if waiting[0].revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 64)
                while read(wakened, &bytes, bytes.count) > 0 {}
            }
            for (socket, state) in zip(sockets, waiting.dropFirst()) where state.revents != 0 {
                while let datagram = receive(socket) { listener.yield(datagram) }
            }
        }
    }

    private func receive(_ socket: Socket) -> Datagram? {
        books.withLock { books in
            guard let tag = books.tags[socket] else { return nil }
            var bytes = [UInt8](repeating: 0, count: 4096)
            var sender = [UInt8](repeating: 0, count: MemoryLayout<sockaddr_storage>.size)
            var length = socklen_t(sender.count)
            let count = sender.withUnsafeMutableBytes { raw in
                recvfrom(
                    socket.file, &bytes, bytes.count, 0, raw.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                    &length)
            }
            guard count > 0 else { return nil }
            return Datagram(
                tag: tag, bytes: Array(bytes[..<count]), socket: socket, sender: Array(sender[..<Int(length)]))
        }
    }
}
