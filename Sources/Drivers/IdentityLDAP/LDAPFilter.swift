// SPDX-License-Identifier: Apache-2.0
internal import CLDAP
internal import Identity
internal import Kernel

/// Search filters (RFC 4515), made so that no value can mean more than itself.
enum LDAPFilter {
    /// Active Directory's rule that follows memberships through groups.
    static let inChain = "1.2.840.113556.1.4.1941"

    static func escape(_ value: String) -> String { escape(Array(value.utf8)) }

    /// What has a meaning in filters, and what is no plain ASCII, as a backslash and two digits.
    static func escape(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "*"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "\\"), 0..<32, 127...255:
                text.append(UInt8(ascii: "\\"))
                text += Array(Hex.encode([byte]).utf8)
            default: text.append(byte)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func equal(_ attribute: String, _ value: String) -> String { "(\(attribute)=\(escape(value)))" }

    static func any(_ filters: [String]) -> String {
        filters.count == 1 ? filters[0] : "(|" + filters.joined() + ")"
    }

    static func condition(_ condition: DirectoryCondition, _ attribute: String) -> String {
        let value = escape(condition.name)
        return switch condition.comparison {
        case .equals: "(\(attribute)=\(value))"
        case .contains: "(\(attribute)=*\(value)*)"
        case .startswith: "(\(attribute)=\(value)*)"
        case .endswith: "(\(attribute)=*\(value))"
        }
    }

    /// Active Directory keeps `objectGUID` as 16 bytes, which are shown as a UUID.
    static func id(_ id: String, _ attribute: String) -> String {
        guard attribute.lowercased() == "objectguid", let bytes = LDAPValue.guid(id) else {
            return equal(attribute, id)
        }
        return "(\(attribute)=" + bytes.map { "\\" + Hex.encode([$0]) }.joined() + ")"
    }

    /// Whether each bracket has its other half, and nothing stands outside.
    static func isBalanced(_ filter: String) -> Bool {
        var depth = 0
        var isEscaped = false
        for (at, letter) in filter.utf8.enumerated() {
            defer { isEscaped = letter == UInt8(ascii: "\\") }
            if isEscaped { continue }
            if letter == UInt8(ascii: "(") { depth += 1 }
            if letter == UInt8(ascii: ")") { depth -= 1 }
            if depth < 0 || depth == 0 && at < filter.utf8.count - 1 { return false }
        }
        return depth == 0
    }
}

/// Values as directories keep them.
enum LDAPValue {
    /// The text of a value; 16 bytes that are none are a UUID in Active Directory's order.
    static func text(_ bytes: [UInt8]) -> String? {
        String(validating: bytes, as: UTF8.self) ?? guidText(bytes)
    }

    static func guidText(_ bytes: [UInt8]) -> String? {
        guard bytes.count == 16 else { return nil }
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
        return Hex.uuid(order.map { bytes[$0] })
    }

    static func guid(_ text: String) -> [UInt8]? {
        guard text.utf8.count == 36, let bytes = Hex.decode(text.replacing("-", with: "")), bytes.count == 16 else {
            return nil
        }
        return [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map { bytes[$0] }
    }
}

/// Distinguished names (RFC 4514).
enum LDAPName {
    /// The first part's attribute and value: `uid` and `ann` of `uid=ann,ou=people`.
    static func first(_ name: String) -> (attribute: String, value: String)? {
        parts(name)?.first?.first
    }

    /// A form in which equal names are equal: small letters, single blanks, one kind of escape.
    static func normal(_ name: String) -> String {
        guard let parts = parts(name) else { return name.lowercased() }
        return parts.map { part in
            part.map { pair in
                let words = pair.value.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
                return pair.attribute.lowercased() + "=" + LDAPFilter.escape(words).replacing(",", with: "\\2c")
            }.sorted().joined(separator: "+")
        }.joined(separator: ",")
    }

    private static func parts(_ name: String) -> [[(attribute: String, value: String)]]? {
        var parsed: LDAPDN?
        guard ldap_str2dn(name, &parsed, UInt32(LDAP_DN_FORMAT_LDAPV3)) == LDAP_SUCCESS, let parsed else { return nil }
        defer { ldap_dnfree(parsed) }
        var parts: [[(String, String)]] = []
        var at = 0
        while let part = parsed[at] {
            var pairs: [(String, String)] = []
            var place = 0
            while let pair = part[place] {
                pairs.append((text(pair.pointee.la_attr), text(pair.pointee.la_value)))
                place += 1
            }
            parts.append(pairs)
            at += 1
        }
        return parts
    }

    private static func text(_ value: berval) -> String {
        guard let start = value.bv_val else { return "" }
        return String(decoding: UnsafeRawBufferPointer(start: start, count: Int(value.bv_len)), as: UTF8.self)
    }
}
