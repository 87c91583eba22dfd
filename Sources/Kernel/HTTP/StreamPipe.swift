// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Glibc
internal import Synchronization

/// A streamed answer on its way from the handler to the connection, which empties it on its loop.
final class StreamPipe: Sendable {
    enum Portion {
        case bytes(Int)
        case nothingYet
        case end
        case broken
    }

    /// Beyond this a writer waits.
    private static let highWater = 256 * 1024

    fileprivate struct State {
        var chunks: [[UInt8]] = []
        var head = 0
        var offset = 0
        var buffered = 0
        var ended = false
        var fault: Fault?
        var connectionWaits = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    private let exchange: Exchange

    init(_ exchange: Exchange) { self.exchange = exchange }

    func write(_ bytes: [UInt8]) async throws(Fault) {
        guard !bytes.isEmpty else { return }
        let (fault, wake) = state.withLock { state -> (Fault?, Bool) in
            guard state.fault == nil else { return (state.fault, false) }
            state.chunks.append(bytes)
            state.buffered += bytes.count
            defer { state.connectionWaits = false }
            return (nil, state.connectionWaits)
        }
        if let fault { throw fault }
        if wake { wakeConnection() }
        await waitForRoom()
        if let fault = state.withLock({ $0.fault }) { throw fault }
    }

    private func waitForRoom() async {
        guard state.withLock({ $0.buffered >= StreamPipe.highWater }) else { return }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let room = state.withLock { state in
                    if state.buffered < StreamPipe.highWater || state.fault != nil { return true }
                    state.waiter = continuation
                    return false
                }
                if room { continuation.resume() }
            }
        } onCancel: {
            fail(.unavailable("The answer was given up."))
        }
    }

    private func wakeConnection() { exchange.loop.perform { [exchange] in exchange.resume() } }

    /// The handler has written everything.
    func end() {
        let wake = state.withLock { state in
            state.ended = true
            defer { state.connectionWaits = false }
            return state.connectionWaits
        }
        if wake { wakeConnection() }
    }

    /// One of the two ends broke: the reader is gone, or the handler threw.
    func fail(_ fault: Fault) {
        let (waiter, wake) = state.withLock { state in
            if state.fault == nil { state.fault = fault }
            defer {
                state.waiter = nil
                state.connectionWaits = false
            }
            return (state.waiter, state.connectionWaits)
        }
        waiter?.resume()
        if wake { wakeConnection() }
    }

    /// Moves what fits into libmicrohttpd's buffer.
    func take(_ target: UnsafeMutableRawPointer, _ room: Int) -> Portion {
        let (portion, waiter) = state.withLock { state -> (Portion, CheckedContinuation<Void, Never>?) in
            let moved = state.move(target, room)
            guard moved > 0 else {
                if state.fault != nil { return (.broken, nil) }
                if state.ended { return (.end, nil) }
                state.connectionWaits = true
                return (.nothingYet, nil)
            }
            guard state.buffered < StreamPipe.highWater / 2 else { return (.bytes(moved), nil) }
            defer { state.waiter = nil }
            return (.bytes(moved), state.waiter)
        }
        waiter?.resume()
        return portion
    }
}

extension StreamPipe.State {
    fileprivate mutating func move(_ target: UnsafeMutableRawPointer, _ room: Int) -> Int {
        var moved = 0
        while moved < room, head < chunks.count {
            let count = min(room - moved, chunks[head].count - offset)
            chunks[head].withUnsafeBytes { _ = memcpy(target + moved, $0.baseAddress! + offset, count) }
            moved += count
            offset += count
            if offset == chunks[head].count {
                chunks[head] = []
                head += 1
                offset = 0
            }
        }
        if head == chunks.count {
            chunks.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 256 {
            chunks.removeFirst(head)
            head = 0
        }
        buffered -= moved
        return moved
    }
}
