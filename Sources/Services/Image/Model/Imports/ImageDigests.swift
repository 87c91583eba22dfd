// SPDX-License-Identifier: Apache-2.0
internal import Kernel
internal import Synchronization

/// The checksum and the hash of bytes that come in pieces, each computed on a thread of its own, a little behind.
final class ImageDigests: Sendable {
    struct Result: Sendable {
        let md5: String
        let hash: String
    }

    private let checksum = DigestLane(.md5)
    private let hash: DigestLane
    private let pool: BlockingPool

    init(_ algorithm: Digest.Algorithm = .sha512, on pool: BlockingPool) {
        hash = DigestLane(algorithm)
        self.pool = pool
    }

    /// Returns at once unless a lane is too far behind.
    func add(_ bytes: [UInt8]) async throws(Fault) {
        try await checksum.add(bytes, on: pool)
        try await hash.add(bytes, on: pool)
    }

    func finish() async throws(Fault) -> Result {
        Result(md5: try await checksum.finish(), hash: try await hash.finish())
    }
}

/// One digest; its pieces wait in line for the thread that works through them. It has one caller.
private final class DigestLane: Sendable {
    private struct State: Sendable {
        var waiting: [[UInt8]] = []
        var isRunning = false
        var job: Deferred<Void>?
    }

    /// So many pieces may wait: enough that neither end stands still.
    private static let depth = 8

    private let digest: Mutex<Digest>
    private let state = Mutex(State())

    init(_ algorithm: Digest.Algorithm) { digest = Mutex(Digest(algorithm)) }

    func add(_ bytes: [UInt8], on pool: BlockingPool) async throws(Fault) {
        let (starts, behind) = state.withLock { state in
            state.waiting.append(bytes)
            defer { state.isRunning = true }
            return (!state.isRunning, state.waiting.count >= DigestLane.depth ? state.job : nil)
        }
        if starts {
            let job = try pool.begin { () throws(Fault) in self.work() }
            state.withLock { $0.job = job }
        } else if let behind {
            try await behind.value()
        }
    }

    private func work() {
        while true {
            let pieces = state.withLock { state in
                defer { state.waiting = [] }
                state.isRunning = !state.waiting.isEmpty
                return state.waiting
            }
            if pieces.isEmpty { return }
            digest.withLock { digest in for piece in pieces { digest.update(piece) } }
        }
    }

    func finish() async throws(Fault) -> String {
        try await state.withLock({ $0.job })?.value()
        return digest.withLock { Hex.encode($0.finish()) }
    }
}
