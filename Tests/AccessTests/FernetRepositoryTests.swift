// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Glibc
import Testing

/// A directory of its own per test, removed afterwards.
final class Scratch {
    let path: String

    init() {
        var template = Array("/tmp/apus-access-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template))
    }

    deinit {
        for name in names { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    var names: [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var found: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { found.append(name) }
        }
        return found.sorted()
    }

    func write(_ name: String, _ text: String, mode: mode_t = 0o600) {
        let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode)
        _ = Glibc.write(file, text, text.utf8.count)
        fchmod(file, mode)
        close(file)
    }

    func mode(_ name: String) -> mode_t {
        var about = stat()
        stat("\(path)/\(name)", &about)
        return about.st_mode & 0o777
    }
}

struct FernetRepositoryTests {
    let scratch = Scratch()
    var repository: FernetRepository { FernetRepository(directory: scratch.path) }

    @Test("A new repository has a staged and a primary key, and making it again changes nothing")
    func create() throws {
        try repository.create()
        #expect(scratch.names == ["0", "1"])
        #expect(scratch.mode("0") == 0o600 && scratch.mode("1") == 0o600)
        let first = try repository.load().keys
        try repository.create()
        #expect(try repository.load().keys == first)
    }

    @Test("The directory is made when it is missing")
    func missingDirectory() throws {
        let inner = FernetRepository(directory: scratch.path + "/keys")
        defer {
            for name in ["0", "1"] { unlink("\(scratch.path)/keys/\(name)") }
            rmdir(scratch.path + "/keys")
        }
        #expect(throws: Fault.self) { try inner.load() }
        try inner.create()
        #expect(try inner.load().keys.count == 2)
    }

    @Test("Rotation promotes the staged key and drops the oldest, and tokens live until their key goes")
    func rotate() throws {
        try repository.create()
        let staged = try repository.load().keys[1]
        let token = try repository.load().encrypt([1], at: Timestamp(seconds: 1))
        try repository.rotate(maxActive: 3)
        #expect(scratch.names == ["0", "1", "2"])
        #expect(try repository.load().keys[0] == staged)
        #expect(try repository.load().decrypt(token)?.payload == [1])
        try repository.rotate(maxActive: 3)
        #expect(scratch.names == ["0", "2", "3"])
        #expect(try repository.load().decrypt(token) == nil)
        try repository.rotate(maxActive: 1)
        #expect(scratch.names == ["0", "4"], "a primary and a staged key always stay")
    }

    @Test("A rotation that died half way is mended by the next")
    func interrupted() throws {
        try repository.create()
        rename("\(scratch.path)/0", "\(scratch.path)/2")
        scratch.write("0.tmp", "")
        #expect(try repository.load().keys.count == 2)
        try repository.rotate(maxActive: 5)
        #expect(scratch.names == ["0", "1", "2", "3"])
        #expect(try repository.load().keys.count == 4)
    }

    @Test("A repository that Keystone made is read: padding, line ends, other files, empty ones")
    func foreign() throws {
        scratch.write("0", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
        scratch.write("3", "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=")
        scratch.write("4", "")
        scratch.write("notes.txt", "not a key")
        #expect(try repository.load().keys.map(\.text).first == "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=")
        #expect(try repository.load().keys.count == 2)
    }

    @Test("A damaged key, an open one and an empty directory are named in the fault")
    func damaged() throws {
        #expect(throws: Fault.self) { try repository.load() }
        scratch.write("1", "short")
        let damaged = #expect(throws: Fault.self) { try repository.load() }
        #expect(damaged?.message.contains("\(scratch.path)/1 is not a Fernet key") == true)
        scratch.write("1", FernetKey.random(RandomIdentifiers()).text, mode: 0o644)
        let open = #expect(throws: Fault.self) { try repository.load() }
        #expect(open?.message.contains("chmod 600") == true)
    }

    @Test("The mark moves with every rotation and stays otherwise")
    func mark() throws {
        try repository.create()
        let before = try repository.mark()
        #expect(try repository.mark() == before)
        try repository.rotate(maxActive: 3)
        #expect(try repository.mark() != before)
    }
}
