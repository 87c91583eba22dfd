// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Synchronization

/// A request body on its way from the connection, which fills it on its loop, to the one reader in the handler.
final class BodyPipe: BodySource {
    /// Beyond this the connection is not read until somebody takes the bytes.
    static let highWater = 240 * 1024

    private struct State {
        var bytes: [UInt8] = []
        var ended = false
        var fault: Fault?
        var waiter: CheckedContinuation<Void, Never>?
        var wanted = false
    }

    private let state = Mutex(State())
    private let exchange: Exchange

    init(_ exchange: Exchange) { self.exchange = exchange }

    func read() async throws(Fault) -> [UInt8]? {
        while true {
            let (bytes, ended, fault) = state.withLock { state in
                let bytes = state.bytes
                state.bytes = []
                state.wanted = state.wanted || bytes.isEmpty
                return (bytes, state.ended, state.fault)
            }
            if !bytes.isEmpty {
                if bytes.count >= BodyPipe.highWater { exchange.loop.perform { [exchange] in exchange.readOn() } }
                return bytes
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
                    if !state.bytes.isEmpty || state.ended || state.fault != nil { return true }
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
    var isFull: Bool { state.withLock { $0.bytes.count >= BodyPipe.highWater } }

    func append(_ bytes: UnsafeRawBufferPointer, isLast: Bool) {
        settle { state in
            state.bytes.append(contentsOf: bytes)
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
