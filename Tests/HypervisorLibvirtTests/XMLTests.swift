// SPDX-License-Identifier: Apache-2.0
import HypervisorLibvirt
import Testing

struct XMLTests {
    @Test(
        "Markup in a text stays text",
        arguments: ["a < b & c > d", "it's \"quoted\"", "line\nbreak\ttab", "]]>", "émoji 🐟"])
    func escaping(text: String) throws {
        var xml = XMLWriter()
        xml.element("root", ["said": text]) { $0.element("text", text: text) }
        let root = try #require(XMLElement.parse(xml.text))
        #expect(root.attributes["said"] == text)
        #expect(root["text"]?.text == text)
    }

    @Test("Characters that XML cannot hold are replaced")
    func control() {
        var xml = XMLWriter()
        xml.element("a", text: "x\u{0}y\u{1B}z")
        #expect(xml.text == "<a>x\u{FFFD}y\u{FFFD}z</a>\n")
    }

    @Test("Elements are indented and absent attributes are left out")
    func layout() {
        var xml = XMLWriter()
        xml.element("a", ["x": nil, "y": "1"]) { xml in
            xml.element("b")
            xml.element("c", text: "")
        }
        #expect(xml.text == "<a y='1'>\n  <b/>\n  <c></c>\n</a>\n")
    }

    @Test("What libvirt writes is read: declarations, comments, CDATA, entities and either quote")
    func reading() throws {
        let text = """
            <?xml version="1.0"?><!-- made by hand -->
            <domain type="kvm" id='3'><name>a &lt;b&gt; &#65;&#x42;</name><!-- x -->
              <devices><disk/><disk type='file'><source file='/a&apos;b'/></disk></devices><t><![CDATA[<raw>]]></t>
            </domain>

            """
        let root = try #require(XMLElement.parse(text))
        #expect(root.attributes == ["type": "kvm", "id": "3"])
        #expect(root["name"]?.text == "a <b> AB")
        #expect(root["devices"]?.all("disk").count == 2)
        #expect(root["devices"]?.all("disk")[1]["source"]?.attributes["file"] == "/a'b")
        #expect(root["t"]?.text == "<raw>")
        #expect(root["devices", "disk", "source"] == nil)
    }

    @Test(
        "What is not well formed is refused",
        arguments: [
            "", "text", "<a>", "<a></b>", "<a b></a>", "<a b=c/>", "<a/><b/>", "<a>&nope;</a>", "<a>&#xD800;</a>", "<a",
            "<a b='", "<a><!-- </a>", "<a>&", String(repeating: "<a>", count: 100),
        ])
    func malformed(text: String) { #expect(XMLElement.parse(text) == nil) }
}
