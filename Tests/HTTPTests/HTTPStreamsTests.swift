// SPDX-License-Identifier: Apache-2.0
import Base
import HTTP
import Synchronization
import Testing

/// Streams of more than anything in between may hold.
struct HTTPStreamsTests {
    private static let piece = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    private static func sum(_ body: HTTPBody) async throws(Fault) -> (Int, UInt64) {
        var count = 0
        var sum: UInt64 = 0
        while let bytes = try await body.read() {
            count += bytes.count
            for byte in bytes { sum = sum &* 31 &+ UInt64(byte) }
        }
        return (count, sum)
    }

    private static func expected(_ pieces: Int) -> (Int, UInt64) {
        var sum: UInt64 = 0
        for _ in 0..<pieces { for byte in piece { sum = sum &* 31 &+ UInt64(byte) } }
        return (pieces * piece.count, sum)
    }

    @Test("An answer is read while it arrives, and the server waits for a slow reader")
    func receives() async throws {
        let written = Mutex(0)
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 206, headers: [("X-Kind", "long")],
                body: .stream(length: 100 * Self.piece.count) { writer async throws(Fault) in
                    for _ in 0..<100 {
                        try await writer.write(Self.piece)
                        written.withLock { $0 += 1 }
                    }
                })
        }
        try await withServer(handler: handler) { port, _ in
            let reply = try await HTTPStreams().receive("http://127.0.0.1:\(port)/")
            #expect(reply.status == 206 && reply.headers["x-kind"] == "long")
            #expect(reply.body.contentLength == 100 * Self.piece.count)
            // Nobody has read: the pipes and sockets between are full long before the end.
            #expect(written.withLock { $0 } < 100)
            let (count, sum) = try await Self.sum(reply.body)
            let expected = Self.expected(100)
            #expect(count == expected.0 && sum == expected.1)
        }
    }

    @Test("A body is sent piece by piece, with its length or without", arguments: [true, false])
    func sends(isKnown: Bool) async throws {
        let handler: HTTPHandler = { request in
            do throws(Fault) {
                let (count, sum) = try await Self.sum(request.body)
                return .text("\(request.method) \(count) \(sum) \(request.headers["Content-Length"] ?? "chunked")")
            } catch {
                return .text(error.message, status: 500)
            }
        }
        try await withServer(handler: handler) { port, _ in
            let total = 30 * Self.piece.count
            let upload = try HTTPStreams().send("http://127.0.0.1:\(port)/a", length: isKnown ? total : nil)
            for _ in 0..<30 { try await upload.write(Self.piece) }
            let reply = try await upload.finish()
            let expected = Self.expected(30)
            #expect(
                String(decoding: reply.body, as: UTF8.self)
                    == "PUT \(expected.0) \(expected.1) \(isKnown ? "\(total)" : "chunked")")
        }
    }

    @Test("Many streams at once share one thread")
    func many() async throws {
        let handler: HTTPHandler = { _ in
            HTTPResponse(status: 200, body: .bytes(Array(repeating: Self.piece, count: 10).flatMap { $0 }))
        }
        try await withServer(handler: handler) { port, _ in
            let streams = HTTPStreams()
            let counts = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<40 {
                    group.addTask {
                        try await Self.sum(try await streams.receive("http://127.0.0.1:\(port)/").body).0
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(counts == Array(repeating: 10 * Self.piece.count, count: 40))
        }
    }

    @Test("A server that is not there, or breaks off, is a fault")
    func failures() async throws {
        let streams = HTTPStreams()
        await #expect(throws: Fault.self) { _ = try await streams.receive("http://127.0.0.1:1/") }
        let upload = try streams.send("http://127.0.0.1:1/")
        await #expect(throws: Fault.self) {
            for _ in 0..<100 { try await upload.write(Self.piece) }
            _ = try await upload.finish()
        }
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 200,
                body: .stream(length: 1_000_000) { writer async throws(Fault) in
                    try await writer.write(Self.piece)
                    throw .unavailable("no more")
                })
        }
        try await withServer(handler: handler) { port, _ in
            let reply = try await streams.receive("http://127.0.0.1:\(port)/")
            await #expect(throws: Fault.self) { _ = try await Self.sum(reply.body) }
        }
    }

    @Test("A reader that goes away ends the call at the server")
    func dropped() async throws {
        let gate = Gate()
        let handler: HTTPHandler = { _ in
            HTTPResponse(
                status: 200,
                body: .stream(length: nil) { writer async throws(Fault) in
                    do throws(Fault) {
                        while true { try await writer.write(Self.piece) }
                    } catch {
                        gate.open()
                        throw error
                    }
                })
        }
        try await withServer(handler: handler) { port, _ in
            let streams = HTTPStreams()
            do {
                let reply = try await streams.receive("http://127.0.0.1:\(port)/")
                #expect(try await reply.body.read() != nil)
            }
            await gate.wait()
            withExtendedLifetime(streams) {}
        }
    }
}
