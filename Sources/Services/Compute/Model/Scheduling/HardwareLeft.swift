// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What is left of a host's cells and devices: what its driver reports, without what the rows of its servers hold.
struct HardwareLeft: Sendable {
    struct Cell: Sendable {
        let facts: HostResources.NUMACell
        var freeOwn: Set<Int>
        /// Of the processors that are shared: how many a guest with a topology has taken of them.
        var sharedUsed = 0
        var memoryUsedMiB = 0
        var pagesUsed: [Int: Int] = [:]

        init(_ facts: HostResources.NUMACell) {
            self.facts = facts
            freeOwn = Set(facts.ownCPUs)
        }
    }

    /// What a server holds of a host.
    struct Holding: Sendable, Hashable {
        var numa: GuestNUMA?
        var devices: [HostDevice] = []

        var isEmpty: Bool { numa == nil && devices.isEmpty }
    }

    /// nil on a host that reports no cells.
    private(set) var cells: [Cell]?
    private(set) var devices: [HostResources.PCIDevice]
    /// Parts of cards that nobody has.
    private(set) var mediated: [HostDevice]
    private let sources: [MediatedSource]
    /// How much may be promised of shared processors and of memory.
    var cpuRatio = 1.0
    var memoryRatio = 1.0

    init(_ facts: HostResources, holdings: [Holding] = []) {
        cells = facts.numaCells?.map { Cell($0) }
        devices = facts.pciDevices ?? []
        sources = facts.mediatedSources ?? []
        mediated = sources.flatMap(\.parts)
        for holding in holdings { take(holding) }
    }

    mutating func take(_ holding: Holding) {
        let addresses = Set(holding.devices.map(\.address))
        // A function and its device exclude each other.
        let parents = Set(devices.filter { addresses.contains($0.address) }.compactMap(\.parent))
        devices.removeAll {
            addresses.contains($0.address) || parents.contains($0.address)
                || ($0.parent.map(addresses.contains) ?? false)
        }
        mediated.removeAll { addresses.contains($0.address) }
        guard let numa = holding.numa else { return }
        for part in numa.cells {
            guard let at = cells?.firstIndex(where: { $0.facts.id == part.hostCell }) else { continue }
            take(part, numa, at)
        }
    }

    private mutating func take(_ part: GuestNUMA.Cell, _ numa: GuestNUMA, _ at: Int) {
        guard var cell = cells?[at] else { return }
        let pinned = Set(part.pins.map(\.host))
        cell.freeOwn.subtract(pinned)
        if numa.threadPolicy == .isolate {
            // The other threads of a core that is isolated stay idle.
            for core in cell.facts.siblings where !pinned.isDisjoint(with: core) { cell.freeOwn.subtract(core) }
        }
        if let own = numa.emulatorPin { cell.freeOwn.remove(own) }
        cell.sharedUsed += part.cpus.count - part.pinned.count
        if let size = part.pageKiB {
            cell.pagesUsed[size, default: 0] += part.memoryMiB * 1024 / max(1, size)
        }
        cell.memoryUsedMiB += part.memoryMiB
        cells?[at] = cell
    }
}

// MARK: - Finding a place

extension HardwareLeft {
    /// Where a topology and devices go here; nil when they do not fit.
    /// - Parameter limits: the parts of the host that devices which Placement counts must be of; nil where it was not
    ///   asked.
    func fit(
        _ numa: GuestNUMA?, _ requests: [PCIRequest] = [], within limits: HostParts.Limits? = nil
    ) -> Holding? {
        var holding = Holding()
        if let numa {
            guard let placed = place(numa) else { return nil }
            holding.numa = placed
        }
        let cells = Set((holding.numa?.cells ?? []).compactMap(\.hostCell))
        guard let parts = parts(requests, limits), let devices = choose(requests, near: cells, within: limits) else {
            return nil
        }
        holding.devices = parts + devices
        return holding
    }

    /// Parts of cards that nobody has: of those cards that Placement says, or of any.
    private func parts(_ requests: [PCIRequest], _ limits: HostParts.Limits?) -> [HostDevice]? {
        let count = requests.reduce(0) { $0 + ($1.isMediated ? $1.count : 0) }
        guard let limits else { return mediated.count >= count ? Array(mediated.prefix(count)) : nil }
        var chosen: [HostDevice] = []
        for (key, amounts) in limits.sorted(by: { $0.key < $1.key }) {
            for (name, amount) in amounts.sorted(by: { $0.key < $1.key }) {
                let card = mediated.filter { MediatedSource.partKey($0.parent ?? "") == key && $0.alias == name }
                // The part may be of PCI devices, whose turn comes.
                guard card.count >= amount || !isMediated(key, name) else { return nil }
                chosen += card.prefix(amount)
            }
        }
        return chosen.count >= count ? chosen : nil
    }

    private func isMediated(_ key: String, _ name: String) -> Bool {
        sources.contains { $0.partKey == key && $0.className == name }
    }

    /// Free devices for every request, near the guest's cells where the operator wants that.
    private func choose(
        _ requests: [PCIRequest], near cells: Set<Int>, within limits: HostParts.Limits?
    ) -> [HostDevice]? {
        let units = requests.filter { !$0.isMediated }.flatMap { Array(repeating: $0, count: max(0, $0.count)) }
        return DeviceChoice(units, near: cells, within: limits).choose(of: devices)
    }

    private func place(_ numa: GuestNUMA) -> GuestNUMA? {
        guard let cells, cells.count >= numa.cells.count else { return nil }
        var placed = numa
        return place(&placed, 0, cells, []) ? placed : nil
    }

    /// Tries the host's cells for each of the guest's in turn, and goes back where that leads nowhere.
    private func place(_ numa: inout GuestNUMA, _ part: Int, _ cells: [Cell], _ used: Set<Int>) -> Bool {
        guard part < numa.cells.count else { return true }
        for (at, cell) in cells.enumerated() where !used.contains(at) {
            var attempt = numa
            guard fill(&attempt, part, cell) else { continue }
            if place(&attempt, part + 1, cells, used.union([at])) {
                numa = attempt
                return true
            }
        }
        return false
    }

    /// Puts one of the guest's cells into one of the host's.
    private func fill(_ numa: inout GuestNUMA, _ part: Int, _ cell: Cell) -> Bool {
        var guest = numa.cells[part]
        guard memory(&guest, numa.pages, cell) else { return false }
        let shared = guest.cpus.count - guest.pinned.count
        if shared > 0 {
            let most = Double(cell.facts.sharedCPUs.count) * cpuRatio
            guard shared <= cell.facts.sharedCPUs.count, Double(cell.sharedUsed + shared) <= most else { return false }
        }
        if !guest.pinned.isEmpty {
            // QEMU's own threads have a processor beside the first cell's.
            let extra = numa.emulatorPolicy == .isolate && part == 0 ? 1 : 0
            guard var own = processors(guest.pinned.count + extra, numa.threadPolicy ?? .prefer, cell) else {
                return false
            }
            if extra == 1 { numa.emulatorPin = own.removeLast() }
            guest.pins = zip(guest.pinned, own).map { GuestNUMA.Pin(cpu: $0, host: $1) }
            guest.siblings = siblings(guest, cell)
        }
        guest.hostCell = cell.facts.id
        numa.cells[part] = guest
        return true
    }

    private func memory(_ guest: inout GuestNUMA.Cell, _ wish: PageWish?, _ cell: Cell) -> Bool {
        guard guest.memoryMiB <= cell.facts.memoryMiB,
            Double(cell.memoryUsedMiB + guest.memoryMiB) <= Double(cell.facts.memoryMiB) * memoryRatio
        else { return false }
        guard let wish else { return true }
        let sizes = cell.facts.pages.map(\.kibibytes).sorted()
        let candidates: [Int] =
            switch wish {
            case .small: Array(sizes.prefix(1))
            case .large: sizes.dropFirst().reversed()
            case .any: sizes.reversed()
            case .kibibytes(let size): sizes.filter { $0 == size }
            }
        let wanted = guest.memoryMiB * 1024
        for size in candidates where wanted % size == 0 {
            let total = cell.facts.pages.first { $0.kibibytes == size }?.total ?? 0
            // The usual pages are what all memory is made of, and the ratio has answered for them.
            guard size == sizes.first || total - cell.pagesUsed[size, default: 0] >= wanted / size else { continue }
            guest.pageKiB = size
            return true
        }
        return false
    }

    /// Free processors as the policy for threads wants them.
    private func processors(_ count: Int, _ policy: GuestNUMA.ThreadPolicy, _ cell: Cell) -> [Int]? {
        let cores = cell.facts.siblings.map { core in core.filter(cell.freeOwn.contains).sorted() }
        let inCores = Set(cell.facts.siblings.flatMap(\.self))
        let single = cell.freeOwn.subtracting(inCores).sorted()
        switch policy {
        case .isolate:
            // A core of which another guest has a thread is not for one that wants to be alone.
            let whole = zip(cell.facts.siblings, cores).filter { $0.0.count == $0.1.count }.compactMap { $0.1.first }
            let free = whole + single
            return free.count >= count ? Array(free.prefix(count)) : nil
        case .require, .prefer:
            let full = cores.filter { $0.count > 1 }.sorted { $0.count > $1.count }
            var chosen = full.flatMap(\.self)
            if policy == .require {
                guard !cell.facts.siblings.isEmpty else { return nil }
                return chosen.count >= count ? Array(chosen.prefix(count)) : nil
            }
            chosen += cores.filter { $0.count == 1 }.flatMap(\.self) + single
            return chosen.count >= count ? Array(chosen.prefix(count)) : nil
        }
    }

    /// vCPUs whose processors are threads of one core.
    private func siblings(_ guest: GuestNUMA.Cell, _ cell: Cell) -> [[Int]] {
        cell.facts.siblings.compactMap { core in
            let threads = guest.pins.filter { core.contains($0.host) }.map(\.cpu)
            return threads.count > 1 ? threads : nil
        }
    }
}

extension MediatedSource {
    /// Its parts as guests have them.
    fileprivate var parts: [HostDevice] {
        (0..<max(0, total)).map { number in
            var device = HostDevice(.mediated, address: part(number), alias: className)
            device.parent = address
            device.type = type
            return device
        }
    }
}
