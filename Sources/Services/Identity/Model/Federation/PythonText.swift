// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Values as Python writes and reads them. The rule language of mappings is defined by that: a list which stands for
/// `{0}` becomes its text, and groups are read back from such a text.
enum PythonText {
    /// `repr(value)`.
    static func repr(_ value: JSON) -> String {
        switch value {
        case .null: "None"
        case .bool(let truth): truth ? "True" : "False"
        case .integer(let number): "\(number)"
        case .double(let number): "\(number)"
        case .string(let text): repr(text)
        case .array(let items): "[" + items.map(repr).joined(separator: ", ") + "]"
        case .object(let object):
            "{" + object.map { repr($0.key) + ": " + repr($0.value) }.joined(separator: ", ") + "}"
        }
    }

    static func repr(_ text: String) -> String {
        let quote: Unicode.Scalar = text.contains("'") && !text.contains("\"") ? "\"" : "'"
        var out = String(Character(quote))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case quote: out += "\\" + String(Character(quote))
            case _ where scalar.value < 32 || (127...160).contains(scalar.value) || scalar.value == 173:
                let digits = String(scalar.value, radix: 16)
                out += "\\x" + (digits.count < 2 ? "0" : "") + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + String(Character(quote))
    }

    /// The items of a text that is a Python list of literals; nil when it is none.
    static func list(_ text: String) -> [JSON]? {
        var reader = PythonReader(text)
        guard case .array(let items)? = reader.value(depth: 0), reader.isAtEnd else { return nil }
        return items
    }
}

/// Reads what `ast.literal_eval` reads, of the kinds that JSON has too.
private struct PythonReader {
    private let scalars: [Unicode.Scalar]
    private var at = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    var isAtEnd: Bool {
        mutating get {
            skipSpace()
            return at == scalars.count
        }
    }

    mutating func value(depth: Int) -> JSON? {
        skipSpace()
        guard depth < 32, at < scalars.count else { return nil }
        switch scalars[at] {
        case "[": return items("[", "]", depth).map(JSON.array)
        case "{": return object(depth)
        case "'", "\"": return string().map(JSON.string)
        default: return word()
        }
    }

    private mutating func skipSpace() {
        while at < scalars.count, " \t\r\n".unicodeScalars.contains(scalars[at]) { at += 1 }
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        skipSpace()
        guard at < scalars.count, scalars[at] == scalar else { return false }
        at += 1
        return true
    }

    private mutating func items(_ start: Unicode.Scalar, _ end: Unicode.Scalar, _ depth: Int) -> [JSON]? {
        guard take(start) else { return nil }
        var items: [JSON] = []
        while !take(end) {
            guard let item = value(depth: depth + 1) else { return nil }
            items.append(item)
            if !take(",") {
                guard take(end) else { return nil }
                break
            }
        }
        return items
    }

    private mutating func object(_ depth: Int) -> JSON? {
        guard take("{") else { return nil }
        var object = JSONObject()
        while !take("}") {
            guard case .string(let key)? = value(depth: depth + 1), take(":"), let item = value(depth: depth + 1) else {
                return nil
            }
            object[key] = item
            if !take(",") {
                guard take("}") else { return nil }
                break
            }
        }
        return .object(object)
    }

    private mutating func string() -> String? {
        let quote = scalars[at]
        at += 1
        var out = String.UnicodeScalarView()
        while at < scalars.count {
            let scalar = scalars[at]
            at += 1
            if scalar == quote { return String(out) }
            if scalar == "\n" { return nil }
            guard scalar == "\\" else {
                out.append(scalar)
                continue
            }
            guard let escaped = escape() else { return nil }
            out.append(contentsOf: escaped.unicodeScalars)
        }
        return nil
    }

    private mutating func escape() -> String? {
        guard at < scalars.count else { return nil }
        let mark = scalars[at]
        at += 1
        let widths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
        if let width = widths[mark] {
            guard at + width <= scalars.count else { return nil }
            let digits = String(String.UnicodeScalarView(scalars[at..<at + width]))
            at += width
            return UInt32(digits, radix: 16).flatMap(Unicode.Scalar.init).map { String(Character($0)) }
        }
        switch mark {
        case "n": return "\n"
        case "t": return "\t"
        case "r": return "\r"
        case "\\", "'", "\"": return String(Character(mark))
        default: return "\\" + String(Character(mark))
        }
    }

    private mutating func word() -> JSON? {
        var text = ""
        while at < scalars.count, scalars[at].isASCII,
            scalars[at].properties.isAlphabetic
                || ("0"..."9").contains(scalars[at]) || "+-._".unicodeScalars.contains(scalars[at])
        {
            text.unicodeScalars.append(scalars[at])
            at += 1
        }
        switch text {
        case "True": return .bool(true)
        case "False": return .bool(false)
        case "None": return .null
        default: return Int64(text).map(JSON.integer) ?? Double(text).map(JSON.double)
        }
    }
}
