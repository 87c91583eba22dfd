// SPDX-License-Identifier: Apache-2.0
import Base
import Testing

/// Files that are replaced as a whole.
struct FileSystemTests {
    @Test("A file is replaced, durably or not, and has its mode whatever draft was left", arguments: [false, true])
    func write(isDurable: Bool) throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-files")
        defer { FileSystem.remove(folder) }
        let path = folder + "/secret"
        try FileSystem.write("half", to: path + ".new", mode: 0o644)
        try FileSystem.write("before", to: path, mode: 0o644, isDurable: isDurable)
        try FileSystem.write("half", to: path + ".new", mode: 0o644)
        try FileSystem.write("after", to: path, mode: 0o600, isDurable: isDurable)
        #expect(FileSystem.text(path) == "after")
        #expect(FileSystem.list(folder) == ["secret"])
        #expect(try Subprocess.check(["stat", "-c", "%a", path]).hasPrefix("600"))
        #expect(throws: Fault.self) {
            try FileSystem.write("", to: folder + "/none/secret", isDurable: isDurable)
        }
    }
}
