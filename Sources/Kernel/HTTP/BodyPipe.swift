// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Synchronization

/// A request body on its way from the connection, which fills it on its loop, to the one reader in the handler.
final class BodyPipe: BodySource {
    /// Beyond this the connection is not read until somebody takes the bytes.
    static let highWater = 240 * 1024
    /// What arrives in smaller portions is put together up to this.
    private static let small = 16 * 1024

    private struct State {
        var pieces: [[UInt8]] = []
        var count = 0
        var ended = false
        var fault: Fault?
        var waiter: CheckedContinuation<Void, Never>?
        var wanted = false

        /// The oldest piece, and whether the connection may be read again now.
        mutating func take() -> (piece: [UInt8], hasRoom: Bool)? {
            guard !pieces.isEmpty else { return nil }
            let piece = pieces.removeFirst()
            let wasFull = count >= BodyPipe.highWater
            count -= piece.count
            return (piece, wasFull && count < BodyPipe.highWater)
        }
    }

    private let state = Mutex(State())
    private let exchange: Exchange

    init(_ exchange: Exchange) { self.exchange = exchange }

    func read() async throws(Fault) -> [UInt8]? {
        while true {
            let (taken, ended, fault) = state.withLock { state in
                let taken = state.take()
                state.wanted = state.wanted || taken == nil
                return (taken, state.ended, state.fault)
            }
            if let taken {
                if taken.hasRoom { exchange.loop.perform { [exchange] in exchange.readOn() } }
                return taken.piece
            }
            if ended { return nil }
            if let fault { throw fault }
            await wait()
        }
    }

    private func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state in
                    if !state.pieces.isEmpty || state.ended || state.fault != nil { return true }
                    state.waiter = continuation
                    return false
                }
                if ready { return continuation.resume() }
                exchange.loop.perform { [exchange] in exchange.readOn() }
            }
        } onCancel: {
            fail(.timeout("The request was given up."))
        }
    }

    // MARK: The connection's end

    /// Whether the handler has asked for bytes that are not there.
    var isWanted: Bool { state.withLock { $0.wanted } }
    /// Whether the handler waits right now.
    var isAwaited: Bool { state.withLock { $0.waiter != nil } }
    var isFull: Bool { state.withLock { $0.count >= BodyPipe.highWater } }

    func append(_ bytes: UnsafeRawBufferPointer, isLast: Bool) {
        settle { state in
            if let last = state.pieces.indices.last, state.pieces[last].count < BodyPipe.highWater {
                state.pieces[last].append(contentsOf: bytes)
            } else {
                state.pieces.append(Array(bytes))
            }
            state.count += bytes.count
            if isLast { state.ended = true }
        }
    }

    /// The same without a copy, when it is a piece worth having.
    func append(_ piece: [UInt8], isLast: Bool) {
        if piece.count < BodyPipe.small { return piece.withUnsafeBytes { append($0, isLast: isLast) } }
        settle { state in
            state.pieces.append(piece)
            state.count += piece.count
            if isLast { state.ended = true }
        }
    }

    func end() { settle { $0.ended = true } }
    func fail(_ fault: Fault) { settle { if !$0.ended && $0.fault == nil { $0.fault = fault } } }

    private func settle(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state in
            change(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}
