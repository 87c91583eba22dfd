// SPDX-License-Identifier: Apache-2.0
import Image
import ImageFiles
import Kernel
import Synchronization
import Testing

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

    /// One start of a server serves all the promises.
    @Test("Keeps every promise of the port", arguments: StoreKind.all)
    func promises(kind: StoreKind) async throws {
        try await kind.with { store in
            try await roundTrip(store)
            try await large(store)
            try await empty(store)
            try await drafts(store)
            try await halfWritten(store)
            try await published(store)
            try await deletes(store)
            try await sweeps(store)
            try await many(store)
        }
    }

    private func roundTrip(_ store: any ImageStore) async throws {
        let location = try await Self.put(Self.bytes, as: "a.1", in: store)
        #expect(await store.owns(location))
        #expect(try await store.size(location) == Self.bytes.count)
        #expect(try await Self.read(location, 0, Self.bytes.count, from: store) == Self.bytes)
        #expect(try await Self.read(location, 70_000, 10, from: store) == Array(Self.bytes[70_000..<70_010]))
        #expect(
            try await store.inspect(location) { bytes throws(Fault) in try bytes.read(at: 299_990, count: 99) }
                .count == 10)
        try await store.delete(location)
    }

    /// Over the bounds at which parts and segments begin, with holes, its size told before or not.
    private func large(_ store: any ImageStore) async throws {
        let bytes = Self.bytes + [UInt8](repeating: 0, count: 9 << 20) + Self.bytes
        for (name, announced) in [("large.1", bytes.count), ("large.2", nil)] {
            let draft = try await store.create(name, size: announced)
            for start in stride(from: 0, to: bytes.count, by: 200_000) {
                try await draft.append(Array(bytes[start..<min(bytes.count, start + 200_000)]))
            }
            let tail = try await draft.inspect { all throws(Fault) in
                try all.read(at: bytes.count - 5000, count: 5000)
            }
            #expect(tail == Array(bytes.suffix(5000)))
            try await draft.publish()
            #expect(try await store.size(draft.location) == bytes.count)
            #expect(try await Self.read(draft.location, 0, bytes.count, from: store) == bytes)
            let middle = try await Self.read(draft.location, 5_000_000, 4_700_000, from: store)
            #expect(middle == Array(bytes[5_000_000..<9_700_000]))
            try await store.delete(draft.location)
            #expect(try await store.size(draft.location) == nil)
        }
    }

    private func empty(_ store: any ImageStore) async throws {
        let location = try await Self.put([], as: "empty.1", in: store)
        #expect(try await store.size(location) == 0)
        #expect(try await Self.read(location, 0, 0, from: store).isEmpty)
        try await store.delete(location)
    }

    private func drafts(_ store: any ImageStore) async throws {
        let draft = try await store.create("draft.1", size: nil)
        try await draft.append([1, 2, 3])
        #expect(try await draft.inspect { bytes throws(Fault) in try bytes.read(at: 1, count: 9) } == [2, 3])
        await draft.discard()
        #expect(try await store.size(draft.location) == nil)
        await #expect(throws: Fault.self) {
            _ = try await Self.read(draft.location, 0, 1, from: store)
        }
        #expect(try await store.sweep().isEmpty)
    }

    private func halfWritten(_ store: any ImageStore) async throws {
        let draft = try await store.create("half.1", size: nil)
        for _ in 0..<25 { try await draft.append(Self.bytes) }
        // As after a kill: somebody else removes what the draft left.
        await draft.discard()
        try await store.delete(draft.location)
        #expect(try await store.size(draft.location) == nil)
    }

    private func published(_ store: any ImageStore) async throws {
        let draft = try await store.create("kept.1", size: 1)
        try await draft.append([1])
        try await draft.publish()
        await draft.discard()
        #expect(try await store.size(draft.location) == 1)
        try await store.delete(draft.location)
    }

    private func deletes(_ store: any ImageStore) async throws {
        let location = try await Self.put([1], as: "gone.1", in: store)
        try await store.requireUnused(location)
        let open = try await store.open(location, offset: 0, length: 1)
        try await store.delete(location)
        try await store.delete(location)
        #expect(try await store.size(location) == nil)
        if case .file(let file, _, _) = open { #expect(try file.read(at: 0, count: 1) == [1]) }
    }

    private func sweeps(_ store: any ImageStore) async throws {
        let location = try await Self.put([2], as: "swept.1", in: store)
        #expect(try await store.sweep().isEmpty)
        #expect(try await store.size(location) == 1)
        #expect(try await store.free() ?? 1 > 0)
        try await store.delete(location)
    }

    private func many(_ store: any ImageStore) async throws {
        let location = try await Self.put(Self.bytes, as: "many.1", in: store)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<16 {
                group.addTask { try await Self.read(location, 0, Self.bytes.count, from: store) == Self.bytes }
            }
            for try await isSame in group { #expect(isSame) }
        }
        try await store.delete(location)
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
