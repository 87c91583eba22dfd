// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Image
internal import Kernel
internal import Synchronization

/// An image of a pool while its bytes arrive. Whoever opens it by its location sees nothing before the snapshot.
final class CephDraft: ImageDraft {
    private struct State: Sendable {
        var image: CephImage?
        var written = 0
        var capacity = 0
        var growth = 64 << 20
        var isOver = false
    }

    /// Runs of zeros of this length are holes when the store is thin.
    private static let block = 64 << 10

    let location: String
    private let name: String
    private let announced: Int?
    private let order: Int
    private let isThin: Bool
    private let pool: CephPool
    private let threads: BlockingPool
    private let state = Mutex(State())

    init(
        _ location: String, name: String, announced: Int?, order: Int, isThin: Bool, pool: CephPool,
        threads: BlockingPool
    ) {
        self.location = location
        self.name = name
        self.announced = announced
        self.order = order
        self.isThin = isThin
        self.pool = pool
        self.threads = threads
    }

    func append(_ bytes: [UInt8]) async throws(Fault) {
        try await threads.run { () throws(Fault) in try self.write(bytes) }
    }

    /// One call at a time, on a thread that may block.
    private func image() throws(Fault) -> CephImage {
        if let image = state.withLock({ $0.image }) { return image }
        let image = try pool.create(name, size: announced ?? 0, order: order)
        state.withLock { state in
            state.image = image
            state.capacity = announced ?? 0
        }
        return image
    }

    private func write(_ bytes: [UInt8]) throws(Fault) {
        let image = try image()
        let start = state.withLock { $0.written }
        let needed = start + bytes.count
        if needed > state.withLock({ $0.capacity }) {
            // Ever larger steps, up to 8 GiB: each resize costs a round through the cluster.
            let capacity = state.withLock { state in
                state.growth = min(state.growth * 2, 8 << 30)
                state.capacity = max(needed, state.capacity + state.growth)
                return state.capacity
            }
            try image.resize(capacity)
        }
        var problem: Fault?
        bytes.withUnsafeBytes { all in
            do throws(Fault) {
                for range in isThin ? all.stretches(ofBlocks: CephDraft.block) : [0..<all.count] {
                    try image.write(UnsafeRawBufferPointer(rebasing: all[range]), at: start + range.lowerBound)
                }
            } catch { problem = error }
        }
        if let problem { throw problem }
        state.withLock { $0.written = needed }
    }

    func inspect<Finding: Sendable>(
        _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        let size = state.withLock { $0.written }
        return try await threads.run { () throws(Fault) in
            let image = try self.image()
            return try look(
                RangedBytes(size: size) { offset, count throws(Fault) in try image.read(offset, count) })
        }
    }

    func publish() async throws(Fault) {
        try await threads.run { () throws(Fault) in
            let image = try self.image()
            let (written, capacity) = self.state.withLock { ($0.written, $0.capacity) }
            if written != capacity { try image.resize(written) }
            try image.freeze(CephImageStore.snapshot)
        }
        state.withLock { state in
            state.image = nil
            state.isOver = true
        }
    }

    func discard() async {
        let (isOver, isThere) = state.withLock { state in
            defer {
                state.isOver = true
                state.image = nil
            }
            return (state.isOver, state.image != nil)
        }
        guard !isOver, isThere else { return }
        let (pool, name) = (pool, name)
        _ = try? await threads.run { () throws(Fault) in try pool.remove(name, snapshot: CephImageStore.snapshot) }
    }
}
