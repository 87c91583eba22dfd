// SPDX-License-Identifier: Apache-2.0
import Kernel

// Filters on what a host is, against what flavor and image ask for.

extension HostFilter {
    static let computeCapabilities = HostFilter(
        "ComputeCapabilitiesFilter", "The host's facts are what the flavor's capabilities: extra specs ask for.",
        isDefault: true
    ) { state, context in
        for (key, wanted) in context.task.flavor.extraSpecs.sorted(by: { $0.key < $1.key }) {
            var path = key.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            if path.count == 1 {
                // Without a scope only names that the host has are meant.
                guard state.attribute(path[0]) != nil else { continue }
            } else {
                guard path[0] == "capabilities" else { continue }
                path.removeFirst()
            }
            guard let first = path.first, let fact = state.attribute(first)?.member(path.dropFirst()) else {
                return "the host does not tell \(path.joined(separator: ":"))"
            }
            guard SpecMatch.holds(fact.plain, wanted) else {
                return "\(path.joined(separator: ":")) is \(fact.plain), not \(wanted)"
            }
        }
        return nil
    }

    static let imageProperties = HostFilter(
        "ImagePropertiesFilter", "The host runs what the image is made for: architecture, hypervisor, mode.",
        isDefault: true, runsOnRebuild: true
    ) { state, context in
        let image = context.task.imageProperties
        let architecture = image["hw_architecture"] ?? image["architecture"] ?? context.options.defaultArchitecture
        let facts = state.host.resources
        if let architecture, GuestKind.architecture(architecture) != GuestKind.architecture(facts.architecture) {
            return "the image is for \(architecture), the host is \(facts.architecture)"
        }
        if let wanted = image["img_hv_type"] ?? image["hypervisor_type"],
            !GuestKind.hypervisors(facts.hypervisorType).contains(wanted.lowercased())
        {
            return "the image is for the hypervisor \(wanted), the host has \(facts.hypervisorType)"
        }
        if let mode = image["hw_vm_mode"] ?? image["vm_mode"], GuestKind.mode(mode) != "hvm" {
            return "the image is for the mode \(mode), the host runs hvm"
        }
        if let version = image["img_hv_requested_version"] ?? image["hypervisor_version_requires"],
            !VersionDemand.holds(version, of: facts.hypervisorVersion)
        {
            return "the image asks for a hypervisor \(version), the host's is \(facts.hypervisorVersion)"
        }
        return nil
    }
}

/// The names that images and hosts have for the same thing.
enum GuestKind {
    static func architecture(_ name: String) -> String {
        switch name.lowercased() {
        case "amd64", "x64", "x86-64", "x86_64": "x86_64"
        case "i386", "i486", "i586", "x86", "i686": "i686"
        case "arm64", "aarch64": "aarch64"
        case let other: other
        }
    }

    /// What a host of this type runs: one with QEMU runs what asks for KVM, too.
    static func hypervisors(_ type: String) -> Set<String> {
        type.lowercased() == "qemu" ? ["qemu", "kvm"] : [type.lowercased()]
    }

    static func mode(_ name: String) -> String {
        switch name.lowercased() {
        case "hv", "hvm", "baremetal": "hvm"
        case let other: other
        }
    }
}

/// `>=2.4,<5`: demands on a version, all of which must hold.
enum VersionDemand {
    static func holds(_ demand: String, of version: Int) -> Bool {
        demand.split(separator: ",").allSatisfy { part in
            let text = part.filter { !$0.isWhitespace }
            let sign = String(text.prefix { "<>=!".contains($0) })
            let numbers = text.dropFirst(sign.count).split(separator: ".").map { Int($0) ?? 0 }
            let padded = (numbers + [0, 0, 0]).prefix(3)
            let wanted = padded.reduce(0) { $0 * 1000 + $1 }
            switch sign {
            case "<": return version < wanted
            case "<=": return version <= wanted
            case ">": return version > wanted
            case ">=": return version >= wanted
            case "!=": return version != wanted
            default: return version == wanted
            }
        }
    }
}

/// The language of extra specs: `s== text`, `>= 5`, `<in> part`, `<or> a <or> b`, or the value itself.
enum SpecMatch {
    static func holds(_ value: String, _ demand: String) -> Bool {
        let words = demand.split(whereSeparator: \.isWhitespace).map(String.init)
        guard let sign = words.first else { return value == demand }
        let rest = Array(words.dropFirst())
        if sign == "<or>" {
            return stride(from: 1, to: words.count, by: 2).contains { words[$0] == value }
        }
        if sign == "<all-in>" { return !rest.isEmpty && rest.allSatisfy { value.contains($0) } }
        guard let test = tests[sign] else { return value == demand }
        return rest.first.map { test(value, $0) } ?? false
    }

    private typealias Test = @Sendable (String, String) -> Bool

    private static let tests: [String: Test] = [
        "=": numbers { $0 >= $1 }, "==": numbers { $0 == $1 }, "!=": numbers { $0 != $1 },
        ">=": numbers { $0 >= $1 }, "<=": numbers { $0 <= $1 },
        "s==": { $0 == $1 }, "s!=": { $0 != $1 }, "s<": { $0 < $1 }, "s<=": { $0 <= $1 }, "s>": { $0 > $1 },
        "s>=": { $0 >= $1 }, "<in>": { $0.contains($1) },
    ]

    private static func numbers(_ test: @escaping @Sendable (Double, Double) -> Bool) -> Test {
        { left, right in
            guard let left = Double(left), let right = Double(right) else { return false }
            return test(left, right)
        }
    }
}

extension JSON {
    /// What stands at the end of a path of member names.
    func member(_ path: some Sequence<String>) -> JSON? {
        path.reduce(JSON?.some(self)) { found, name in found?[name] }
    }

    /// A value as text, without quotes.
    var plain: String { string ?? text() }
}
