// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import HTTP
import Synchronization
import Testing

/// Bodies that are long enough to be taken past libmicrohttpd.
struct DirectBodyTests {
    private static let total = 4 << 20
    /// A megabyte that repeats, so that a piece out of place shows.
    private static let pattern = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }

    /// How requests ended.
    private final class Ends: Sendable {
        private let all = Mutex<[String]>([])
        var list: [String] { all.withLock { $0 } }
        func add(_ end: String) { all.withLock { $0.append(end) } }
    }

    /// Answers whether what came is the pattern, and keeps how each request ended.
    private static func comparing(_ ends: Ends) -> HTTPHandler {
        { request in
            do throws(Fault) {
                var (count, isRight) = (0, true)
                while let bytes = try await request.body.read() {
                    var at = 0
                    while at < bytes.count {
                        let start = (count + at) % pattern.count
                        let length = min(bytes.count - at, pattern.count - start)
                        isRight = isRight && bytes[at..<at + length] == pattern[start..<start + length]
                        at += length
                    }
                    count += bytes.count
                }
                ends.add("whole")
                return .text("\(count) \(isRight)")
            } catch {
                ends.add("\(error.status)")
                return .of(error)
            }
        }
    }

    @Test("All bytes arrive as they were sent, in pieces of any size, and the connection ends with the answer")
    func whole() async throws {
        let ends = Ends()
        try await withServer(handler: Self.comparing(ends)) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: \(Self.total)\r\n\r\n")
                var (sent, size) = (0, 1)
                while sent < Self.total {
                    let start = sent % Self.pattern.count
                    let end = min(Self.total - sent + start, start + size, Self.pattern.count)
                    client.send(Array(Self.pattern[start..<end]))
                    sent += end - start
                    size = min(1 << 20, size * 3)
                }
                let answer = try client.answer()
                #expect(answer.status == 200)
                #expect(answer.text == "\(Self.total) true")
                #expect(try client.readAll().isEmpty)
            }
        }
        #expect(ends.list == ["whole"])
    }

    @Test("A client that goes in the middle of a body is noticed, and the handler told", arguments: [1000, 2 << 20])
    func lost(sent: Int) async throws {
        let ends = Ends()
        try await withServer(handler: Self.comparing(ends)) { port, server in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: \(Self.total)\r\n\r\n")
                client.send([UInt8](repeating: 1, count: sent))
            }
            while ends.list.isEmpty || server.connectionCount > 0 { await Task.yield() }
        }
        #expect(ends.list == ["499"])
    }

    @Test("A refusal in the middle of a body reaches the client that is still sending")
    func refused() async throws {
        let handler: HTTPHandler = { request in
            do throws(Fault) {
                var count = 0
                while let bytes = try await request.body.read() {
                    count += bytes.count
                    if count > 3 << 20 { throw .tooLarge("enough") }
                }
                return .text("\(count)")
            } catch {
                return .of(error)
            }
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: \(1 << 30)\r\n\r\n")
                let piece = [UInt8](repeating: 1, count: 1 << 16)
                for _ in 0..<60 where !client.send(piece) { break }
                #expect(try client.answer().status == 413)
            }
        }
    }
}

/// Files that are long enough to be sent past libmicrohttpd.
struct DirectFileTests {
    private static let length = 9 << 20

    private func withFile(_ test: (_ port: Int, _ bytes: [UInt8]) async throws -> Void) async throws {
        let folder = try FileSystem.makeTemporaryDirectory("direct-file")
        defer { FileSystem.remove(folder) }
        let bytes = (0..<(Self.length + 100)).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 4) }
        try FileSystem.write(bytes, to: "\(folder)/file")
        let file = try OpenFile.reading("\(folder)/file")
        let handler: HTTPHandler = { request in
            HTTPResponse(
                status: 206, headers: [("Content-Type", "application/octet-stream"), ("X-Answer", "yes")],
                body: .file(file, offset: 50, length: Self.length))
        }
        try await withServer(handler: handler) { port, _ in try await test(port, bytes) }
    }

    @Test("A long file comes as it is, with its headers, also to a client that asked with a body", arguments: [0, 3])
    func whole(sent: Int) async throws {
        try await withFile { port, bytes in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(sent)\r\n\r\n")
                client.send([UInt8](repeating: 1, count: sent))
                let all = try client.readAll()
                let end = all.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound ?? 0
                let head = String(decoding: all[..<end], as: UTF8.self)
                #expect(head.hasPrefix("HTTP/1.1 206 "))
                #expect(head.contains("X-Answer: yes\r\n") && head.contains("Content-Length: \(Self.length)\r\n"))
                #expect(all[end...].elementsEqual(bytes[50..<Self.length + 50]))
            }
        }
    }

    @Test("A reader that goes in the middle of a long file leaves nothing behind")
    func lost() async throws {
        try await withFile { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                _ = try client.read(1000)
            }
        }
    }
}
