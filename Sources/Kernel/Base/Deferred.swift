// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// A value that a thread of a pool works out while whoever asked for it goes on. It has one waiter at a time.
package final class Deferred<Value: Sendable>: Sendable {
    private struct State: Sendable {
        var result: Result<Value, Fault>?
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    init() {}

    /// The value, once it is there.
    package func value() async throws(Fault) -> Value {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.result == nil { state.waiter = continuation }
                return state.result != nil
            }
            if isThere { continuation.resume() }
        }
        guard let result = state.withLock({ $0.result }) else { preconditionFailure("resumed before the end") }
        return try result.get()
    }

    func settle(_ result: Result<Value, Fault>) {
        let waiter = state.withLock { state in
            state.result = result
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}
