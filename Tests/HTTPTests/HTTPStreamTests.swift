// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import HTTP
import Synchronization
import Testing

struct HTTPStreamTests {
    static let chunk = [UInt8](repeating: 0x61, count: 65_536)

    @Test("64 MiB go up without gathering in memory, by length and in chunks", arguments: [false, true])
    func upload(chunked: Bool) async throws {
        let total = 64 << 20
        let largest = Atomic<Int>(0)
        let handler: HTTPHandler = { request in
            do throws(Fault) {
                var count = 0
                while let bytes = try await request.body.read() {
                    count += bytes.count
                    largest.max(bytes.count, ordering: .relaxed)
                }
                return .text("\(count)")
            } catch {
                return .of(error)
            }
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                let framing = chunked ? "Transfer-Encoding: chunked" : "Content-Length: \(total)"
                client.send("PUT / HTTP/1.1\r\nHost: x\r\n\(framing)\r\n\r\n")
                for _ in 0..<total / Self.chunk.count {
                    client.send(chunked ? Array("10000\r\n".utf8) + Self.chunk + [13, 10] : Self.chunk)
                }
                if chunked { client.send("0\r\n\r\n") }
                #expect(try client.answer().text == "\(total)")
            }
        }
        #expect(largest.load(ordering: .relaxed) <= 256 * 1024)
    }

    @Test("While a handler does not read, the client cannot send on")
    func backPressure() async throws {
        let gate = Gate()
        let handler: HTTPHandler = { request in
            do throws(Fault) {
                _ = try await request.body.read()
                await gate.wait()
                var count = 0
                while let bytes = try await request.body.read() { count += bytes.count }
                return .text("\(count)")
            } catch {
                return .of(error)
            }
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
                let flags = fcntl(client.socket, F_GETFL)
                _ = fcntl(client.socket, F_SETFL, flags | O_NONBLOCK)
                var sent = 0
                // Until the socket stays full for 100 ms: what went is in the kernel's buffers and our 256 KiB.
                while true {
                    var slot = pollfd(fd: client.socket, events: Int16(POLLOUT), revents: 0)
                    guard poll(&slot, 1, 100) > 0 else { break }
                    let count = Self.chunk.withUnsafeBytes {
                        Glibc.send(client.socket, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    guard count > 0 else { continue }
                    sent += count
                    if sent >= 100_000_000 { break }
                }
                #expect(sent < 50_000_000)
            }
            gate.open()
        }
    }

    @Test("64 MiB come down as fast as they are read, by length and in chunks", arguments: [nil, 64 << 20])
    func download(length: Int?) async throws {
        let total = 64 << 20
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 200,
                body: .stream(length: length) { writer throws(Fault) in
                    for _ in 0..<total / Self.chunk.count { try await writer.write(Self.chunk) }
                })
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                let answer = try client.answer()
                #expect(answer.body.count == total)
                #expect((answer.headers["Transfer-Encoding"] == "chunked") == (length == nil))
                client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                #expect(try client.answer().body.count == total)
            }
        }
    }

    @Test("A stream that breaks ends the connection, so that the reader notices")
    func brokenStream() async throws {
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 200,
                body: .stream(length: nil) { writer throws(Fault) in
                    try await writer.write(Array("some".utf8))
                    throw .internalError("lost")
                })
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                let all = String(decoding: try client.readAll(), as: UTF8.self)
                #expect(all.contains("some") && !all.hasSuffix("0\r\n\r\n"))
            }
        }
    }

    @Test("A writer learns that its reader is gone")
    func readerGone() async throws {
        let ended = Gate()
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 200,
                body: .stream(length: nil) { writer throws(Fault) in
                    defer { ended.open() }
                    while true { try await writer.write(Self.chunk) }
                })
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                _ = try client.read(100_000)
            }
            await ended.wait()
        }
    }

    @Test("A long answer and a part of a file come as they are")
    func bytesAndFiles() async throws {
        let content = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
        let path = "/tmp/apus-http-\(getpid())-\(RandomIdentifiers().hex())"
        let descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        content.withUnsafeBytes { _ = write(descriptor, $0.baseAddress!, $0.count) }
        unlink(path)
        let file = OpenFile(owning: descriptor)
        #expect(file.size == content.count)
        let handler: HTTPHandler = { request in
            request.path == "/bytes"
                ? HTTPResponse(status: 200, body: .bytes(content))
                : HTTPResponse(status: 206, body: .file(file, offset: 1_000_001, length: 1_500_000))
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                for _ in 0..<2 {
                    client.send("GET /bytes HTTP/1.1\r\nHost: x\r\n\r\n")
                    #expect(try client.answer().body == content)
                    client.send("GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
                    #expect(try client.answer().body == Array(content[1_000_001..<2_500_001]))
                }
            }
        }
    }
}

/// Opens once.
final class Gate: Sendable {
    private let state = Mutex<(open: Bool, waiters: [CheckedContinuation<Void, Never>])>((false, []))

    func wait() async {
        await withCheckedContinuation { continuation in
            let open = state.withLock { state in
                if !state.open { state.waiters.append(continuation) }
                return state.open
            }
            if open { continuation.resume() }
        }
    }

    func open() {
        let waiters = state.withLock { state in
            state.open = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
