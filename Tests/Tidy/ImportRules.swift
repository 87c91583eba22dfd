// SPDX-License-Identifier: Apache-2.0

/// Who may import whom: STYLE.md section 1, "Dependency direction".
enum ImportRules {
    /// What comes with the system and is not Foundation.
    static let system: Set<String> = ["Glibc", "Synchronization", "RegexBuilder", "_StringProcessing"]
    static let foundation: Set<String> = ["Foundation", "FoundationEssentials", "FoundationNetworking", "Dispatch"]

    static func imports(_ source: SourceText, _ map: PackageMap) -> [Finding] {
        modules(source).compactMap { module, line in
            refusal(of: module, source, map).map { Finding(source, line, "imports \(module): \($0)") }
        }
    }

    private static func refusal(of module: String, _ source: SourceText, _ map: PackageMap) -> String? {
        if foundation.contains(module) {
            return "use Glibc and Kernel/Base; Foundation costs memory, start time and speed."
        }
        if system.contains(module) { return nil }
        let folders = source.folders
        guard folders.count >= 2, folders[0] == "Sources" else { return nil }
        switch folders[1] {
        case "Services": return inRoom(module, folders.count > 2 ? folders[2] : "", map)
        case "Drivers": return inDriver(module, folders.count > 2 ? folders[2] : "", map)
        case "Kernel": return inKernel(module, folders.count > 2 ? folders[2] : "", map)
        case "Clients":
            return module == "Kernel" || isKernel(module, map)
                ? nil : "clients stand on the kernel alone; take what is missing as an argument."
        default: return nil
        }
    }

    private static func inRoom(_ module: String, _ room: String, _ map: PackageMap) -> String? {
        if module == "Kernel" || module == "Clients" { return nil }
        if isKernel(module, map) { return "a room says `import Kernel`, which brings all of it." }
        if map.rooms.contains(module) { return "a room reaches another one only through `Clients`." }
        if map.drivers.contains(where: { $0.name == module }) {
            return
                "a room does not know its drivers: declare what it needs in \(room)/Ports and let the driver fulfil it."
        }
        return "a room imports Kernel and Clients only; put the call behind a protocol in \(room)/Ports."
    }

    private static func inDriver(_ module: String, _ driver: String, _ map: PackageMap) -> String? {
        if module == "Kernel" || isKernel(module, map) || map.shims.contains(module) { return nil }
        let uses = map.drivers.first { $0.name == driver }?.uses ?? []
        if map.rooms.contains(module) {
            return uses.filter(map.rooms.contains) == [module]
                ? nil : "a driver serves one room, the one that Package.swift names for it."
        }
        if map.drivers.contains(where: { $0.name == module }) { return "a driver does not know other drivers." }
        return "a driver stands on one room's ports, the kernel and C shims."
    }

    private static func inKernel(_ module: String, _ target: String, _ map: PackageMap) -> String? {
        if target == "Umbrella" { return isKernel(module, map) ? nil : "the umbrella names kernel targets only." }
        if target == "Simulation" {
            return module == "Kernel" || isKernel(module, map) ? nil : "the simulation stands on the kernel alone."
        }
        guard let own = map.kernel.firstIndex(where: { $0.name == target }) else {
            return "Package.swift has no kernel target \(target)."
        }
        if map.kernel[own].uses.contains(module) {
            guard let other = map.kernel.firstIndex(where: { $0.name == module }), other > own else { return nil }
            return "\(module) comes after \(target) in Package.swift; a kernel target stands on earlier ones only."
        }
        return
            "Package.swift does not let \(target) use it; a kernel target stands on earlier ones and on the C it owns."
    }

    private static func isKernel(_ module: String, _ map: PackageMap) -> Bool {
        map.kernel.contains { $0.name == module }
    }

    /// Every imported module with its line; `import struct A.B` imports A.
    static func modules(_ source: SourceText) -> [(name: String, line: Int)] {
        source.places(of: "import ").compactMap { place in
            let line = source.line(at: place)
            var words = source.code(line: line).split { $0 == " " || $0 == "." }[...]
            let modifiers: Set<Substring> = ["public", "package", "internal", "private", "fileprivate"]
            while let first = words.first, modifiers.contains(first) || first.hasPrefix("@") { words.removeFirst() }
            guard words.first == "import" else { return nil }
            words.removeFirst()
            if ["struct", "class", "enum", "func", "var", "let", "protocol", "typealias"].contains(words.first) {
                words.removeFirst()
            }
            return words.first.map { (String($0), line) }
        }
    }

    /// Only the umbrella hands modules on.
    static func exports(_ source: SourceText) -> [Finding] {
        guard !source.path.hasPrefix("Sources/Kernel/Umbrella/") else { return [] }
        return source.places(of: "@_exported").map {
            Finding(source, source.line(at: $0), "only Kernel/Umbrella hands modules on; import what you use here.")
        }
    }
}
