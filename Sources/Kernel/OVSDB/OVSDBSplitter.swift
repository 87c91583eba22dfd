// SPDX-License-Identifier: Apache-2.0

/// Cuts a stream of JSON objects that follow each other without any framing into single ones, however they are broken
/// into pieces on the way. It looks at brackets and quotes only; the reader judges the rest.
package struct OVSDBSplitter: Sendable {
    private var buffer: [UInt8] = []
    /// Where the current object starts, and how far it has been looked at.
    private var start = 0
    private var at = 0
    private var depth = 0
    private var inString = false
    private var escaped = false
    private let messageMax: Int
    package private(set) var isBroken = false

    package init(messageMax: Int = 256 << 20) { self.messageMax = messageMax }

    package mutating func feed(_ bytes: some Collection<UInt8>) {
        if start > 0 {
            buffer.removeFirst(start)
            at -= start
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole object; nil until more bytes come. Nil with `isBroken` set means that the stream makes no sense.
    package mutating func next() -> ArraySlice<UInt8>? {
        guard !isBroken else { return nil }
        while at < buffer.count {
            let byte = buffer[at]
            at += 1
            if inString {
                inString = escaped || byte != UInt8(ascii: "\"")
                escaped = !escaped && byte == UInt8(ascii: "\\")
                continue
            }
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 {
                    defer { start = at }
                    return buffer[start..<at]
                }
            case 0x20, 0x09, 0x0A, 0x0D: if depth == 0 { start = at }
            case UInt8(ascii: "\""): inString = true
            default: break
            }
            if depth < 1, start != at { isBroken = true }
            if isBroken { return nil }
        }
        isBroken = at - start > messageMax
        return nil
    }
}
