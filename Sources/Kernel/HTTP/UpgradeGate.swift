// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import CMicrohttpd
internal import Glibc
internal import Synchronization

/// Where the handler's task waits for libmicrohttpd to let go of an upgraded connection. On the loop's thread alone.
final class UpgradeGate: @unchecked Sendable {
    private let exchange: Exchange
    private var transport: SocketTransport?
    private var waiter: CheckedContinuation<Void, Never>?
    private var handle: OpaquePointer?
    private var isClosed = false

    init(_ exchange: Exchange) { self.exchange = exchange }

    /// nil when the client went before the answer was sent.
    func connection() async -> UpgradedConnection? {
        if transport == nil && !isClosed {
            await withCheckedContinuation { waiter = $0 }
        }
        return transport.map { UpgradedConnection($0) }
    }

    func opened(_ socket: Int32, _ early: [UInt8], _ handle: OpaquePointer) {
        self.handle = handle
        transport = SocketTransport(socket, early: early, loop: exchange.loop) { self.release() }
        if isClosed { return release() }
        waiter?.resume()
        waiter = nil
    }

    func close() {
        isClosed = true
        waiter?.resume()
        waiter = nil
        transport?.close()
    }

    private func release() {
        guard let handle else { return }
        self.handle = nil
        cmhd_close_upgraded(handle)
        exchange.wakeDaemon()
    }
}

/// A non-blocking socket that somebody else owns, as a byte stream that suspends instead of blocking.
final class SocketTransport: ByteTransport, EventSource {
    fileprivate struct State {
        var early: [UInt8]
        var isOpen = true
        var readable = false
        var writable = false
        var reader: CheckedContinuation<Void, Never>?
        var writer: CheckedContinuation<Void, Never>?
    }

    fileprivate enum Step<T> {
        case done(T)
        case wait
        case over
    }

    private let socket: Int32
    private let loop: EventLoop
    private let state: Mutex<State>
    private let token = Atomic<UInt64>(0)
    private let release: @Sendable () -> Void

    /// On the loop's thread. `release` is called there too, once, when the socket may be closed.
    init(_ socket: Int32, early: [UInt8], loop: EventLoop, release: @escaping @Sendable () -> Void) {
        self.socket = socket
        self.loop = loop
        self.release = release
        state = Mutex(State(early: early))
        let events = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        token.store(loop.watch(socket, Int32(bitPattern: events), self), ordering: .relaxed)
    }

    func ready(_ events: UInt32) {
        let broken = events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0
        let (reader, writer) = state.withLock { state in
            var reader: CheckedContinuation<Void, Never>?
            var writer: CheckedContinuation<Void, Never>?
            if broken || events & (EPOLLIN.rawValue | EPOLLRDHUP.rawValue) != 0 {
                state.readable = true
                swap(&reader, &state.reader)
            }
            if broken || events & EPOLLOUT.rawValue != 0 {
                state.writable = true
                swap(&writer, &state.writer)
            }
            return (reader, writer)
        }
        reader?.resume()
        writer?.resume()
    }

    func read() async throws(Fault) -> [UInt8]? {
        while true {
            switch state.withLock({ $0.receive(socket) }) {
            case .done(let bytes): return bytes
            case .over: return nil
            case .wait: await wait(\.readable, \.reader)
            }
        }
    }

    func write(_ bytes: [UInt8]) async throws(Fault) {
        var sent = 0
        while sent < bytes.count {
            switch state.withLock({ $0.send(socket, bytes, from: sent) }) {
            case .done(let count): sent += count
            case .over: throw Fault(499, "The other end closed the connection.")
            case .wait: await wait(\.writable, \.writer)
            }
        }
    }

    private func wait(
        _ flag: any WritableKeyPath<State, Bool> & Sendable,
        _ slot: any WritableKeyPath<State, CheckedContinuation<Void, Never>?> & Sendable
    ) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state in
                    if state[keyPath: flag] || !state.isOpen { return true }
                    state[keyPath: slot] = continuation
                    return false
                }
                if ready { continuation.resume() }
            }
        } onCancel: {
            close()
        }
    }

    func close() {
        let (wasOpen, reader, writer) = state.withLock { state in
            defer {
                state.isOpen = false
                state.reader = nil
                state.writer = nil
            }
            return (state.isOpen, state.reader, state.writer)
        }
        reader?.resume()
        writer?.resume()
        guard wasOpen else { return }
        loop.perform { [self] in
            loop.forget(socket, token.load(ordering: .relaxed))
            shutdown(socket, Int32(SHUT_WR))
            release()
        }
    }
}

extension SocketTransport.State {
    fileprivate mutating func receive(_ socket: Int32) -> SocketTransport.Step<[UInt8]> {
        guard isOpen else { return .over }
        if !early.isEmpty {
            defer { early = [] }
            return .done(early)
        }
        readable = false
        var result = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 16_384) { buffer, filled in
            result = recv(socket, buffer.baseAddress!, 16_384, clinux_msg_dontwait)
            filled = max(0, result)
        }
        if result > 0 { return .done(bytes) }
        return result < 0 && (errno == EAGAIN || errno == EINTR) ? .wait : .over
    }

    fileprivate mutating func send(_ socket: Int32, _ bytes: [UInt8], from start: Int) -> SocketTransport.Step<Int> {
        guard isOpen else { return .over }
        writable = false
        let count = bytes.withUnsafeBytes {
            Glibc.send(
                socket, $0.baseAddress! + start, bytes.count - start,
                clinux_msg_dontwait | clinux_msg_nosignal)
        }
        if count >= 0 { return .done(count) }
        return errno == EAGAIN || errno == EINTR ? .wait : .over
    }
}
