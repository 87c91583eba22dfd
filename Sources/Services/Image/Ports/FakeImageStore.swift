// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// A store in memory, which can be told to be full.
package final class FakeImageStore: ImageStore {
    private struct State {
        var images: [String: [UInt8]] = [:]
        var drafts = 0
        var capacity: Int
    }

    private let state: Mutex<State>
    private let name: String

    package init(name: String = "store", capacity: Int = 1 << 30) {
        self.name = name
        state = Mutex(State(capacity: capacity))
    }

    /// What is kept, by location.
    package var locations: [String] { state.withLock { $0.images.keys.sorted() } }
    /// How many drafts are neither published nor discarded.
    package var openDrafts: Int { state.withLock { $0.drafts } }

    package func properties() async throws(Fault) -> JSON { [:] }
    package func owns(_ location: String) async -> Bool { location.hasPrefix("memory://\(name)/") }

    package func create(_ name: String, size: Int?) async throws(Fault) -> any ImageDraft {
        try await begin(name, size: size)
    }

    package func open(_ location: String, offset: Int, length: Int) async throws(Fault) -> HTTPResponse.Body {
        .bytes(try bytes(location).read(at: offset, count: length))
    }

    package func inspect<Finding: Sendable>(
        _ location: String, _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        try look(try bytes(location))
    }

    package func size(_ location: String) async throws(Fault) -> Int? { state.withLock { $0.images[location]?.count } }

    package func delete(_ location: String) async throws(Fault) {
        state.withLock { _ = $0.images.removeValue(forKey: location) }
    }

    package func free() async throws(Fault) -> Int? { room }

    fileprivate var room: Int {
        state.withLock { state in state.capacity - state.images.values.reduce(0) { $0 + $1.count } }
    }

    fileprivate func end(_ location: String, _ bytes: [UInt8]?) {
        state.withLock { state in
            state.drafts -= 1
            if let bytes { state.images[location] = bytes }
        }
    }

    fileprivate func bytes(_ location: String) throws(Fault) -> [UInt8] {
        guard let bytes = state.withLock({ $0.images[location] }) else { throw .notFound("Image data not found.") }
        return bytes
    }
}

extension FakeImageStore: ImageCacheMedium {
    package func begin(_ name: String, size: Int?) async throws(Fault) -> any GrowingDraft {
        state.withLock { $0.drafts += 1 }
        return FakeDraft("memory://\(self.name)/\(name)", in: self)
    }

    package func contents() async throws(Fault) -> [String] { locations }
}

/// A draft in memory.
private final class FakeDraft: GrowingDraft {
    let location: String
    private let bytes = Mutex<[UInt8]?>([])
    private let store: FakeImageStore

    init(_ location: String, in store: FakeImageStore) {
        self.location = location
        self.store = store
    }

    deinit { if bytes.withLock({ $0 != nil }) { store.end(location, nil) } }

    func append(_ more: [UInt8]) async throws(Fault) {
        let room = store.room
        let fits = bytes.withLock { bytes in
            guard (bytes?.count ?? 0) + more.count <= room else { return false }
            bytes?.append(contentsOf: more)
            return true
        }
        guard fits else { throw .imageStoreFull }
    }

    func inspect<Finding: Sendable>(
        _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        try look(bytes.withLock { $0 ?? [] })
    }

    func written(at offset: Int, count: Int) async throws(Fault) -> [UInt8] {
        // After its end the bytes are the store's.
        guard let bytes = bytes.withLock({ $0 }) else {
            return try store.bytes(location).read(at: offset, count: count)
        }
        return try bytes.read(at: offset, count: count)
    }

    func publish() async throws(Fault) { end(keeping: true) }
    func discard() async { end(keeping: false) }

    private func end(keeping: Bool) {
        let last = bytes.withLock { bytes in
            defer { bytes = nil }
            return bytes
        }
        if let last { store.end(location, keeping ? last : nil) }
    }
}
