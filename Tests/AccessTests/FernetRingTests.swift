// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Testing

struct FernetRingTests {
    @Test("A rotation by somebody else is seen at the next look, and tokens of a key that went are no more")
    func rotation() throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-ring")
        defer { FileSystem.remove(folder) }
        let repository = FernetRepository(directory: folder)
        #expect(try repository.create())
        #expect(try !repository.create())
        let ring = try FernetRing(repository)
        let time = Timestamp(seconds: 1000)
        let first = ring.keys.encrypt([1], at: time)
        #expect(try !ring.refresh())
        try repository.rotate(maxActive: 3)
        #expect(ring.keys.decrypt(first) != nil)
        #expect(try ring.refresh())
        #expect(try !ring.refresh())
        #expect(ring.keys.decrypt(first) != nil, "its key is the secondary one")
        for _ in 0..<3 { try repository.rotate(maxActive: 3) }
        #expect(try ring.refresh())
        #expect(ring.keys.decrypt(first) == nil)
        FileSystem.remove(folder)
        #expect(throws: Fault.self) { try ring.refresh() }
    }

    @Test("What was encrypted with everybody's key is read only where that is asked for")
    func nullKey() throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-ring")
        defer { FileSystem.remove(folder) }
        let repository = FernetRepository(directory: folder)
        try repository.create()
        let text = FernetKeys([.null]).encrypt([7], at: Timestamp(seconds: 1))
        #expect(try FernetRing(repository).keys.decrypt(text) == nil)
        #expect(try FernetRing(repository, readsNullKey: true).keys.decrypt(text)?.payload == [7])
        #expect(try FernetRing(repository, readsNullKey: true).keys.keys.first != .null)
    }
}
