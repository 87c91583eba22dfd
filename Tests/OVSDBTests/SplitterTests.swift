// SPDX-License-Identifier: Apache-2.0
import JSON
import OVSDB
import Testing

struct SplitterTests {
    static let messages = [
        #"{"a":[1,{"b":"}]\"\\"}]}"#, #"{"id":1,"result":[],"error":null}"#, #"{"s":"\u007b{[\\\""}"#,
    ]

    @Test("Messages come out whole however the stream is cut", arguments: [1, 2, 3, 5, 7, 1000])
    func pieces(length: Int) {
        let stream = Array(Self.messages.joined(separator: length.isMultiple(of: 2) ? "" : " \n").utf8)
        var splitter = OVSDBSplitter()
        var found: [String] = []
        for start in stride(from: 0, to: stream.count, by: length) {
            splitter.feed(stream[start..<min(start + length, stream.count)])
            while let message = splitter.next() { found.append(String(decoding: message, as: UTF8.self)) }
        }
        #expect(found == Self.messages)
        #expect(!splitter.isBroken)
    }

    @Test("A stream that is not objects is given up", arguments: ["}", "x{}", "\"", "{}]"])
    func broken(text: String) {
        var splitter = OVSDBSplitter()
        splitter.feed(text.utf8)
        while splitter.next() != nil {}
        #expect(splitter.isBroken)
    }

    @Test("A message beyond the limit is given up")
    func tooLong() {
        var splitter = OVSDBSplitter(messageMax: 10)
        splitter.feed(#"{"a":"0123456789""#.utf8)
        #expect(splitter.next() == nil)
        #expect(splitter.isBroken)
    }
}

struct ValueTests {
    static let cases: [(String, OVSDBValue, String)] = [
        (#""x""#, "x", #""x""#), (#"["set",["x"]]"#, "x", #""x""#), (#"["set",[]]"#, .empty, #"["set",[]]"#),
        ("7", 7, "7"), ("true", true, "true"), (#"["set",["b","a"]]"#, ["a", "b"], #"["set",["a","b"]]"#),
        (#"["map",[["k","v"]]]"#, ["k": "v"], #"["map",[["k","v"]]]"#),
        (#"["uuid","u"]"#, .uuid("u"), #"["uuid","u"]"#),
        (#"["named-uuid","n"]"#, .named("n"), #"["named-uuid","n"]"#),
        (#"["set",[["uuid","u"],["uuid","t"]]]"#, .uuids(["t", "u"]), #"["set",[["uuid","t"],["uuid","u"]]]"#),
    ]

    @Test("Values are the same whether a set of one comes bare or wrapped", arguments: cases)
    func coding(wire: String, value: OVSDBValue, written: String) throws {
        #expect(OVSDBValue(try JSON.parse(wire)) == value)
        var writer = JSONWriter()
        value.write(to: &writer)
        #expect(String(decoding: writer.finish(), as: UTF8.self) == written)
    }

    @Test(
        "What RFC 7047 does not know is no value", arguments: ["null", "{}", #"["bag",[]]"#, #"["set",[null]]"#, "[1]"])
    func refused(wire: String) throws { #expect(OVSDBValue(try JSON.parse(wire)) == nil) }

    @Test("Addresses of servers are read as OVS writes them")
    func endpoints() throws {
        #expect(try OVSDBEndpoint("unix:/run/x.sock") == .unix(path: "/run/x.sock"))
        #expect(try OVSDBEndpoint("tcp:[2001:db8::1]:6641") == .tcp(host: "2001:db8::1", port: 6641))
        #expect(try OVSDBEndpoint.list("tcp:a:1,tcp:b:2").map(\.description) == ["tcp:a:1", "tcp:b:2"])
        for text in ["", "unix:", "tcp:a", "tcp::1", "ssl:a:1", "tcp:a:0"] {
            #expect(throws: (any Error).self, "\(text)") { try OVSDBEndpoint(text) }
        }
    }
}
