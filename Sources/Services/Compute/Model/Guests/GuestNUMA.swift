// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A guest's NUMA topology: what it is asked to be, and once it is on a host, where each cell and each processor of
/// its own went. Kept in the server's row.
package struct GuestNUMA: Codable, Sendable, Hashable {
    package enum CPUPolicy: String, Codable, Sendable { case shared, dedicated, mixed }
    package enum ThreadPolicy: String, Codable, Sendable { case prefer, isolate, require }
    package enum EmulatorPolicy: String, Codable, Sendable { case share, isolate }

    package struct Cell: Codable, Sendable, Hashable {
        package let id: Int
        /// All of the cell's vCPUs, and those of them that have a processor of their own.
        package var cpus: [Int]
        package var pinned: [Int]
        package var memoryMiB: Int
        /// The host's cell; nil until it is on one.
        package var hostCell: Int?
        package var pins: [Pin] = []
        /// The size of the cell's pages when it is not the host's usual one.
        package var pageKiB: Int?
        /// vCPUs that the guest sees as threads of one core.
        package var siblings: [[Int]] = []
    }

    package struct Pin: Codable, Sendable, Hashable {
        package let cpu: Int
        package let host: Int

        package init(cpu: Int, host: Int) { (self.cpu, self.host) = (cpu, host) }
    }

    package var cells: [Cell]
    package var cpuPolicy: CPUPolicy?
    package var threadPolicy: ThreadPolicy?
    package var emulatorPolicy: EmulatorPolicy?
    package var pages: PageWish?
    /// The processor that QEMU's own threads have for themselves.
    package var emulatorPin: Int?

    package var pins: [Pin] { cells.flatMap(\.pins) }
    package var isPinned: Bool { cells.contains { !$0.pinned.isEmpty } }
    package var isPlaced: Bool { cells.allSatisfy { $0.hostCell != nil } }
}

/// The size of memory pages that is asked for.
package enum PageWish: Codable, Sendable, Hashable {
    case any, large, small
    case kibibytes(Int)

    static func read(_ text: String) throws(Fault) -> PageWish {
        switch text {
        case "any": return .any
        case "large": return .large
        case "small": return .small
        default: break
        }
        if let number = Int(text), number >= 0 { return .kibibytes(number) }
        let digits = text.prefix { $0.isNumber }
        let unit = text.dropFirst(digits.count).lowercased()
        let factors = ["kb": 1, "kib": 1, "k": 1, "mb": 1024, "mib": 1024, "m": 1024, "gb": 1 << 20, "gib": 1 << 20]
        guard let number = Int(digits), number < 1 << 30, let factor = factors[unit] else {
            throw .badRequest("Invalid memory page size '\(text)'")
        }
        return .kibibytes(number * factor)
    }
}

// MARK: - What flavor and image ask for

extension GuestNUMA {
    /// nil when nothing asks for one: no number of nodes, no size of pages, no processors of its own.
    package init?(_ wishes: GuestWishes) throws(Fault) {
        var policies = try GuestPolicies(wishes)
        let nodes = try GuestNUMA.nodes(wishes)
        pages = try GuestNUMA.pages(wishes)
        _ = try GuestMemory.isLocked(wishes)
        try policies.check(wishes)
        guard
            nodes != nil || pages != nil || wishes.spec("hw:pmem") != nil || policies.cpu == .dedicated
                || policies.cpu == .mixed
        else { return nil }
        cpuPolicy = policies.cpu
        threadPolicy = policies.thread
        emulatorPolicy = policies.emulator
        let pinned = Set(policies.cpu == .dedicated ? Array(0..<wishes.vcpus) : policies.dedicated ?? [])
        cells = try GuestNUMA.cells(wishes, nodes ?? 1, pinned)
    }

    private static func nodes(_ wishes: GuestWishes) throws(Fault) -> Int? {
        let (flavor, image) = wishes.both("numa_nodes")
        if flavor != nil, image != nil { throw .numaForbidden("hw_numa_nodes") }
        guard let text = flavor ?? image else { return nil }
        guard let count = Int(text), count >= 1, count <= 128 else {
            throw .badRequest(
                "The property 'numa_nodes' cannot be '\(text)'. It must be a number greater than 0")
        }
        return count
    }

    /// An image may only choose a size where the flavor leaves the choice.
    private static func pages(_ wishes: GuestWishes) throws(Fault) -> PageWish? {
        let (flavor, image) = wishes.both("mem_page_size")
        guard let flavor else {
            if let image { throw .badRequest("Page size \(image) forbidden against '<empty>'") }
            return nil
        }
        let wanted = try PageWish.read(flavor)
        guard let image else { return wanted }
        if wanted == .any || wanted == .large { return try PageWish.read(image) }
        throw .badRequest("Page size \(image) forbidden against '\(flavor)'")
    }

    private static func cells(
        _ wishes: GuestWishes, _ nodes: Int, _ pinned: Set<Int>
    ) throws(Fault) -> [Cell] {
        let cpuTexts = try list("numa_cpus", wishes)
        let memoryTexts = try list("numa_mem", wishes)
        if cpuTexts == nil, memoryTexts == nil {
            guard wishes.vcpus % nodes == 0, wishes.memoryMiB % nodes == 0 else {
                throw .badRequest(
                    "Instance CPUs and/or memory cannot be evenly distributed across instance NUMA nodes. Explicit "
                        + "assignment of CPUs and memory to nodes is required")
            }
            let share = wishes.vcpus / nodes
            return (0..<nodes).map { node in
                let cpus = Array(node * share..<(node + 1) * share)
                return Cell(
                    id: node, cpus: cpus, pinned: cpus.filter(pinned.contains), memoryMiB: wishes.memoryMiB / nodes)
            }
        }
        guard let cpuTexts, let memoryTexts, cpuTexts.count == nodes, memoryTexts.count == nodes else {
            throw .badRequest("CPU and memory allocation must be provided for all NUMA nodes")
        }
        return try byHand(wishes, cpuTexts, memoryTexts, pinned)
    }

    private static func byHand(
        _ wishes: GuestWishes, _ cpuTexts: [String], _ memoryTexts: [String], _ pinned: Set<Int>
    ) throws(Fault) -> [Cell] {
        var free = Set(0..<wishes.vcpus)
        var cells: [Cell] = []
        for (node, texts) in zip(cpuTexts, memoryTexts).enumerated() {
            let cpus = try CPUSet.parse(texts.0)
            guard let memory = Int(texts.1) else {
                throw .badRequest(
                    "Invalid flavor extra spec. Error: invalid literal for int() with base 10: '\(texts.1)'")
            }
            for cpu in cpus {
                guard cpu < wishes.vcpus else {
                    throw .badRequest("CPU number \(cpu) is larger than max \(wishes.vcpus - 1)")
                }
                guard free.remove(cpu) != nil else {
                    throw .badRequest("CPU number \(cpu) is assigned to two nodes")
                }
            }
            cells.append(Cell(id: node, cpus: cpus, pinned: cpus.filter(pinned.contains), memoryMiB: memory))
        }
        guard free.isEmpty else {
            let set = "{" + free.sorted().map(String.init).joined(separator: ", ") + "}"
            throw .badRequest("CPU number \(set) is not assigned to any node")
        }
        let sum = cells.reduce(0) { $0 + $1.memoryMiB }
        guard sum == wishes.memoryMiB else {
            throw .badRequest("\(sum) MB of memory assigned, but expected \(wishes.memoryMiB) MB")
        }
        return cells
    }

    /// `hw:NAME.0`, `hw:NAME.1`, ... of the flavor, or the image's, never both.
    private static func list(_ name: String, _ wishes: GuestWishes) throws(Fault) -> [String]? {
        func all(_ key: (Int) -> String?) -> [String]? {
            var texts: [String] = []
            while texts.count < 128, let text = key(texts.count) { texts.append(text) }
            return texts.isEmpty ? nil : texts
        }
        let flavor = all { wishes.spec("hw:\(name).\($0)") }
        let image = all { wishes.property("hw_\(name).\($0)") }
        if flavor != nil, image != nil { throw .numaForbidden("hw_" + name) }
        return flavor ?? image
    }
}

extension Fault {
    fileprivate static func numaForbidden(_ name: String) -> Fault {
        .badRequest(
            "Image property '\(name)' is not permitted to override NUMA configuration set against the flavor")
    }
}
