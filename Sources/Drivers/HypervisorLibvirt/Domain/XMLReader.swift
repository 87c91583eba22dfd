// SPDX-License-Identifier: Apache-2.0

/// An element of the XML that libvirt answers with: enough to find things in it, no namespaces, no entities of its own.
package struct XMLElement: Sendable, Hashable {
    package let name: String
    package var attributes: [String: String] = [:]
    package var children: [XMLElement] = []
    /// All the text directly inside, in one piece.
    package var text = ""

    /// The first element by this path below: `root["devices", "graphics"]`.
    package subscript(path: String...) -> XMLElement? {
        var found: XMLElement? = self
        for name in path { found = found?.children.first { $0.name == name } }
        return found
    }

    package func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// Reads a document; nil when it is not well formed or deeper than 64 elements.
    package static func parse(_ text: String) -> XMLElement? {
        var reader = XMLReader(bytes: Array(text.utf8))
        return reader.document()
    }
}

private struct XMLReader {
    let bytes: [UInt8]
    var at = 0

    mutating func document() -> XMLElement? {
        guard skipMisc(), let root = element(depth: 0), skipMisc(), at == bytes.count else { return nil }
        return root
    }

    mutating func element(depth: Int) -> XMLElement? {
        guard depth < 64, take("<"), let name = name() else { return nil }
        var element = XMLElement(name: name)
        while true {
            skipBlanks()
            if take("/>") { return element }
            if take(">") { break }
            guard let key = self.name(), take("="), let quote = peek, quote == 0x22 || quote == 0x27 else { return nil }
            at += 1
            guard let value = text(until: quote) else { return nil }
            at += 1
            element.attributes[key] = value
        }
        while true {
            guard let part = text(until: UInt8(ascii: "<")) else { return nil }
            element.text += part
            if starts("<!--") || starts("<?") {
                guard skipAside() else { return nil }
            } else if take("<![CDATA[") {
                let start = at
                guard skip(past: "]]>") else { return nil }
                element.text += String(decoding: bytes[start..<at - 3], as: UTF8.self)
            } else if take("</") {
                guard take(name) else { return nil }
                skipBlanks()
                return take(">") ? element : nil
            } else {
                guard let child = self.element(depth: depth + 1) else { return nil }
                element.children.append(child)
            }
        }
    }

    var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    func starts(_ text: String) -> Bool { bytes[at...].starts(with: text.utf8) }

    mutating func take(_ text: String) -> Bool {
        guard starts(text) else { return false }
        at += text.utf8.count
        return true
    }

    mutating func name() -> String? {
        let start = at
        while let byte = peek, !" \t\r\n=/><'\"&".utf8.contains(byte) { at += 1 }
        return at > start ? String(decoding: bytes[start..<at], as: UTF8.self) : nil
    }

    mutating func skipBlanks() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x09 || byte == 0x0D { at += 1 }
    }

    /// Comments, processing instructions and the XML declaration around the root.
    mutating func skipMisc() -> Bool {
        skipBlanks()
        while starts("<?") || starts("<!--") {
            guard skipAside() else { return false }
            skipBlanks()
        }
        return true
    }

    mutating func skipAside() -> Bool { starts("<?") ? skip(past: "?>") : skip(past: "-->") }

    mutating func skip(past end: String) -> Bool {
        while at < bytes.count {
            if take(end) { return true }
            at += 1
        }
        return false
    }

    /// Text up to a byte that is left where it is; nil when the document ends before it.
    mutating func text(until end: UInt8) -> String? {
        var out: [UInt8] = []
        while let byte = peek, byte != end {
            if byte == UInt8(ascii: "&") {
                guard let scalar = entity() else { return nil }
                out += Array(String(scalar).utf8)
            } else {
                out.append(byte)
                at += 1
            }
        }
        return peek == nil ? nil : String(decoding: out, as: UTF8.self)
    }

    mutating func entity() -> Unicode.Scalar? {
        guard let end = bytes[at...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else { return nil }
        let entity = String(decoding: bytes[at + 1..<end], as: UTF8.self)
        at = end + 1
        switch entity {
        case "lt": return "<"
        case "gt": return ">"
        case "amp": return "&"
        case "apos": return "'"
        case "quot": return "\""
        default:
            guard entity.hasPrefix("#") else { return nil }
            let number = entity.dropFirst()
            let code = number.hasPrefix("x") ? UInt32(number.dropFirst(), radix: 16) : UInt32(number)
            return code.flatMap(Unicode.Scalar.init)
        }
    }
}
