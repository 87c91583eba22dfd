// SPDX-License-Identifier: Apache-2.0
import Base
import JSON
import Testing

private enum Kind: String, JSONValue { case ssh, x509 }

struct JSONWriterTests {
    private func written(_ write: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter(capacity: 0)
        write(&writer)
        let copy = writer.bytes
        let taken = writer.finish()
        #expect(copy == taken)
        return String(decoding: taken, as: UTF8.self)
    }

    @Test("Commas come by themselves")
    func commas() {
        let text = written { writer in
            writer.beginObject()
            writer.key("a")
            writer.beginArray()
            writer.integer(1)
            writer.beginArray()
            writer.endArray()
            writer.beginObject()
            writer.endObject()
            writer.null()
            writer.endArray()
            writer.key("b" as StaticString)
            writer.bool(false)
            writer.key("c")
            writer.value(["x": 1.5])
            writer.key("d")
            writer.raw(Array("[0]".utf8))
            writer.endObject()
        }
        #expect(text == #"{"a":[1,[],{},null],"b":false,"c":{"x":1.5},"d":[0]}"#)
    }

    @Test("Control characters, quotes and backslashes are escaped wherever they stand")
    func escapes() throws {
        #expect(
            written { $0.string("\u{0}\u{1F}\u{8}\u{C}\n\r\t\"\\/\u{7F}é") } == #""\u0000\u001f\b\f\n\r\t\"\\/"#
                + "\u{7F}é\"")
        for length in 0..<40 {
            for place in 0..<length {
                for mark in ["\"", "\\", "\n", "\u{1}", "é"] {
                    let text =
                        String(repeating: "a", count: place) + mark + String(repeating: "b", count: length - place)
                    #expect(try JSON.parse(written { $0.string(text) }).string == text)
                }
            }
        }
    }

    @Test("Numbers of every width are written to the last digit")
    func numbers() {
        #expect(
            written {
                $0.beginArray()
                $0.integer(0)
                $0.integer(Int64.min)
                $0.integer(UInt64.max)
                $0.integer(Int8(-128))
                $0.integer(99)
                $0.integer(100)
                $0.integer(UInt128.max)
                $0.double(0.1)
                $0.double(1e300)
                $0.double(.nan)
                $0.double(-.infinity)
                $0.endArray()
            }
                == "[0,-9223372036854775808,18446744073709551615,-128,99,100,340282366920938463463374607431768211455,"
                + "0.1,1e+300,null,null]")
    }

    @Test("Swift's own values write themselves")
    func values() {
        func text(_ value: some JSONValue) -> String { written { value.write(to: &$0) } }
        #expect(text([1, 2]) == "[1,2]")
        #expect(text(["b": 1, "a": 2]) == #"{"a":2,"b":1}"#)
        #expect(text(String?.none) == "null" && text(Optional("x")) == #""x""#)
        #expect(text(Kind.x509) == #""x509""#)
        #expect(text(Timestamp(seconds: 0)) == #""1970-01-01T00:00:00Z""#)
        #expect(text([["k": [true]]]) == #"[{"k":[true]}]"#)
        #expect(text("abc".dropFirst()) == #""bc""#)
    }

    @Test("A writer that was cleared starts anew")
    func clear() {
        var writer = JSONWriter()
        writer.beginArray()
        writer.clear()
        writer.integer(1)
        #expect(writer.finish() == Array("1".utf8))
    }
}
