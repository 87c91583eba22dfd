// SPDX-License-Identifier: Apache-2.0
import JSON
import Testing

struct JSONReaderTests {
    static let accepted: [(String, JSON)] = [
        ("null", nil), (" true\r\n\t", true), ("false", false), ("0", 0), ("-0", 0), ("12", 12), ("-7", -7),
        ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("1.0", 1.0), ("-0.0", .double(-0.0)), ("1e2", 100.0), ("1E+2", 100.0), ("25e-1", 2.5), ("0e1", 0.0),
        ("1.7976931348623157e308", .double(.greatestFiniteMagnitude)), ("5e-324", .double(.leastNonzeroMagnitude)),
        ("1e-400", 0.0), ("0.1", 0.1), ("123456789012345678901234567890.0", 123456789012345678901234567890.0),
        ("9007199254740993.0", 9007199254740992.0),
        (#""""#, ""), (#""a""#, "a"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9""#, "é"),
        (#""\u0000""#, "\0"), (#""\ud83d\ude00""#, "😀"), (#""\uD83D\uDE00x""#, "😀x"),
        (#""€ and 😀 and ß""#, "€ and 😀 and ß"),
        (#""\uffff""#, "\u{FFFF}"), (#""0123456789abcdef\n0123456789abcdef""#, "0123456789abcdef\n0123456789abcdef"),
        ("\"\u{7F}\u{2028}\"", "\u{7F}\u{2028}"), ("[]", []), ("[ ]", []), ("{}", [:]), ("{ }", [:]),
        ("[1,[2,[]],{}]", [1, [2, []], [:]]), (#" { "a" : 1 , "b" : [ ] } "#, ["a": 1, "b": []]), (#"{"":0}"#, ["": 0]),
    ]

    @Test("What RFC 8259 allows is read", arguments: accepted)
    func accepts(text: String, value: JSON) throws {
        let read = try JSON.parse(text)
        #expect(read == value)
        #expect(read.kind == value.kind)
    }

    static let refused: [(String, Int)] = [
        ("", 0), (" ", 1), ("nul", 0), ("True", 0), ("nulll", 4), ("1 2", 2), ("[1]]", 3), ("{}x", 2), ("[", 1),
        ("[1", 2),
        ("[1,", 3), ("[1,]", 3), ("[,1]", 1), ("[1 2]", 3), ("[1}", 2), ("{", 1), (#"{"a""#, 4), (#"{"a":"#, 5),
        (#"{"a":1"#, 6), (#"{"a":1,}"#, 7), ("{1:1}", 1), (#"{"a" 1}"#, 5), (#"{"a":1 "b":2}"#, 7), ("{a:1}", 1),
        ("{'a':1}", 1), (#"{"a":1]"#, 6), ("]", 0), (":", 0), ("01", 0), ("-01", 1), ("+1", 0), ("-", 1), (".5", 0),
        ("1.", 2), ("1.e1", 2), ("1e", 2), ("1e+", 3), ("0x10", 1), ("1_0", 1), ("NaN", 0), ("Infinity", 0),
        ("-Infinity", 0), ("9223372036854775808", 0), ("-9223372036854775809", 0), ("18446744073709551616", 0),
        ("[1e400]", 1), ("100000000000000000000", 0), ("\"", 0), (#""a"#, 0), (#""\"#, 0), (#""\x""#, 1),
        (#""\u12"#, 1),
        (#""\u12g4""#, 1), (#""\ud800""#, 1), (#""\udc00""#, 1), (#""\ud800\u0041""#, 1), (#""\ud800x""#, 1),
        ("\"a\nb\"", 2), ("\"\t\"", 1), ("\"\0\"", 1), ("\u{FEFF}{}", 0), ("/* */ 1", 0), ("1 // x", 2), ("\u{A0}1", 0),
        (#"{"a":1,"a":2}"#, 0), (#"[{"a":1,"\u0061":2}]"#, 1), ("[\u{0B}1]", 1), (#"{"a":1,"b":2,,"#, 13),
    ]

    @Test("What RFC 8259 does not allow is refused, and the place is named", arguments: refused)
    func refuses(text: String, offset: Int) {
        let error = #expect(throws: JSONError.self) { try JSON.parse(text) }
        #expect(error?.offset == offset)
        #expect(error?.message.hasSuffix(" at byte \(offset).") == true, "\(error?.message ?? "")")
    }

    @Test(
        "Bytes that are not UTF-8 are refused where they stand",
        arguments: [
            ([0xFF], 1), ([0x61, 0x80], 2), ([0xC0, 0x80], 1), ([0xC3], 1), ([0xE0, 0x80, 0x80], 1),
            ([0xED, 0xA0, 0x80], 1),
            ([0xF4, 0x90, 0x80, 0x80], 1), ([0xF0, 0x9F, 0x98], 1), ([0xF8, 0x88, 0x80, 0x80, 0x80], 1),
            ([0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0xE2, 0x82], 9),
        ] as [([UInt8], Int)])
    func invalidUTF8(bytes: [UInt8], offset: Int) {
        let error = #expect(throws: JSONError.self) { try JSON.parse([0x22] + bytes + [0x22]) }
        #expect(error?.offset == offset)
        #expect(throws: JSONError.self) { try JSON.parse([0x22, 0x5C, 0x6E] + bytes + [0x22]) }
        #expect(throws: JSONError.self) { try JSON.parse(bytes) }
    }

    @Test("Messages are sentences for the one who sent the document")
    func messages() {
        func message(_ text: String, _ limits: JSONLimits = .request) -> String? {
            #expect(throws: JSONError.self) { try JSON.parse(text, limits: limits) }?.message
        }
        #expect(message(#"{"a":1 "b":2}"#) == "The document is not valid JSON: a comma or '}' was expected at byte 7.")
        #expect(
            message("[1")
                == "The document is not valid JSON: the document ends where a comma or ']' was expected at byte 2.")
        #expect(message("99999999999999999999") == "The document is not valid JSON: number out of range at byte 0.")
        #expect(message("NaN") == "The document is not valid JSON: NaN and Infinity are not allowed at byte 0.")
        #expect(
            message(#"{"x":1,"x":1}"#)
                == "The document is not valid JSON: the member 'x' comes twice in the object that starts at byte 0.")
        #expect(
            message("[[1]]", JSONLimits(depth: 1))
                == "The document is not valid JSON: values are nested deeper than 1 levels at byte 1.")
        #expect(message("[1,2]", JSONLimits(bytes: 4)) == "The document is larger than the 4 bytes that are accepted.")
    }

    @Test("Depth is bounded: 64 for requests, 512 for what we trust")
    func depth() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(throws: Never.self) { try JSON.parse(nested(64)) }
        #expect(throws: JSONError.self) { try JSON.parse(nested(65)) }
        #expect(throws: Never.self) { try JSON.parse(nested(512), limits: .trusted) }
        #expect(throws: JSONError.self) { try JSON.parse(nested(513), limits: .trusted) }
        #expect(throws: JSONError.self) { try JSON.parse(String(repeating: "[{\"a\":", count: 100_000)) }
    }

    @Test("A key that comes twice is refused in big objects too; where we trust, the last one counts")
    func duplicates() throws {
        let members = (0..<100).map { "\"key\($0)\":\($0)" }.joined(separator: ",")
        #expect(try JSON.parse("{\(members)}").object?.count == 100)
        #expect(throws: JSONError.self) { try JSON.parse("{\(members),\"key7\":0}") }
        let last = try JSON.parse(#"{"a":1,"b":2,"a":3}"#, limits: .trusted)
        #expect(last == ["a": 3, "b": 2] && last.object?.keys == ["a", "b"])
        // The same word in two spellings of Unicode.
        #expect(throws: JSONError.self) { try JSON.parse("{\"\u{E9}\":1,\"e\u{301}\":2}") }
        #expect(throws: JSONError.self) { try JSON.parse("{\"K\":1,\"\u{212A}\":2}") }
        #expect(throws: JSONError.self) { try JSON.parse("{\"\u{212A}\":1,\"x\":0,\"K\":2}") }
    }

    @Test("A slice, a buffer, an array and a text are read alike")
    func sources() throws {
        let bytes = Array("xx[1]yy".utf8)
        #expect(try JSON.parse(bytes[2..<5]) == [1])
        #expect(try JSON.parse(Array(bytes[2..<5])) == [1])
        #expect(throws: JSONError.self) { try JSON.parse(UnsafeRawBufferPointer(start: nil, count: 0)) }
    }
}
