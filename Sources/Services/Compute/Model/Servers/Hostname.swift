// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Names that guests call themselves (RFC 1123).
enum Hostname {
    /// A hostname from a server's display name; from its id when nothing is left (nova/utils.py, `sanitize_hostname`).
    static func from(_ name: String, _ id: String) -> String {
        var bytes: [UInt8] = []
        for scalar in name.unicodeScalars {
            switch scalar {
            case "a"..."z", "0"..."9", "-": bytes.append(UInt8(scalar.value))
            case "A"..."Z": bytes.append(UInt8(scalar.value) | 0x20)
            case " ", "_", ".": bytes.append(UInt8(ascii: "-"))
            default: break
            }
        }
        let text = String(decoding: bytes.prefix(63), as: UTF8.self)
        let trimmed = text.trimmed("-")
        return trimmed.isEmpty ? "Server-\(id)" : trimmed
    }

    static func check(_ text: String, allowsDots: Bool) throws(Misfit) -> String {
        let labels = allowsDots ? text.split(separator: ".", omittingEmptySubsequences: false) : [text[...]]
        for label in labels {
            guard (1...63).contains(label.utf8.count), label.first != "-", label.last != "-",
                label.unicodeScalars.allSatisfy({
                    ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0) || $0 == "-"
                })
            else { throw Misfit("'\(text)' is not a valid hostname") }
        }
        return text
    }
}

extension String {
    fileprivate func trimmed(_ mark: Character) -> String {
        var rest = self[...]
        while rest.first == mark { rest = rest.dropFirst() }
        while rest.last == mark { rest = rest.dropLast() }
        return String(rest)
    }
}
