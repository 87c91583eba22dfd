// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import HTTP
import Testing

struct HTTPClientTests {
    @Test("A call brings status, headers and body, over one connection again and again")
    func calls() async throws {
        let client = HTTPClient(threads: 1)
        let handler: HTTPHandler = { request in
            var response = await echo(request)
            response.headers.append(("X-Port", "\(request.peerPort)"))
            return response
        }
        try await withServer(loops: 1, handler: handler) { port, _ in
            var ports: Set<String> = []
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "COPY"] {
                let body = method == "GET" ? "" : "some"
                let reply = try await client.send(
                    method, "http://127.0.0.1:\(port)/a%2Fb?c=d", body: Array(body.utf8), timeout: patience)
                #expect(reply.status == 200)
                #expect(String(decoding: reply.body, as: UTF8.self) == "\(method) /a%2Fb?c=d \(body)")
                ports.insert(reply.headers["x-port"] ?? "")
            }
            let head = try await client.send("HEAD", "http://127.0.0.1:\(port)/", timeout: patience)
            #expect(head.headers["Content-Length"] == "8" && head.body.isEmpty)
            #expect(ports.count == 1)
        }
    }

    @Test("A server that does not answer costs the deadline and no more")
    func deadline() async throws {
        let client = HTTPClient(threads: 1)
        let gate = Gate()
        let handler: HTTPHandler = { _ in
            await gate.wait()
            return .text("late")
        }
        try await withServer(loops: 1, handler: handler) { port, _ in
            await #expect(throws: Fault.self) {
                _ = try await client.send("GET", "http://127.0.0.1:\(port)/", timeout: .milliseconds(200))
            }
            gate.open()
        }
    }

    @Test("A server that is not there is a 503, an answer that is too long a 502")
    func failures() async throws {
        let client = HTTPClient(threads: 1)
        try await withServer(loops: 1, handler: { _ in .text(String(repeating: "a", count: 2000)) }) { port, _ in
            do throws(Fault) {
                _ = try await client.send("GET", "http://127.0.0.1:\(port)/", timeout: patience, limit: 1000)
                Issue.record("it was taken in")
            } catch {
                #expect(error.status == 502)
            }
        }
        do throws(Fault) {
            _ = try await client.send("GET", "http://127.0.0.1:1/", timeout: patience)
            Issue.record("somebody answered")
        } catch {
            #expect(error.status == 503)
        }
    }

    @Test("A download goes to the file, an error's text does not")
    func download() async throws {
        let client = HTTPClient(threads: 1)
        let path = "/tmp/apus-download-\(getpid())-\(RandomIdentifiers().hex())"
        let file = OpenFile(owning: open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600))
        unlink(path)
        let handler: HTTPHandler = { request in
            request.path == "/no"
                ? .text("no", status: 404)
                : HTTPResponse(status: 200, body: .bytes([UInt8](repeating: 7, count: 5_000_000)))
        }
        try await withServer(loops: 1, handler: handler) { port, _ in
            let url = "http://127.0.0.1:\(port)"
            let reply = try await client.download(
                "\(url)/", to: file.descriptor, timeout: patience, limit: 5_000_000)
            #expect(reply.status == 200 && reply.body.isEmpty && file.size == 5_000_000)
            let refusal = try await client.download(
                "\(url)/no", to: file.descriptor, timeout: patience, limit: 5_000_000)
            #expect(refusal.status == 404 && refusal.body == Array("no".utf8) && file.size == 5_000_000)
        }
    }
}
