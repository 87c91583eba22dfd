// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import HTTP
import Synchronization
import Testing

/// Expectations, stopping and crowds.
struct HTTPLifeTests {
    @Test("A client that expects 100 gets it when the handler asks for the body, else the refusal")
    func expectation() async throws {
        let handler: HTTPHandler = { request in
            request.path == "/no" ? .text("no", status: 403) : await echo(request)
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("PUT /yes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
                #expect(try client.answer().status == 100)
                client.send("hello")
                #expect(try client.answer().text == "PUT /yes? hello")
                client.send("PUT /no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
                #expect(try client.answer().status == 403)
                #expect(try client.readAll().isEmpty)
            }
        }
    }

    @Test("A body that nobody reads: a short one keeps the connection, a long one gets its answer early")
    func unread() async throws {
        try await withServer(handler: { _ in .text("no", status: 403) }) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                for _ in 0..<3 {
                    client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
                    #expect(try client.answer().text == "no")
                }
                client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
                client.send([UInt8](repeating: 1, count: 100_000))
                #expect(try client.answer().text == "no")
            }
        }
    }

    @Test("A body beyond the handler's limit is answered with 413 while it still comes", arguments: [true, false])
    func tooLarge(chunked: Bool) async throws {
        try await withServer(handler: echo) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                let framing = chunked ? "Transfer-Encoding: chunked" : "Content-Length: 2000000000"
                client.send("PUT / HTTP/1.1\r\nHost: x\r\n\(framing)\r\n\r\n")
                let chunk = Array("10000\r\n".utf8) + [UInt8](repeating: 0x61, count: 65_536) + [13, 10]
                for _ in 0..<32 { client.send(chunked ? chunk : Array(chunk.dropFirst(7).dropLast(2))) }
                #expect(try client.answer().status == 413)
            }
        }
    }

    @Test("Stopping waits for a handler that is suspended, and its answer arrives")
    func drain() async throws {
        let gate = Gate()
        let started = Gate()
        let server = try HTTPServer(loops: 2) { _ in
            started.open()
            await gate.wait()
            return .text("done")
        }
        let port = try server.listen(host: "127.0.0.1", port: 0, tag: "test")
        let running = Task { await server.run() }
        let answer = Task {
            try await talk { () throws(Fault) in
                let idle = try RawClient(port)
                let client = try RawClient(port)
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                let answer = try client.answer()
                #expect(try client.readAll().isEmpty)
                #expect(try idle.readAll().isEmpty)
                return answer
            }
        }
        await started.wait()
        running.cancel()
        // Refused from now on; only then may the handler go on.
        try await talk { () throws(Fault) in while (try? RawClient(port)) != nil { sched_yield() } }
        gate.open()
        #expect(try await answer.value.text == "done")
        #expect(try await answer.value.headers["Connection"] == "close")
        await running.value
    }

    @Test("A handler that never ends cannot hold up the stop")
    func stuck() async throws {
        var limits = HTTPLimits()
        limits.drain = .milliseconds(100)
        let started = Gate()
        let gate = Gate()
        let server = try HTTPServer(loops: 1, limits: limits) { _ in
            started.open()
            await gate.wait()
            return .text("too late")
        }
        let port = try server.listen(host: "127.0.0.1", port: 0, tag: "test")
        let running = Task { await server.run() }
        let answer = Task {
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                return try client.answer()
            }
        }
        await started.wait()
        running.cancel()
        #expect(try await answer.value.status == 503)
        await running.value
        gate.open()
    }

    @Test("Whoever comes while a server stops is turned away", .serialized, arguments: 1...10)
    func late(round: Int) async throws {
        let server = try HTTPServer(loops: 4, handler: echo)
        let port = try server.listen(host: "127.0.0.1", port: 0, tag: "test")
        let running = Task { await server.run() }
        let enough = Gate()
        async let crowd: Void = talk { () throws(Fault) in
            var clients: [RawClient] = []
            while clients.count < 300, let client = try? RawClient(port) {
                clients.append(client)
                if clients.count == 10 * round { enough.open() }
            }
            enough.open()
        }
        await enough.wait()
        running.cancel()
        await running.value
        try await crowd
        while server.connectionCount > 0 { await Task.yield() }
    }

    /// How many connections, both ends of which are ours, leave enough descriptors for the tests that run meanwhile.
    private func connectionsAtOnce(_ wanted: Int) -> Int {
        let others = 12_000
        let limit = Int32(RLIMIT_NOFILE.rawValue)
        var room = rlimit()
        getrlimit(limit, &room)
        var more = rlimit(rlim_cur: rlim_t(2 * wanted + others), rlim_max: rlim_t(2 * wanted + others))
        if room.rlim_max < more.rlim_max, setrlimit(limit, &more) == 0 { return wanted }
        room.rlim_cur = room.rlim_max
        setrlimit(limit, &room)
        return min(wanted, max(100, (Int(clamping: room.rlim_max) - others) / 2))
    }

    @Test("Ten thousand idle connections live side by side, where the machine allows so many")
    func crowd() async throws {
        let count = connectionsAtOnce(10_000)
        try await withServer(handler: echo) { port, server in
            try await talk { () throws(Fault) in
                var clients: [RawClient] = []
                for _ in 0..<count { clients.append(try RawClient(port)) }
                while server.connectionCount < count { sched_yield() }
                for number in stride(from: 0, to: count, by: 500) {
                    clients[number].send("GET /\(number) HTTP/1.1\r\nHost: x\r\n\r\n")
                    #expect(try clients[number].answer().text == "GET /\(number)? ")
                }
                clients.removeAll()
                while server.connectionCount > 0 { sched_yield() }
            }
        }
    }
}
