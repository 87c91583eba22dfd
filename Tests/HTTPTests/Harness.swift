// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import HTTP
import Testing

/// A server on a free port of the loopback address for the length of a test.
func withServer(
    loops: Int = 2, limits: HTTPLimits = HTTPLimits(), tls: TLSIdentity? = nil, handler: @escaping HTTPHandler,
    test: (_ port: Int, _ server: HTTPServer) async throws -> Void
) async throws {
    let server = try HTTPServer(loops: loops, limits: limits, handler: handler)
    let port = try server.listen(host: "127.0.0.1", port: 0, tag: "test", tls: tls)
    let running = Task { await server.run() }
    do {
        try await test(port, server)
    } catch {
        running.cancel()
        await running.value
        throw error
    }
    running.cancel()
    await running.value
    #expect(server.connectionCount == 0)
}

/// How long a test waits for what must come: long, because all tests run at once and the machine may be small.
let patience = Duration.seconds(120)

let clients = BlockingPool(name: "test clients", threads: 16, queue: 1000)

/// Runs a conversation over blocking sockets away from the cooperative threads.
func talk<T: Sendable>(_ body: @escaping @Sendable () throws(Fault) -> T) async throws -> T {
    try await clients.run(body)
}

/// A blocking socket that speaks raw bytes.
final class RawClient {
    let socket: Int32
    private var buffer: [UInt8] = []

    init(_ port: Int) throws(Fault) {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var longest = timeval(tv_sec: Int(patience.components.seconds), tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &longest, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &longest, socklen_t(MemoryLayout<timeval>.size))
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw .internalError("connect: \(String(cString: strerror(errno)))") }
    }

    deinit { close(socket) }

    /// False once the other end is gone.
    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// More bytes; empty at the end of the connection (or its reset).
    private func receive() throws(Fault) -> [UInt8] {
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, filled in
            count = recv(socket, buffer.baseAddress!, 65_536, 0)
            filled = max(0, count)
        }
        if count < 0 && errno == EAGAIN { throw .timeout("nothing came in \(patience)") }
        return bytes
    }

    func readAll() throws(Fault) -> [UInt8] {
        var all = buffer
        buffer = []
        while true {
            let more = try receive()
            if more.isEmpty { return all }
            all += more
        }
    }

    func read(_ count: Int) throws(Fault) -> [UInt8] {
        while buffer.count < count {
            let more = try receive()
            if more.isEmpty { throw .unavailable("closed after \(buffer.count) of \(count) bytes") }
            buffer += more
        }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    private func readLine() throws(Fault) -> String {
        while true {
            if let end = buffer.firstIndex(of: 10) {
                defer { buffer.removeFirst(end + 1) }
                return String(decoding: buffer[..<end].filter { $0 != 13 }, as: UTF8.self)
            }
            let more = try receive()
            if more.isEmpty { throw .unavailable("closed inside a line") }
            buffer += more
        }
    }

    /// The next answer, its body by length or chunks; `head` when none follows.
    func answer(head: Bool = false) throws(Fault) -> Answer {
        let line = try readLine()
        var answer = Answer(status: Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0)
        while true {
            let line = try readLine()
            guard let colon = line.firstIndex(of: ":") else { break }
            answer.headers.add(
                String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " }))
        }
        if head || answer.status < 200 || answer.status == 204 || answer.status == 304 { return answer }
        if let length = answer.headers["Content-Length"].flatMap({ Int($0) }) {
            answer.body = try read(length)
        } else if answer.headers["Transfer-Encoding"] == "chunked" {
            while true {
                let size = Int(try readLine(), radix: 16) ?? 0
                answer.body += try read(size)
                _ = try readLine()
                if size == 0 { break }
            }
        } else {
            answer.body = try readAll()
        }
        return answer
    }
}

struct Answer: Sendable {
    var status: Int
    var headers = HTTPHeaders()
    var body: [UInt8] = []
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension HTTPResponse {
    static func text(_ text: String, status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("Content-Type", "text/plain")], body: .bytes(Array(text.utf8)))
    }

    static func of(_ fault: Fault) -> HTTPResponse { .text(fault.message, status: fault.status) }
}

/// Answers with what came.
let echo: HTTPHandler = { request in
    do throws(Fault) {
        let body = try await request.body.collect(limit: 1 << 20)
        return .text("\(request.method) \(request.path)?\(request.query) \(String(decoding: body, as: UTF8.self))")
    } catch {
        return .of(error)
    }
}
