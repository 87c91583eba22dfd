// SPDX-License-Identifier: Apache-2.0

/// What a WebSocket frame is for (RFC 6455 section 5.2).
enum WebSocketOpcode: UInt8, Sendable {
    case continuation = 0
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10

    var isControl: Bool { rawValue >= 8 }
}

/// Breaks of the protocol, with the code that the closing frame tells.
struct WebSocketBreak: Error, Equatable {
    let code: UInt16
    let reason: String

    static func protocolError(_ reason: String) -> WebSocketBreak { WebSocketBreak(code: 1002, reason: reason) }
    static let notText = WebSocketBreak(code: 1007, reason: "text is not UTF-8")
    static let tooBig = WebSocketBreak(code: 1009, reason: "message too big")
}

/// One frame, its payload unmasked.
struct WebSocketFrame: Equatable, Sendable {
    var isFinal = true
    let opcode: WebSocketOpcode
    let payload: [UInt8]

    /// - Parameter mask: four bytes from a client, nil from a server.
    func bytes(mask: [UInt8]?) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(payload.count + 14)
        out.append(opcode.rawValue | (isFinal ? 0x80 : 0))
        let masked: UInt8 = mask == nil ? 0 : 0x80
        switch payload.count {
        case ..<126: out.append(masked | UInt8(payload.count))
        case ..<65_536:
            out.append(masked | 126)
            WebSocketFrame.append(UInt64(payload.count), bytes: 2, to: &out)
        default:
            out.append(masked | 127)
            WebSocketFrame.append(UInt64(payload.count), bytes: 8, to: &out)
        }
        guard let mask else { return out + payload }
        out += mask
        for (at, byte) in payload.enumerated() { out.append(byte ^ mask[at & 3]) }
        return out
    }

    private static func append(_ number: UInt64, bytes: Int, to out: inout [UInt8]) {
        for place in (0..<bytes).reversed() { out.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * place))) }
    }
}

/// Cuts a byte stream into frames, however it was cut up on its way.
struct WebSocketDecoder {
    private var buffer: [UInt8] = []
    private var start = 0
    private let expectsMask: Bool
    private let limit: Int

    /// - Parameter limit: the longest payload of a frame.
    init(expectsMask: Bool, limit: Int) {
        self.expectsMask = expectsMask
        self.limit = limit
    }

    mutating func feed(_ bytes: [UInt8]) {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer += bytes
    }

    /// nil until a whole frame is there.
    mutating func next() throws(WebSocketBreak) -> WebSocketFrame? {
        guard let head = try header(), buffer.count - start >= head.size + head.length else { return nil }
        let from = start + head.size
        var payload = Array(buffer[from..<from + head.length])
        if expectsMask {
            let mask = Array(buffer[from - 4..<from])
            for at in payload.indices { payload[at] ^= mask[at & 3] }
        }
        start = from + head.length
        return WebSocketFrame(isFinal: head.isFinal, opcode: head.opcode, payload: payload)
    }

    private func header() throws(WebSocketBreak)
        -> (isFinal: Bool, opcode: WebSocketOpcode, size: Int, length: Int)?
    {
        guard buffer.count - start >= 2 else { return nil }
        let (first, second) = (buffer[start], buffer[start + 1])
        guard first & 0x70 == 0 else { throw .protocolError("reserved bits are set") }
        guard let opcode = WebSocketOpcode(rawValue: first & 15) else { throw .protocolError("unknown opcode") }
        guard (second & 0x80 != 0) == expectsMask else {
            throw .protocolError(expectsMask ? "frame is not masked" : "frame is masked")
        }
        let isFinal = first & 0x80 != 0
        let short = Int(second & 0x7F)
        if opcode.isControl && (short > 125 || !isFinal) { throw .protocolError("control frame is long or in parts") }
        let extended = short == 126 ? 2 : short == 127 ? 8 : 0
        guard buffer.count - start >= 2 + extended else { return nil }
        let long = buffer[start + 2..<start + 2 + extended].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let length = extended == 0 ? UInt64(short) : long
        // RFC 6455: the shortest form must be used.
        if extended == 2 && long < 126 || extended == 8 && long < 65_536 { throw .protocolError("length is padded") }
        guard length <= UInt64(limit) else { throw .tooBig }
        return (isFinal, opcode, 2 + extended + (expectsMask ? 4 : 0), Int(length))
    }
}

/// Puts the parts of messages together again.
struct WebSocketAssembler {
    enum Event: Equatable {
        case text(String)
        case binary([UInt8])
        case ping([UInt8])
        case pong([UInt8])
        case close(code: UInt16?, reason: String)
    }

    private var parts: [UInt8] = []
    private var kind: WebSocketOpcode?
    private let limit: Int

    /// - Parameter limit: the longest message.
    init(limit: Int) { self.limit = limit }

    mutating func take(_ frame: WebSocketFrame) throws(WebSocketBreak) -> Event? {
        switch frame.opcode {
        case .ping: return .ping(frame.payload)
        case .pong: return .pong(frame.payload)
        case .close: return try closing(frame.payload)
        case .continuation:
            guard kind != nil else { throw .protocolError("continuation of nothing") }
        case .text, .binary:
            guard kind == nil else { throw .protocolError("message inside a message") }
            kind = frame.opcode
        }
        guard parts.count + frame.payload.count <= limit else { throw .tooBig }
        parts = parts.isEmpty ? frame.payload : parts + frame.payload
        guard frame.isFinal else { return nil }
        let whole = parts
        let isText = kind == .text
        parts = []
        kind = nil
        guard isText else { return .binary(whole) }
        guard let text = String(validating: whole, as: UTF8.self) else { throw .notText }
        return .text(text)
    }

    private func closing(_ payload: [UInt8]) throws(WebSocketBreak) -> Event {
        guard !payload.isEmpty else { return .close(code: nil, reason: "") }
        guard payload.count >= 2 else { throw .protocolError("closing code is cut") }
        let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
        let isKnown = (1000...1003).contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code)
        guard isKnown else { throw .protocolError("closing code is not allowed") }
        guard let reason = String(validating: payload[2...], as: UTF8.self) else { throw .notText }
        return .close(code: code, reason: reason)
    }
}
