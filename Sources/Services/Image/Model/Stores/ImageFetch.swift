// SPDX-License-Identifier: Apache-2.0
internal import Kernel
internal import Synchronization

/// An image on its way from a store into the cache: one fetch, and any number of readers who follow what it wrote.
/// The last byte is not theirs before all were compared with the image's hash.
final class ImageFetch: Sendable {
    typealias Source = @Sendable (_ offset: Int) async throws(Fault) -> HTTPResponse.Body

    /// How far it is, for a reader that has got so many bytes.
    enum Progress {
        case waiting
        case readable(any GrowingDraft, Int)
        case failed
        case corrupt(Fault)
    }

    private struct State {
        var draft: (any GrowingDraft)?
        var written = 0
        var isWhole = false
        var failure: Fault?
        var isCorrupt = false
        var readers: [Int: Wake] = [:]
        var nextReader = 0
        var movedAt: Timestamp
    }

    let image: ImageRecord
    let size: Int
    let name: String
    /// Somebody asked for it in advance: it goes on when all readers leave.
    let isPrefetch: Bool
    let source: Source
    private let stalled = Wake()
    private let state: Mutex<State>

    init(_ image: ImageRecord, size: Int, name: String, isPrefetch: Bool, now: Timestamp, source: @escaping Source) {
        self.image = image
        self.size = size
        self.name = name
        self.isPrefetch = isPrefetch
        self.source = source
        state = Mutex(State(movedAt: now))
    }

    /// Where the bytes are going, once that is known.
    var location: String? { state.withLock { $0.draft?.location } }
    var failure: Fault? { state.withLock { $0.failure } }
    var movedAt: Timestamp { state.withLock { $0.movedAt } }

    // MARK: Reading along

    /// A new reader; nil when the fetch came to nothing.
    func join() -> ImageFetchReader? {
        let wake = Wake()
        let number = state.withLock { state -> Int? in
            guard state.failure == nil else { return nil }
            state.nextReader += 1
            state.readers[state.nextReader] = wake
            return state.nextReader
        }
        return number.map { ImageFetchReader(self, number: $0, wake: wake) }
    }

    func leave(_ number: Int) { state.withLock { $0.readers[number] = nil } }

    func progress(beyond done: Int) -> Progress {
        state.withLock { state in
            if let failure = state.failure { return state.isCorrupt ? .corrupt(failure) : .failed }
            let released = state.isWhole ? size : min(state.written, size - 1)
            guard let draft = state.draft, released > done else { return .waiting }
            return .readable(draft, released - done)
        }
    }

    // MARK: Fetching

    /// Fetches all of it, unless it stalls.
    func run(_ cache: ImageCache) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.work(cache) }
            group.addTask { await self.stalled.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    /// Gives up: readers go on without it.
    func giveUp(_ fault: Fault) {
        end(fault)
        stalled.signal()
    }

    private func work(_ cache: ImageCache) async {
        do throws(Fault) {
            let draft = try await cache.medium.begin(name, size: size)
            do throws(Fault) {
                try await fill(draft, cache)
                try await draft.publish()
                if let failure { throw failure }
                try await cache.admit(self, draft.location)
            } catch {
                await draft.discard()
                await cache.remove(draft.location)
                throw error
            }
            end(nil)
        } catch {
            cache.log.warning("image not cached", ["image_id": image.id, "error": error.message])
            end(error)
        }
        cache.ended(self)
    }

    private func fill(_ draft: any GrowingDraft, _ cache: ImageCache) async throws(Fault) {
        let algorithm = image.osHashAlgo.flatMap(Digest.Algorithm.init(rawValue:))
        let digests = ImageDigests(algorithm ?? .sha512, on: cache.digesters)
        state.withLock { $0.draft = draft }
        try await source(0).forEachPiece { bytes async throws(Fault) in
            try self.requireWanted()
            try await digests.add(bytes)
            try await draft.append(bytes)
            try self.advance(bytes.count, cache.clock.now())
        }
        let found = try await digests.finish()
        guard state.withLock({ $0.written }) == size else { throw .unavailable("Image data ended early.") }
        let isRight = image.checksum.map { $0 == found.md5 } ?? true
        guard isRight, algorithm == nil || image.osHashValue.map({ $0 == found.hash }) ?? true else {
            state.withLock { $0.isCorrupt = true }
            throw .corruptImage(image.id)
        }
    }

    private func requireWanted() throws(Fault) {
        let failure = state.withLock { state in
            if state.failure == nil, state.readers.isEmpty, !isPrefetch {
                state.failure = .gone("Nobody reads the image any more.")
            }
            return state.failure
        }
        if let failure { throw failure }
    }

    private func advance(_ count: Int, _ now: Timestamp) throws(Fault) {
        let (written, readers) = state.withLock { state in
            state.written += count
            state.movedAt = now
            return (state.written, Array(state.readers.values))
        }
        guard written <= size else { throw .unavailable("The store has more bytes than the image.") }
        for reader in readers { reader.signal() }
    }

    /// The first end counts.
    private func end(_ fault: Fault?) {
        let readers = state.withLock { state in
            if state.failure == nil, !state.isWhole {
                state.failure = fault
                state.isWhole = fault == nil
            }
            return Array(state.readers.values)
        }
        for reader in readers { reader.signal() }
    }
}

/// One who reads along; it is no reader any more when nobody holds it.
final class ImageFetchReader: Sendable {
    private let fetch: ImageFetch
    private let number: Int
    private let wake: Wake
    private static let portion = 256 * 1024

    init(_ fetch: ImageFetch, number: Int, wake: Wake) {
        self.fetch = fetch
        self.number = number
        self.wake = wake
    }

    deinit { fetch.leave(number) }

    /// The whole image. When the cache fails on the way the rest comes from the store; wrong bytes cut the answer off.
    var body: HTTPResponse.Body {
        .stream(length: fetch.size) { [self] writer async throws(Fault) in
            // Whoever sent the answer may hold on to it.
            defer { fetch.leave(number) }
            var done = 0
            while done < fetch.size {
                switch fetch.progress(beyond: done) {
                case .readable(let draft, let count):
                    let bytes = try await draft.written(at: done, count: min(count, Self.portion))
                    guard !bytes.isEmpty else { throw .unavailable("Image data ended early.") }
                    try await writer.write(bytes)
                    done += bytes.count
                case .waiting:
                    await wake.wait()
                    if Task.isCancelled { throw .unavailable("The image service is going down.") }
                case .corrupt(let fault): throw fault
                case .failed:
                    return try await fetch.source(done).forEachPiece { bytes async throws(Fault) in
                        try await writer.write(bytes)
                    }
                }
            }
        }
    }
}

extension Fault {
    /// The store's bytes are not the image's.
    static func corruptImage(_ id: String) -> Fault {
        .internalError("the data of the image \(id) does not have its hash")
    }
}
