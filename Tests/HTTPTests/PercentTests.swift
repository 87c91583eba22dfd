// SPDX-License-Identifier: Apache-2.0
import HTTP
import Testing

struct PercentTests {
    @Test("Escapes are decoded once, and only to UTF-8")
    func decoding() {
        #expect(Percent.decode("a%2Fb%20c+d%C3%A9") == "a/b c+dé")
        #expect(Percent.decode("plain") == "plain")
        #expect(Percent.decode("%252F") == "%2F")
        for broken in ["%", "%2", "%zz", "a%2", "%FF", "%C3"] { #expect(Percent.decode(broken) == nil) }
    }

    @Test("Encoding keeps the unreserved characters alone")
    func encoding() {
        #expect(Percent.encode("az-_.~09/é ?") == "az-_.~09%2F%C3%A9%20%3F")
        #expect(Percent.encodePath("a b/c") == "a%20b/c")
    }

    @Test("A query is pairs in their order")
    func query() throws {
        let pairs = try #require(QueryString.parse("a=1&b&c=x%26y+z&a=2&&=e&k=v=w"))
        #expect(pairs.map(\.0) == ["a", "b", "c", "a", "", "k"])
        #expect(pairs.map(\.1) == ["1", "", "x&y z", "2", "e", "v=w"])
        #expect(QueryString.parse("a=%FF") == nil)
        #expect(QueryString.parse("")?.isEmpty == true)
        #expect(QueryString.write([("a b", "c&d")]) == "a%20b=c%26d")
    }
}
