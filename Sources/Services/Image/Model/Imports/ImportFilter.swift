// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Which addresses imports may download from. Where something is allowed by name, what is disallowed is not looked at.
package struct ImportFilter: Sendable {
    package var allowedSchemes = ["http", "https"]
    package var disallowedSchemes: [String] = []
    package var allowedHosts: [String] = []
    package var disallowedHosts: [String] = []
    package var allowedPorts = [80, 443]
    package var disallowedPorts: [Int] = []

    package init() {}

    init(_ read: inout OptionReader) {
        self.init()
        allowedSchemes = read.list(
            "allowed_schemes", default: allowedSchemes, help: "Schemes that imports may download by."
        ).map(ImportOptions.bare)
        disallowedSchemes = read.list(
            "disallowed_schemes", help: "Schemes that imports may not use; only with allowed_schemes empty."
        ).map(ImportOptions.bare)
        allowedHosts = read.list(
            "allowed_hosts", help: "The only hosts that imports may download from; none named is any."
        ).map(ImportOptions.bare)
        disallowedHosts = read.list(
            "disallowed_hosts", help: "Hosts that imports may not download from; only with allowed_hosts empty."
        ).map(ImportOptions.bare)
        allowedPorts = Self.ports(
            "allowed_ports", allowedPorts, help: "Ports that imports may download from.", &read)
        disallowedPorts = Self.ports(
            "disallowed_ports", [], help: "Ports that imports may not use; only with allowed_ports empty.", &read)
    }

    private static func ports(
        _ name: String, _ standard: [Int], help: String, _ read: inout OptionReader
    ) -> [Int] {
        read.list(name, default: standard.map(String.init), help: help).map(ImportOptions.bare)
            .filter { !$0.isEmpty }.compactMap { text in
                if let port = Int(text), (1...65535).contains(port) { return port }
                read.refuse("\(name): '\(text)' is no port.")
                return nil
            }
    }

    /// Upstream looks at a port only when the address names one: the schemes' own are 80 and 443.
    package func allows(_ url: String) -> Bool {
        guard let address = ImportAddress(url) else { return false }
        guard Self.passes(address.scheme, allowedSchemes, disallowedSchemes) else { return false }
        guard Self.passes(address.host, allowedHosts, disallowedHosts) else { return false }
        guard let port = address.port else { return true }
        return Self.passes(port, allowedPorts, disallowedPorts)
    }

    private static func passes<Item: Equatable>(_ item: Item, _ allowed: [Item], _ disallowed: [Item]) -> Bool {
        allowed.isEmpty ? !disallowed.contains(item) : allowed.contains(item)
    }
}

/// An address to download from, read so strictly that no other reader can understand it differently.
package struct ImportAddress: Sendable, Equatable {
    package let scheme: String
    package let host: String
    package let port: Int?

    package init?(_ url: String) {
        guard !url.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7f || $0 == UInt8(ascii: "\\") }) else { return nil }
        guard let colon = url.firstIndex(of: ":"), url[colon...].hasPrefix("://") else { return nil }
        scheme = url[..<colon].lowercased()
        guard let first = scheme.first, first.isLetter,
            scheme.allSatisfy({ $0.isLetter || $0.isNumber || "+-.".contains($0) })
        else { return nil }
        let authority = url[colon...].dropFirst(3).prefix { !"/?#".contains($0) }
        // Names and passwords do not belong into an address that everybody may read in a task.
        guard !authority.isEmpty, !authority.contains("@") else { return nil }
        guard let (name, port) = ImportAddress.split(authority) else { return nil }
        guard let host = ImportAddress.normal(name) else { return nil }
        self.host = host
        self.port = port
    }

    private static func split(_ authority: Substring) -> (host: String, port: Int?)? {
        var name = authority
        var rest: Substring = ""
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            name = authority[...end]
            rest = authority[authority.index(after: end)...]
        } else if let colon = authority.firstIndex(of: ":") {
            name = authority[..<colon]
            rest = authority[colon...]
        }
        if rest.isEmpty || rest == ":" { return rest.isEmpty ? (String(name), nil) : nil }
        guard rest.first == ":", rest.dropFirst().allSatisfy(\.isNumber), let port = Int(rest.dropFirst()),
            (1...65535).contains(port)
        else { return nil }
        return (String(name), port)
    }

    /// Numbers that only some resolvers take for addresses (`127.1`, `0x7f000001`, `2130706433`) are no host.
    private static func normal(_ name: String) -> String? {
        if name.hasPrefix("[") {
            let inside = name.dropFirst().dropLast()
            guard !inside.isEmpty, inside.allSatisfy({ $0.isHexDigit || ":.".contains($0) }) else { return nil }
            return inside.lowercased()
        }
        var host = name.lowercased()
        if host.hasSuffix(".") { host.removeLast() }
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        guard host.count <= 253, !labels.contains(where: { $0.isEmpty || $0.count > 63 }) else { return nil }
        guard host.allSatisfy({ $0.isLetter || $0.isNumber || "-._".contains($0) }) else { return nil }
        let looksNumeric = labels.last.map { $0.allSatisfy(\.isNumber) || $0.hasPrefix("0x") } ?? true
        guard looksNumeric else { return host }
        let numbers = labels.compactMap { label in label.count <= 3 ? UInt8(label) : nil }
        let isPlain = numbers.count == 4 && labels.count == 4 && zip(labels, numbers).allSatisfy { $0 == "\($1)" }
        return isPlain ? host : nil
    }
}
