// SPDX-License-Identifier: Apache-2.0
import Image
import ImageFiles
import Kernel
import Synchronization
import Testing

/// A kind of store to hold to the port's promises.
struct StoreKind: Sendable, CustomTestStringConvertible {
    let testDescription: String
    private let isOnDisk: Bool

    static let all = [
        StoreKind(testDescription: "memory", isOnDisk: false), StoreKind(testDescription: "files", isOnDisk: true),
    ]

    /// Runs a test on a new, empty store, and leaves nothing of it.
    func with(_ test: (any ImageStore) async throws -> Void) async throws {
        guard isOnDisk else { return try await test(FakeImageStore()) }
        let folder = try FileSystem.makeTemporaryDirectory("apus-images")
        defer { FileSystem.remove(folder) }
        try await test(try FileImageStore(folder: folder + "/images"))
    }
}

/// What every store of images promises, run on each of them.
@Suite("Every image store", .serialized)
struct ImageStoreConformance {
    static let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }

    /// Gives the location.
    @discardableResult
    static func put(_ bytes: [UInt8], as name: String, in store: any ImageStore) async throws -> String {
        let draft = try await store.create(name, size: bytes.count)
        for start in stride(from: 0, to: bytes.count, by: 65_536) {
            try await draft.append(Array(bytes[start..<min(bytes.count, start + 65_536)]))
        }
        try await draft.publish()
        return draft.location
    }

    static func read(
        _ location: String, _ offset: Int, _ length: Int, from store: any ImageStore
    ) async throws -> [UInt8] {
        let read = Mutex<[UInt8]>([])
        try await store.open(location, offset: offset, length: length)
            .forEachPiece { bytes async throws(Fault) in read.withLock { $0 += bytes } }
        return read.withLock { $0 }
    }

    @Test("Gives back what was put in, whole and in parts", arguments: StoreKind.all)
    func roundTrip(kind: StoreKind) async throws {
        try await kind.with { store in
            let location = try await Self.put(Self.bytes, as: "a.1", in: store)
            #expect(await store.owns(location))
            #expect(try await store.size(location) == Self.bytes.count)
            #expect(try await Self.read(location, 0, Self.bytes.count, from: store) == Self.bytes)
            #expect(try await Self.read(location, 70_000, 10, from: store) == Array(Self.bytes[70_000..<70_010]))
            #expect(
                try await store.inspect(location) { bytes throws(Fault) in try bytes.read(at: 299_990, count: 99) }
                    .count == 10)
        }
    }

    @Test("An empty image is an image", arguments: StoreKind.all)
    func empty(kind: StoreKind) async throws {
        try await kind.with { store in
            let location = try await Self.put([], as: "a.1", in: store)
            #expect(try await store.size(location) == 0)
            #expect(try await Self.read(location, 0, 0, from: store).isEmpty)
        }
    }

    @Test("Nothing is left of a draft that was discarded", arguments: StoreKind.all)
    func drafts(kind: StoreKind) async throws {
        try await kind.with { store in
            let draft = try await store.create("a.1", size: nil)
            try await draft.append([1, 2, 3])
            #expect(try await draft.inspect { bytes throws(Fault) in try bytes.read(at: 1, count: 9) } == [2, 3])
            await draft.discard()
            #expect(try await store.size(draft.location) == nil)
            await #expect(throws: Fault.self) { try await store.open(draft.location, offset: 0, length: 1) }
            #expect(try await store.sweep().isEmpty)
        }
    }

    @Test("Deletes what was only half written", arguments: StoreKind.all)
    func halfWritten(kind: StoreKind) async throws {
        try await kind.with { store in
            let draft = try await store.create("a.1", size: nil)
            try await draft.append(Self.bytes)
            try await store.delete(draft.location)
            #expect(try await store.size(draft.location) == nil)
            await draft.discard()
        }
    }

    @Test("What was published stays when its draft is discarded afterwards", arguments: StoreKind.all)
    func published(kind: StoreKind) async throws {
        try await kind.with { store in
            let draft = try await store.create("a.1", size: 1)
            try await draft.append([1])
            try await draft.publish()
            await draft.discard()
            #expect(try await store.size(draft.location) == 1)
        }
    }

    @Test("Deletes, also what is not there", arguments: StoreKind.all)
    func deletes(kind: StoreKind) async throws {
        try await kind.with { store in
            let location = try await Self.put([1], as: "a.1", in: store)
            try await store.requireUnused(location)
            let open = try await store.open(location, offset: 0, length: 1)
            try await store.delete(location)
            try await store.delete(location)
            #expect(try await store.size(location) == nil)
            if case .file(let file, _, _) = open { #expect(try file.read(at: 0, count: 1) == [1]) }
        }
    }

    @Test("Sweeping spares what was published", arguments: StoreKind.all)
    func sweeps(kind: StoreKind) async throws {
        try await kind.with { store in
            let location = try await Self.put([2], as: "b.1", in: store)
            #expect(try await store.sweep().isEmpty)
            #expect(try await store.size(location) == 1)
            #expect(try await store.free() ?? 1 > 0)
        }
    }
}

@Suite("The file store")
struct FileImageStoreTests {
    @Test("Removes at the start what a killed process left half written")
    func leftovers() async throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-images")
        defer { FileSystem.remove(folder) }
        try FileSystem.write([1, 2, 3], to: folder + "/a.1.part")
        let store = try FileImageStore(folder: folder)
        #expect(try await store.sweep() == ["a.1.part"])
        #expect(FileSystem.list(folder).isEmpty)
    }

    @Test("Takes no location that leads elsewhere", arguments: ["../a", "a/b", "", ".a", "a.part", "a\0b"])
    func locations(location: String) async throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-images")
        defer { FileSystem.remove(folder) }
        let store = try FileImageStore(folder: folder)
        await #expect(throws: Fault.self) { _ = try await store.create(location, size: nil) }
    }

    @Test("Says that the medium may not be written")
    func missingFolder() async throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-images")
        let store = try FileImageStore(folder: folder)
        FileSystem.remove(folder)
        await #expect(throws: Fault.self) { _ = try await store.create("a.1", size: nil) }
    }
}
