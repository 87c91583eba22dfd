// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Names and domains as upstream's validators take them; they are kept in lower case.
extension Format where Value == String {
    /// A domain with its dot at the end, or nothing.
    static var dnsDomain: Format {
        Format<String>.string().map { text throws(Misfit) in
            guard !text.isEmpty else { return text }
            guard text.hasSuffix(".") else { throw Misfit("'\(text)' is not a FQDN") }
            try DNSLabels.check(text.lowercased(), words: ResolvedDomain.keywords)
            guard text.utf8.count <= 253 else {
                throw Misfit(
                    "'\(text)' contains \(text.utf8.count) characters. Adding a sub-domain will cause it to exceed the "
                        + "maximum length of a FQDN of '255'")
            }
            return text.lowercased()
        }
    }

    /// A floating address's name within its domain, or nothing.
    static var relativeName: Format {
        Format<String>.string().map { text throws(Misfit) in
            guard !text.isEmpty else { return text }
            guard !text.hasSuffix(".") else {
                throw Misfit("'\(text)' is a FQDN. It should be a relative domain name")
            }
            try DNSLabels.check(text.lowercased())
            guard text.utf8.count <= 252 else {
                throw Misfit(
                    "'\(text)' contains \(text.utf8.count) characters. Adding a domain name will cause it to exceed "
                        + "the maximum length of a FQDN of '255'")
            }
            return text.lowercased()
        }
    }
}

/// What names are made of (RFC 1123 section 2.1).
private enum DNSLabels {
    static func check(_ text: String, words: [String] = []) throws(Misfit) {
        func refuse(_ reason: String) -> Misfit { Misfit("'\(text)' not a valid PQDN or FQDN. Reason: \(reason)") }
        let trimmed = text.hasSuffix(".") ? text.dropLast() : text[...]
        let labels = trimmed.split(separator: ".", omittingEmptySubsequences: false)
        for label in labels {
            guard !label.isEmpty else { throw refuse("Encountered an empty component") }
            guard !label.hasPrefix("-"), !label.hasSuffix("-") else {
                throw refuse("Name '\(label)' must not start or end with a hyphen")
            }
            if words.contains(where: { label == "<\($0)>" }) { continue }
            let isPlain = label.utf8.allSatisfy { byte in
                (97...122).contains(byte) || (48...57).contains(byte) || byte == 45
            }
            guard isPlain, label.utf8.count <= 63 else {
                throw refuse(
                    "Name '\(label)' must be 1-63 characters long, each of which can only be alphanumeric or a hyphen")
            }
        }
        guard labels.count < 2 || labels.last?.utf8.allSatisfy({ (48...57).contains($0) }) != true else {
            throw refuse("TLD '\(labels.last ?? "")' must not be all numeric")
        }
    }
}
