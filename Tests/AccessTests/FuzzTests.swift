// SPDX-License-Identifier: Apache-2.0
import Base
import JSON
import Testing

@testable import Access

/// The same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

struct FuzzTests {
    @Test("No text is taken for a token, and none stops the process", arguments: [1, 2, 3] as [UInt64])
    func tokens(seed: UInt64) {
        var chance = SeededGenerator(state: seed)
        let keys = FernetKeys([FernetKey(bytes: Array(0..<32))!])
        let genuine = Array(keys.encrypt(Array("payload".utf8), at: Timestamp(seconds: 1)).utf8)
        for _ in 0..<2000 {
            var bytes = genuine
            for _ in 0...Int.random(in: 0..<4, using: &chance) {
                let at = Int.random(in: 0..<bytes.count, using: &chance)
                switch Int.random(in: 0..<3, using: &chance) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &chance)
                case 1: bytes.remove(at: at)
                default: bytes.insert(UInt8.random(in: 32...126, using: &chance), at: at)
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(bytes == genuine || keys.decrypt(text) == nil)
        }
    }

    @Test("Damaged payloads are refused or read, never crashed on", arguments: [11, 12, 13] as [UInt64])
    func payloads(seed: UInt64) {
        var chance = SeededGenerator(state: seed)
        let samples = TokenPayloadTests.cases.map { Hex.decode($0.hex)! }
        for turn in 0..<3000 {
            var bytes = samples[turn % samples.count]
            for _ in 0...Int.random(in: 0..<3, using: &chance) {
                bytes[Int.random(in: 0..<bytes.count, using: &chance)] = UInt8.random(in: 0...255, using: &chance)
            }
            // What is read must be writable again, and mean the same.
            if let payload = try? TokenPayload(bytes) {
                #expect((try? TokenPayload(payload.bytes())) == payload)
            }
        }
    }

    static let words = [
        "role:a", "role:b", "rule:x", "rule:y", "user_id:%(user_id)s", "'a':%(b)s", "None:%(c)s", "and", "or", "not",
        "(",
        ")", "((", "))", "@", "!", "%", "%(", "http:x", ":", "field:a:b=c", "\"", "'", "#", "é", "is_admin:True", "[",
        "]", "-", "\n", "  ", "\n  ", "a:", "\"b\":", ">", ">-", "|", ",", "{", "}", "x: ", "y: ",
    ]

    static func text(_ count: Int, _ chance: inout SeededGenerator) -> String {
        (0..<count).map { _ in words.randomElement(using: &chance)! + (Bool.random(using: &chance) ? " " : "") }
            .joined()
    }

    @Test("Policy expressions made of scraps are refused or mean the same when written out", arguments: [21, 22])
    func expressions(seed: UInt64) throws {
        var chance = SeededGenerator(state: seed)
        var read = 0
        for turn in 0..<4000 {
            guard let check = try? PolicyParser.parse(FuzzTests.text(turn % 12, &chance)) else { continue }
            read += 1
            #expect(try PolicyParser.parse(check.description).description == check.description)
        }
        #expect(read > 100, "most scraps are refused, but not all")
    }

    @Test("Policy files made of scraps are refused or judged, and every pass ends", arguments: [31, 32])
    func files(seed: UInt64) {
        var chance = SeededGenerator(state: seed)
        let caller = Caller(userID: "u", projectID: "p", roles: ["a"])
        let target: [String: JSON] = ["user_id": "u", "b": "a", "c": nil]
        for turn in 0..<3000 {
            let text = FuzzTests.text(turn % 40, &chance)
            guard let policy = try? Policy(rules: ["x": "role:a", "y": "rule:x"], overrides: text) else { continue }
            for name in policy.names { _ = policy.allows(name, caller, target) }
        }
    }
}
