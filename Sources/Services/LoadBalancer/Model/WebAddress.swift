// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What upstream takes for a web address, and for a path of one.
enum WebAddress {
    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }

    /// Characters that RFC 3986 lets stand as they are, and `%`.
    private static func isPlain(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "-._~:/?#[]@!$&'()*+,;=%".utf8.contains(byte)
    }

    /// `http://` or `https://`, a host, and a path of allowed characters.
    static func isAbsolute(_ text: String) -> Bool {
        guard let mark = text.firstRange(of: "://") else { return false }
        let scheme = text[..<mark.lowerBound].lowercased()
        let rest = text[mark.upperBound...]
        guard scheme == "http" || scheme == "https", !rest.isEmpty, text.utf8.allSatisfy(isPlain), escapes(text) else {
            return false
        }
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
        guard !host.isEmpty, host.first != ":" else { return false }
        guard let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") else { return true }
        guard host[..<colon].contains(":") == false || host.hasPrefix("[") else { return false }
        return host[host.index(after: colon)...].allSatisfy(\.isNumber)
    }

    /// A path that begins with a slash, without host or blanks.
    static func isPath(_ text: String) -> Bool {
        text.hasPrefix("/") && !text.hasPrefix("//") && text.utf8.allSatisfy(isPlain) && escapes(text)
    }

    /// Whether every `%` is followed by two hexadecimal digits.
    private static func escapes(_ text: String) -> Bool {
        let parts = text.split(separator: "%", omittingEmptySubsequences: false).dropFirst()
        return parts.allSatisfy { part in
            part.utf8.count >= 2
                && part.utf8.prefix(2).allSatisfy {
                    (48...57).contains($0) || (65...70).contains($0) || (97...102).contains($0)
                }
        }
    }
}

/// Status codes that a health monitor takes for good.
enum HTTPCodes {
    static func isList(_ text: String) -> Bool {
        let range = text.split(separator: "-", omittingEmptySubsequences: false)
        if range.count == 2 { return range.allSatisfy(isCode) }
        return text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { part in
            isCode(part.trimming { $0 == " " || $0 == "\t" })
        }
    }

    private static func isCode(_ text: Substring) -> Bool {
        text.utf8.count == 3 && text.utf8.allSatisfy { (48...57).contains($0) }
    }
}

extension Substring {
    func trimming(_ isBlank: (Character) -> Bool) -> Substring {
        var text = drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        return text
    }
}

/// Blocks of addresses as text: `10.0.0.0/8`.
enum AddressBlock {
    /// The block with its host bits cleared, nil when the text is none; a bare address is a block of one.
    static func text(_ text: String) -> String? {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let version = AddressText.version(parts[0]), var bytes = AddressText.bytes(parts[0]) else { return nil }
        let bits = version == 4 ? 32 : 128
        let length = parts.count > 1 ? Int(parts[1]) ?? -1 : bits
        guard (0...bits).contains(length) else { return nil }
        for bit in length..<bits { bytes[bit / 8] &= ~(0x80 >> UInt8(bit % 8)) }
        if version == 4 { return bytes.map { String($0) }.joined(separator: ".") + "/\(length)" }
        let words = stride(from: 0, to: 16, by: 2).map {
            String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
        }
        return (AddressText.canonical(words.joined(separator: ":")) ?? parts[0]) + "/\(length)"
    }

    static func isSix(_ block: String) -> Bool { block.contains(":") }
}
