// SPDX-License-Identifier: Apache-2.0
@testable import Image
import Kernel
import Testing

struct ImportFilterTests {
    @Test(
        "By default the web's own ports of any host may be reached, and nothing that reads in two ways",
        arguments: [
            ("http://a.example/x", true), ("https://a.example:443/x?y", true), ("HTTP://A.example", true),
            ("http://[2001:db8::1]:80/", true), ("http://1.2.3.4/", true), ("ftp://a/", false), ("a", false),
            ("file:///etc/passwd", false), ("http://a:22/", false), ("http://a:/", false), ("http://", false),
            ("http://user@a/", false), ("http://a\\b/", false), ("http://a b/", false), ("http://127.1/", false),
            ("http://0x7f000001/", false), ("http://2130706433/", false), ("http://017700000001/", false),
            ("http://1.2.3.04/", false), ("http://a..b/", false), ("http://a:80:80/", false),
            ("http://a\u{e9}/", false), ("http://%31/", false), ("http://a:99999/", false),
        ])
    func standard(url: String, passes: Bool) {
        #expect(ImportFilter().allows(url) == passes)
    }

    @Test("What is allowed by name leaves no room for what is disallowed")
    func lists() {
        var filter = ImportFilter()
        filter.allowedHosts = ["a.example"]
        filter.disallowedHosts = ["a.example"]
        #expect(filter.allows("http://a.example/"))
        #expect(filter.allows("http://a.example./"))
        #expect(!filter.allows("http://b.example/"))
        filter.allowedHosts = []
        #expect(!filter.allows("http://A.EXAMPLE/"))
        filter.allowedPorts = []
        filter.disallowedPorts = [22]
        #expect(filter.allows("http://b.example:8080/"))
        #expect(!filter.allows("http://b.example:22/"))
    }
}
