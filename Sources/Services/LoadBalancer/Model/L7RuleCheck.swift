// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Whether a rule makes sense, in upstream's words.
enum L7RuleCheck {
    static func check(_ rule: L7Rule) throws(Fault) {
        guard !rule.value.isEmpty else { throw .rule("Invalid L7 Rule: L7 rule type requires a value") }
        switch rule.type {
        case .header, .cookie:
            guard let key = rule.key, !key.isEmpty else { throw .rule("Invalid L7 Rule: L7 rule type requires a key") }
            guard key.utf8.allSatisfy(isNameByte) else { throw .rule("Invalid characters in key") }
            try compare(rule, rule.type == .cookie ? "cookie value" : "header value")
        case .hostName, .path: try compare(rule, "comparison value")
        case .fileType:
            guard rule.compareType == .regex || rule.compareType == .equalTo else {
                throw .rule("Invalid L7 Rule: invalid comparison type for rule type")
            }
            try compare(rule, "comparison value")
        case .hasCertificate, .verifyResult, .nameField: try certificate(rule)
        }
    }

    private static func compare(_ rule: L7Rule, _ what: String) throws(Fault) {
        if rule.compareType == .regex { return try regex(rule.value) }
        let fits =
            what == "cookie value"
            ? rule.value.utf8.allSatisfy { (33...126).contains($0) && !"\",;\\".utf8.contains($0) }
            : rule.value.utf8.allSatisfy { (33...126).contains($0) && !"\"(),/\\".utf8.contains($0) || $0 == 47 }
                || isQuoted(rule.value)
        guard fits else { throw .rule("Invalid characters in \(what)") }
    }

    private static func isQuoted(_ text: String) -> Bool {
        text.utf8.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"")
            && text.utf8.dropFirst().dropLast().allSatisfy { (32...126).contains($0) && $0 != 34 || $0 == 9 }
    }

    /// A regular expression that can be read; what the balancer understands is nearly the same.
    private static func regex(_ text: String) throws(Fault) {
        do { _ = try Regex(text) } catch { throw .rule("Unable to parse regular expression: \(error)") }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        WebAddress.isAlphanumeric(byte) || "!#$%&'*+-.^_`|~,".utf8.contains(byte)
    }

    private static func certificate(_ rule: L7Rule) throws(Fault) {
        let name = rule.type.rawValue
        func refuse(_ words: String) -> Fault { .rule("Invalid L7 Rule: \(words)") }
        switch rule.type {
        case .hasCertificate:
            if rule.key != nil { throw refuse("L7rule type \(name) does not use the \"key\" field.") }
            guard rule.value.lowercased() == "true" else {
                throw refuse("L7rule value \(rule.value) is not a boolean True string.")
            }
        case .verifyResult:
            if rule.key != nil { throw refuse("L7rule type \(name) does not use the \"key\" field.") }
            guard rule.value.utf8.allSatisfy({ (48...57).contains($0) }) else {
                throw refuse("L7rule type \(name) needs a int value, which is >= 0")
            }
        default:
            if rule.compareType == .regex { try regex(rule.value) }
            guard let key = rule.key, !key.isEmpty else {
                throw refuse("L7rule type \(name) needs to specify a key and a value.")
            }
            guard key.utf8.allSatisfy(WebAddress.isAlphanumeric) else {
                throw refuse("Invalid L7rule distinguished name field.")
            }
            return
        }
        guard rule.compareType == .equalTo else {
            throw refuse("L7rule type \(name) only supports the EQUAL_TO compare type.")
        }
    }
}

extension Fault {
    fileprivate static func rule(_ error: String) -> Fault { .badRequest("Error parsing L7Rule: \(error)") }
}
