// SPDX-License-Identifier: Apache-2.0
import Image
import ImageFiles
import Kernel
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

    static func put(_ bytes: [UInt8], at location: String, in store: any ImageStore) async throws {
        let draft = try await store.create(location)
        for start in stride(from: 0, to: bytes.count, by: 65_536) {
            try await draft.append(Array(bytes[start..<min(bytes.count, start + 65_536)]))
        }
        try await draft.publish()
    }

    static func read(
        _ location: String, _ offset: Int, _ length: Int, from store: any ImageStore
    ) async throws -> [UInt8] {
        switch try await store.open(location, offset: offset, length: length) {
        case .bytes(let bytes): bytes
        case .file(let file, let offset, let length): try file.read(at: offset, count: length)
        default: []
        }
    }

    @Test("Gives back what was put in, whole and in parts", arguments: StoreKind.all)
    func roundTrip(kind: StoreKind) async throws {
        try await kind.with { store in
            try await Self.put(Self.bytes, at: "a.1", in: store)
            #expect(try await store.size("a.1") == Self.bytes.count)
            #expect(try await Self.read("a.1", 0, Self.bytes.count, from: store) == Self.bytes)
            #expect(try await Self.read("a.1", 70_000, 10, from: store) == Array(Self.bytes[70_000..<70_010]))
            #expect(
                try await store.inspect("a.1") { bytes throws(Fault) in try bytes.read(at: 299_990, count: 99) }.count
                    == 10
            )
        }
    }

    @Test("An empty image is an image", arguments: StoreKind.all)
    func empty(kind: StoreKind) async throws {
        try await kind.with { store in
            try await Self.put([], at: "a.1", in: store)
            #expect(try await store.size("a.1") == 0)
            #expect(try await Self.read("a.1", 0, 0, from: store).isEmpty)
        }
    }

    @Test(
        "Shows nothing of a draft until it is published, and nothing of one that was discarded",
        arguments: StoreKind.all)
    func drafts(kind: StoreKind) async throws {
        try await kind.with { store in
            let draft = try await store.create("a.1")
            try await draft.append([1, 2, 3])
            #expect(try await store.size("a.1") == nil)
            #expect(try await draft.inspect { bytes throws(Fault) in try bytes.read(at: 1, count: 9) } == [2, 3])
            await draft.discard()
            #expect(try await store.size("a.1") == nil)
            await #expect(throws: Fault.self) { try await store.open("a.1", offset: 0, length: 1) }
            #expect(try await store.sweep(keeping: []).isEmpty)
        }
    }

    @Test("What was published stays when its draft is discarded afterwards", arguments: StoreKind.all)
    func published(kind: StoreKind) async throws {
        try await kind.with { store in
            let draft = try await store.create("a.1")
            try await draft.append([1])
            try await draft.publish()
            await draft.discard()
            #expect(try await store.size("a.1") == 1)
        }
    }

    @Test("Deletes, also what is not there", arguments: StoreKind.all)
    func deletes(kind: StoreKind) async throws {
        try await kind.with { store in
            try await Self.put([1], at: "a.1", in: store)
            let open = try await store.open("a.1", offset: 0, length: 1)
            try await store.delete("a.1")
            try await store.delete("a.1")
            #expect(try await store.size("a.1") == nil)
            if case .file(let file, _, _) = open { #expect(try file.read(at: 0, count: 1) == [1]) }
        }
    }

    @Test("Sweeps what nobody knows, and keeps the rest", arguments: StoreKind.all)
    func sweeps(kind: StoreKind) async throws {
        try await kind.with { store in
            try await Self.put([1], at: "a.1", in: store)
            try await Self.put([2], at: "b.1", in: store)
            #expect(try await store.sweep(keeping: ["b.1"]) == ["a.1"])
            #expect(try await store.size("a.1") == nil)
            #expect(try await store.size("b.1") == 1)
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
        #expect(try await store.sweep(keeping: ["a.1"]) == ["a.1.part"])
        #expect(FileSystem.list(folder).isEmpty)
    }

    @Test("Takes no location that leads elsewhere", arguments: ["../a", "a/b", "", ".a", "a.part", "a\0b"])
    func locations(location: String) async throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-images")
        defer { FileSystem.remove(folder) }
        let store = try FileImageStore(folder: folder)
        await #expect(throws: Fault.self) { _ = try await store.create(location) }
    }

    @Test("Says that the medium may not be written")
    func missingFolder() async throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-images")
        let store = try FileImageStore(folder: folder)
        FileSystem.remove(folder)
        await #expect(throws: Fault.self) { _ = try await store.create("a.1") }
    }
}
