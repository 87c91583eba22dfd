// SPDX-License-Identifier: Apache-2.0
import Base
import Testing

@testable import HTTP

struct WebSocketTests {
    @Test("The handshake's digest is RFC 6455's example")
    func acceptance() {
        #expect(WebSocketConnection.acceptance("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test("Frames read back as they were written, in any cut", arguments: [0, 1, 125, 126, 65_535, 65_536, 100_000])
    func frames(count: Int) throws {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for mask in [nil, [1, 2, 3, 4]] as [[UInt8]?] {
            let frame = WebSocketFrame(opcode: .binary, payload: payload)
            var decoder = WebSocketDecoder(expectsMask: mask != nil, limit: 200_000)
            let bytes = frame.bytes(mask: mask) + frame.bytes(mask: mask)
            var read: [WebSocketFrame] = []
            for start in stride(from: 0, to: bytes.count, by: 1009) {
                decoder.feed(Array(bytes[start..<min(start + 1009, bytes.count)]))
                while let next = try decoder.next() { read.append(next) }
            }
            #expect(read == [frame, frame])
        }
    }

    @Test(
        "A break of the protocol is refused",
        arguments: [
            [0xC1, 0x80, 0, 0, 0, 0], [0x83, 0x80, 0, 0, 0, 0], [0x81, 0x00], [0x09, 0x80, 0, 0, 0, 0],
            [0x89, 0xFE, 0, 126, 0, 0, 0, 0], [0x81, 0xFE, 0, 5, 0, 0, 0, 0],
            [0x82, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] as [[UInt8]])
    func breaks(bytes: [UInt8]) {
        var decoder = WebSocketDecoder(expectsMask: true, limit: 1000)
        decoder.feed(bytes)
        #expect(throws: WebSocketBreak.self) { try decoder.next() }
    }

    @Test("Parts are put together, with control frames between them")
    func assembly() throws {
        var assembler = WebSocketAssembler(limit: 10)
        #expect(try assembler.take(WebSocketFrame(isFinal: false, opcode: .text, payload: [0xC3])) == nil)
        #expect(try assembler.take(WebSocketFrame(opcode: .ping, payload: [1])) == .ping([1]))
        #expect(try assembler.take(WebSocketFrame(opcode: .continuation, payload: [0xA9])) == .text("é"))
        #expect(throws: WebSocketBreak.notText) {
            try assembler.take(WebSocketFrame(opcode: .text, payload: [0xFF]))
        }
        var other = WebSocketAssembler(limit: 10)
        #expect(throws: WebSocketBreak.tooBig) {
            try other.take(WebSocketFrame(opcode: .binary, payload: [UInt8](repeating: 0, count: 11)))
        }
        #expect(throws: WebSocketBreak.self) { try other.take(WebSocketFrame(opcode: .close, payload: [3])) }
        #expect(throws: WebSocketBreak.self) { try other.take(WebSocketFrame(opcode: .close, payload: [3, 237])) }
    }

    @Test("A session echoes what it gets, answers pings and says goodbye")
    func session() async throws {
        let handler: HTTPHandler = { request in
            WebSocketConnection.accept(request, protocols: ["binary"]) { socket in
                do throws(Fault) {
                    while let message = try await socket.receive() { try await socket.send(binary: message.bytes) }
                } catch {
                    Issue.record("\(error)")
                }
            }
        }
        try await withServer(loops: 1, handler: handler) { port, _ in
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send(
                    """
                    GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Protocol: base64, binary\r\n\r\n
                    """)
                let answer = try client.answer(head: true)
                #expect(answer.status == 101)
                #expect(answer.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                #expect(answer.headers["Sec-WebSocket-Protocol"] == "binary")
                for count in [5, 300, 70_000] {
                    let frame = WebSocketFrame(opcode: .binary, payload: [UInt8](repeating: 9, count: count))
                    client.send(frame.bytes(mask: [1, 2, 3, 4]))
                    let expected = frame.bytes(mask: nil)
                    #expect(try client.read(expected.count) == expected)
                }
                client.send(WebSocketFrame(opcode: .ping, payload: [7]).bytes(mask: [1, 2, 3, 4]))
                #expect(try client.read(3) == [0x8A, 1, 7])
                client.send(WebSocketFrame(opcode: .close, payload: [3, 232]).bytes(mask: [1, 2, 3, 4]))
                #expect(try client.readAll() == [0x88, 2, 3, 232])
            }
        }
    }

    @Test("A request that is no handshake is refused")
    func refused() {
        let plain = WebSocketConnection.accept(HTTPRequest(method: "GET", path: "/")) { _ in }
        #expect(plain.status == 400)
    }
}
