// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Synchronization

/// A WebSocket (RFC 6455) over an upgraded connection, the server's end unless said otherwise. Pings are answered and
/// parts put together inside; one task may receive while others send.
package final class WebSocketConnection: Sendable {
    package enum Message: Sendable, Equatable {
        case text(String)
        case binary([UInt8])

        package var bytes: [UInt8] {
            switch self {
            case .text(let text): Array(text.utf8)
            case .binary(let bytes): bytes
            }
        }
    }

    private struct State {
        var decoder: WebSocketDecoder
        var assembler: WebSocketAssembler
        var closeSent = false
    }

    private let connection: UpgradedConnection
    private let isServer: Bool
    private let identifiers: any Identifiers
    private let state: Mutex<State>

    /// - Parameter limit: the longest message that is received.
    package init(
        _ connection: UpgradedConnection, isServer: Bool = true, limit: Int = 1 << 20,
        identifiers: any Identifiers = RandomIdentifiers()
    ) {
        self.connection = connection
        self.isServer = isServer
        self.identifiers = identifiers
        state = Mutex(
            State(
                decoder: WebSocketDecoder(expectsMask: isServer, limit: limit),
                assembler: WebSocketAssembler(limit: limit)))
    }

    /// The answer to a handshake: 101 and the session, or the refusal that RFC 6455 section 4.2.2 asks for.
    /// - Parameter protocols: those the session speaks, best first; the first one that the client offers is chosen.
    package static func accept(
        _ request: HTTPRequest, protocols: [String] = [], limit: Int = 1 << 20,
        session: @escaping @Sendable (WebSocketConnection) async -> Void
    ) -> HTTPResponse {
        let headers = request.headers
        guard request.method == "GET", headers.names("websocket", in: "Upgrade"),
            headers.names("upgrade", in: "Connection"), let key = headers["Sec-WebSocket-Key"], key.utf8.count == 24
        else {
            return HTTPResponse(
                status: 400, headers: [("Content-Type", "text/plain")],
                body: .bytes(Array("A WebSocket handshake is expected.\n".utf8)))
        }
        guard headers["Sec-WebSocket-Version"] == "13" else {
            return HTTPResponse(status: 426, headers: [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")])
        }
        var reply = [("Sec-WebSocket-Accept", acceptance(key))]
        if let chosen = protocols.first(where: { headers.names($0, in: "Sec-WebSocket-Protocol") }) {
            reply.append(("Sec-WebSocket-Protocol", chosen))
        }
        return HTTPResponse(
            status: 101,
            body: .upgrade(protocol: "websocket", headers: reply) { connection in
                let socket = WebSocketConnection(connection, limit: limit)
                await session(socket)
                await socket.close()
            })
    }

    static func acceptance(_ key: String) -> String {
        Base64.encode(SHA1.digest(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
    }

    // MARK: Receiving

    /// The next message; nil once the other end has closed, cleanly or not. A break of the protocol closes as well.
    package func receive() async throws(Fault) -> Message? {
        while true {
            switch pending() {
            case .success(.text(let text)): return .text(text)
            case .success(.binary(let bytes)): return .binary(bytes)
            case .success(.ping(let payload)): try await send(WebSocketFrame(opcode: .pong, payload: payload))
            case .success(.pong): break
            case .success(.close(let code, _)):
                await close(code: code ?? 1000)
                return nil
            case .failure(let problem):
                await close(code: problem.code, reason: problem.reason)
                return nil
            case nil:
                guard let bytes = try await connection.read() else { return nil }
                state.withLock { $0.decoder.feed(bytes) }
            }
        }
    }

    /// The next event of what has been read; nil when that is not enough for one.
    private func pending() -> Result<WebSocketAssembler.Event, WebSocketBreak>? {
        state.withLock { state in
            do throws(WebSocketBreak) {
                while let frame = try state.decoder.next() {
                    if let event = try state.assembler.take(frame) { return .success(event) }
                }
                return nil
            } catch {
                return .failure(error)
            }
        }
    }

    // MARK: Sending

    package func send(binary bytes: [UInt8]) async throws(Fault) {
        try await send(WebSocketFrame(opcode: .binary, payload: bytes))
    }

    package func send(text: String) async throws(Fault) {
        try await send(WebSocketFrame(opcode: .text, payload: Array(text.utf8)))
    }

    package func ping(_ payload: [UInt8] = []) async throws(Fault) {
        try await send(WebSocketFrame(opcode: .ping, payload: Array(payload.prefix(125))))
    }

    /// Says goodbye, once, and ends the connection.
    package func close(code: UInt16 = 1000, reason: String = "") async {
        let first = state.withLock { state in
            defer { state.closeSent = true }
            return !state.closeSent
        }
        if first {
            let payload = [UInt8(code >> 8), UInt8(code & 255)] + Array(reason.utf8.prefix(120))
            do throws(Fault) { try await write(WebSocketFrame(opcode: .close, payload: payload)) } catch {
                // The other end is gone already; there is nobody to tell.
            }
        }
        connection.close()
    }

    private func send(_ frame: WebSocketFrame) async throws(Fault) {
        guard !state.withLock({ $0.closeSent }) else { throw Fault(499, "The WebSocket is closed.") }
        try await write(frame)
    }

    private func write(_ frame: WebSocketFrame) async throws(Fault) {
        try await connection.write(frame.bytes(mask: isServer ? nil : identifiers.bytes(4)))
    }
}
