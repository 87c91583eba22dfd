// SPDX-License-Identifier: Apache-2.0

/// Writes indented XML. Whatever text is given stays text: markup is escaped, and characters that XML 1.0 cannot hold
/// at all (most control characters) become U+FFFD.
package struct XMLWriter: Sendable {
    package private(set) var text = ""
    private var depth = 0

    package init() {}

    /// An element with elements inside. Attributes that are nil are left out.
    package mutating func element(
        _ name: String, _ attributes: KeyValuePairs<String, String?> = [:], _ body: (inout XMLWriter) -> Void
    ) {
        open(name, attributes)
        text += ">\n"
        depth += 1
        body(&self)
        depth -= 1
        indent()
        text += "</\(name)>\n"
    }

    /// An element that is empty or holds a text.
    package mutating func element(
        _ name: String, _ attributes: KeyValuePairs<String, String?> = [:], text content: String? = nil
    ) {
        open(name, attributes)
        if let content {
            text += ">"
            escape(content)
            text += "</\(name)>\n"
        } else {
            text += "/>\n"
        }
    }

    /// An element whose attributes are known only at run time.
    mutating func raw(
        _ name: String, _ attributes: [(key: String, value: String)], text content: String,
        _ body: (inout XMLWriter) -> Void
    ) {
        indent()
        text += "<\(name)"
        for (key, value) in attributes {
            text += " \(key)='"
            escape(value)
            text += "'"
        }
        text += ">"
        escape(content)
        if content.isEmpty { text += "\n" }
        depth += 1
        body(&self)
        depth -= 1
        if content.isEmpty { indent() }
        text += "</\(name)>\n"
    }

    private mutating func open(_ name: String, _ attributes: KeyValuePairs<String, String?>) {
        indent()
        text += "<\(name)"
        for case (let key, let value?) in attributes {
            text += " \(key)='"
            escape(value)
            text += "'"
        }
    }

    private mutating func indent() { text += String(repeating: " ", count: depth * 2) }

    private mutating func escape(_ value: String) {
        for scalar in value.unicodeScalars {
            switch scalar {
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "&": text += "&amp;"
            case "'": text += "&apos;"
            case "\"": text += "&quot;"
            // Written plainly, these would be read back as blanks in attributes (XML 1.0, 3.3.3) or as line ends.
            case "\n", "\t", "\r": text += "&#\(scalar.value);"
            case _ where scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: text += "\u{FFFD}"
            default: text.unicodeScalars.append(scalar)
            }
        }
    }
}
