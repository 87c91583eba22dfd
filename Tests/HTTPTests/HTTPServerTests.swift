// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import HTTP
import Testing

struct HTTPServerTests {
    @Test("A connection serves one request after the other")
    func keepAlive() async throws {
        try await withServer(handler: echo) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                for number in 0..<5 {
                    client.send("GET /things/\(number)?a=b HTTP/1.1\r\nHost: x\r\n\r\n")
                    let answer = try client.answer()
                    #expect(answer.status == 200)
                    #expect(answer.text == "GET /things/\(number)?a=b ")
                    #expect(answer.headers["Date"] != nil)
                }
            }
        }
    }

    @Test("Pipelined requests are answered in their order, also when the first one is slow")
    func pipelining() async throws {
        let handler: HTTPHandler = { request in
            if request.path == "/slow" {
                for _ in 0..<20 { await Task.yield() }
                _ = await Task.detached { 1 }.value
            }
            return .text(request.path)
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send(
                    ["/slow", "/a", "/slow", "/b"].map { "GET \($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
                for expected in ["/slow", "/a", "/slow", "/b"] { #expect(try client.answer().text == expected) }
            }
        }
    }

    @Test("A body is read by length and in chunks")
    func bodies() async throws {
        try await withServer(handler: echo) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("POST /l HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
                #expect(try client.answer().text == "POST /l? hello")
                client.send(
                    "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
                )
                #expect(try client.answer().text == "PUT /c? abcde")
                client.send("COPY /m HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try client.answer().text == "COPY /m? ")
            }
        }
    }

    @Test("A path keeps its escapes, so that %2F is not a slash")
    func escapes() async throws {
        try await withServer(handler: echo) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("GET /v1/a%2Fb/c%00d?x=%2F&y HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try client.answer().text == "GET /v1/a%2Fb/c%00d?x=%2F&y ")
            }
        }
    }

    @Test("HEAD tells the length and sends no body")
    func head() async throws {
        let handler: HTTPHandler = { request in
            switch request.path {
            case "/told": HTTPResponse(status: 200, headers: [("Content-Length", "77")])
            case "/stream": HTTPResponse(status: 200, body: .stream(length: 9) { _ throws(Fault) in })
            default: .text("hello")
            }
        }
        try await withServer(handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                for (path, length) in [("/", "5"), ("/told", "77"), ("/stream", "9")] {
                    client.send("HEAD \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
                    #expect(try client.answer(head: true).headers["Content-Length"] == length)
                }
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try client.answer().text == "hello")
            }
        }
    }

    @Test("A request knows its peer, its listener and its headers")
    func facts() async throws {
        let handler: HTTPHandler = { request in
            .text(
                "\(request.peer) \(request.tag) \(request.port) \(request.secure) \(request.headers["x-THING"] ?? "")")
        }
        try await withServer(handler: handler) { port, server in
            let other = try server.listen(host: "127.0.0.1", port: 0, tag: "other")
            try await talk { () throws(Fault) in
                for (port, tag) in [(port, "test"), (other, "other")] {
                    let client = try RawClient(port)
                    client.send("GET / HTTP/1.1\r\nHost: x\r\nX-Thing: yes\r\n\r\n")
                    #expect(try client.answer().text == "127.0.0.1 \(tag) \(port) false yes")
                }
            }
        }
    }

    @Test("A closed listener accepts nothing more, and its connections live on")
    func closedListener() async throws {
        try await withServer(handler: echo) { port, server in
            let other = try server.listen(host: "127.0.0.1", port: 0, tag: "other")
            try await talk { () throws(Fault) in
                let client = try RawClient(other)
                client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try client.answer().status == 200)
                if let id = server.listener(port: other) { server.close(listener: id) }
                // The socket is closed on the loops' threads; until then connecting still succeeds.
                while (try? RawClient(other)) != nil { sched_yield() }
                client.send("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try client.answer().status == 200)
            }
        }
    }
}
