// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Synchronization

/// The byte stream that is left of a connection after 101 Switching Protocols.
package final class UpgradedConnection: Sendable {
    private let transport: any ByteTransport
    private let writing = Turnstile()

    init(_ transport: any ByteTransport) { self.transport = transport }

    /// What came next, nil once the other end has closed.
    package func read() async throws(Fault) -> [UInt8]? { try await transport.read() }
    /// Returns when the kernel has taken all of it. Several tasks may write; what one writes stays in one piece.
    package func write(_ bytes: [UInt8]) async throws(Fault) {
        await writing.enter()
        defer { writing.leave() }
        try await transport.write(bytes)
    }
    /// Ends both directions; a waiting `read` returns nil.
    package func close() { transport.close() }
}

/// A two-way byte stream.
protocol ByteTransport: Sendable {
    func read() async throws(Fault) -> [UInt8]?
    func write(_ bytes: [UInt8]) async throws(Fault)
    func close()
}

/// One task at a time, in the order in which they came.
private final class Turnstile: Sendable {
    private let state = Mutex<(taken: Bool, waiters: [CheckedContinuation<Void, Never>])>((false, []))

    func enter() async {
        let free = state.withLock { state in
            defer { state.taken = true }
            return !state.taken
        }
        guard !free else { return }
        await withCheckedContinuation { continuation in
            let free = state.withLock { state in
                if state.taken { state.waiters.append(continuation) }
                defer { state.taken = true }
                return !state.taken
            }
            if free { continuation.resume() }
        }
    }

    func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.waiters.isEmpty {
                state.taken = false
                return nil
            }
            return state.waiters.removeFirst()
        }
        next?.resume()
    }
}
