// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A question for a name (RFC 1035), and the answer to it. Answers hold nothing but addresses and names of guests.
struct NameQuestion: Sendable, Hashable {
    enum Kind: UInt16, Sendable { case a = 1, ptr = 12, aaaa = 28, any = 255 }

    enum Answer: Sendable, Hashable {
        /// Records of the kind asked for; none means that the name has others.
        case addresses([IPAddress])
        case name(String)
        /// There is no such name, and we would know it.
        case unknown
        /// Names that are none of ours: ask somebody else, and at once.
        case refused
    }

    /// In lower case, without the last dot.
    let name: String
    /// Nil: a kind that we have no records of.
    let kind: Kind?
    private let head: [UInt8]
    private let question: [UInt8]

    /// Nil when it is no question that can be answered: a stray answer, or bytes that are no message.
    init?(_ message: [UInt8]) {
        // A question, not an answer; of the ordinary sort; one of them.
        guard message.count >= 17, message[2] & 0xF8 == 0, message[4] == 0, message[5] == 1 else { return nil }
        var labels: [String] = []
        var at = 12
        while at < message.count, message[at] != 0 {
            let length = Int(message[at])
            guard length <= 63, at + 1 + length < message.count else { return nil }
            labels.append(String(decoding: message[at + 1..<at + 1 + length], as: UTF8.self).lowercased())
            at += 1 + length
        }
        guard at - 12 <= 254, at + 5 <= message.count, message[at + 3] == 0, message[at + 4] == 1 else { return nil }
        name = labels.joined(separator: ".")
        kind = Kind(rawValue: UInt16(message[at + 1]) << 8 | UInt16(message[at + 2]))
        head = Array(message[..<12])
        question = Array(message[12..<at + 5])
    }

    func reply(_ answer: Answer) -> [UInt8] {
        var records: [[UInt8]] = []
        var code: UInt8 = 0
        switch answer {
        case .addresses(let addresses):
            for address in addresses where kind == .any || kind == (address.version == .v4 ? .a : .aaaa) {
                records.append(record(address.version == .v4 ? .a : .aaaa, address.bytes))
            }
        case .name(let name): records.append(record(.ptr, NameQuestion.encode(name)))
        case .unknown: code = 3
        case .refused: code = 5
        }
        // An answer, with authority over what is ours; whether recursion was asked for is repeated.
        var message = head
        message[2] = 0x80 | (code == 5 ? 0 : 0x04) | (head[2] & 0x01)
        message[3] = code
        message[6] = 0
        // As many as a datagram surely holds.
        let sent = records.prefix(20)
        message[7] = UInt8(sent.count)
        for place in 8..<12 { message[place] = 0 }
        return message + question + sent.flatMap(\.self)
    }

    /// A record of the name that was asked for, good for half a minute.
    private func record(_ kind: Kind, _ value: [UInt8]) -> [UInt8] {
        [0xC0, 12, 0, UInt8(kind.rawValue), 0, 1, 0, 0, 0, 30, UInt8(value.count >> 8), UInt8(value.count & 255)]
            + value
    }

    private static func encode(_ name: String) -> [UInt8] {
        name.split(separator: ".").flatMap { [UInt8(min($0.utf8.count, 63))] + Array($0.utf8.prefix(63)) } + [0]
    }

    /// The address that a reverse name (`in-addr.arpa`, `ip6.arpa`) is about.
    var reversed: IPAddress? {
        let labels = name.split(separator: ".").map(String.init)
        if name.hasSuffix(".in-addr.arpa"), labels.count == 6 {
            return IPAddress(labels.prefix(4).reversed().joined(separator: "."))
        }
        guard name.hasSuffix(".ip6.arpa"), labels.count == 34 else { return nil }
        let digits = labels.prefix(32).reversed().joined()
        guard digits.utf8.count == 32 else { return nil }
        let groups = stride(from: 0, to: 32, by: 4).map { String(digits.dropFirst($0).prefix(4)) }
        return IPAddress(groups.joined(separator: ":"))
    }
}
