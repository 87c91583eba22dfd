// SPDX-License-Identifier: Apache-2.0

/// Finds devices for requests of one each, near a guest's cells where the operator wants that. What Placement counts is
/// taken of the parts that it gave, and where several of those would do for a request, the others decide.
struct DeviceChoice {
    private let units: [PCIRequest]
    private let cells: Set<Int>
    private let limits: HostParts.Limits?

    init(_ units: [PCIRequest], near cells: Set<Int>, within limits: HostParts.Limits?) {
        (self.units, self.cells, self.limits) = (units, cells, limits)
    }

    func choose(of devices: [HostResources.PCIDevice]) -> [HostDevice]? {
        guard !units.isEmpty else { return [] }
        return choose(0, devices, limits ?? [:])
    }

    private func choose(
        _ at: Int, _ free: [HostResources.PCIDevice], _ left: HostParts.Limits
    ) -> [HostDevice]? {
        guard at < units.count else { return [] }
        let request = units[at]
        for index in candidates(request, free, left) {
            var (rest, limits) = (free, left)
            let device = rest.remove(at: index)
            // A function and its device exclude each other.
            rest.removeAll { $0.address == device.parent || $0.parent == device.address }
            if isBound(request) { limits[device.partKey]?[device.className, default: 0] -= 1 }
            guard let others = choose(at + 1, rest, limits) else { continue }
            let alias = request.card == nil ? request.alias : nil
            var chosen = HostDevice(.pci, address: device.address, alias: alias, portID: request.portID)
            chosen.isManaged = device.isManaged
            return [chosen] + others
        }
        return nil
    }

    private func isBound(_ request: PCIRequest) -> Bool { limits != nil && request.isCounted }

    /// Of the devices that would do the first, one near before one far: of each part, if Placement's word binds.
    private func candidates(
        _ request: PCIRequest, _ free: [HostResources.PCIDevice], _ left: HostParts.Limits
    ) -> [Int] {
        let isNear = { (at: Int) in free[at].cell.map(cells.contains) ?? false }
        let fitting = free.indices.filter { fits(request, free[$0]) }
        let ordered = fitting.filter(isNear) + fitting.filter { !isNear($0) }
        guard isBound(request) else { return Array(ordered.prefix(1)) }
        var parts = Set<String>()
        return ordered.filter { at in
            let device = free[at]
            guard device.isCounted, left[device.partKey]?[device.className] ?? 0 > 0 else { return false }
            return parts.insert(device.partKey).inserted
        }
    }

    private func fits(_ request: PCIRequest, _ device: HostResources.PCIDevice) -> Bool {
        if let card = request.card { return card.fits(device) }
        return request.specs.contains { spec in
            spec.fits(device)
                && (spec.policy != "required" || cells.isEmpty || device.cell.map(cells.contains) ?? false)
        }
    }
}
