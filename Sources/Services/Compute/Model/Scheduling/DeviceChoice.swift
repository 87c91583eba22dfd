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
        let isNear = { (device: HostResources.PCIDevice) in device.cell.map(cells.contains) ?? false }
        var free = devices.filter(isNear) + devices.filter { !isNear($0) }
        var chosen: [Int: HostResources.PCIDevice] = [:]
        let bound = units.indices.filter { isBound(units[$0]) }
        for (unit, device) in zip(bound, seats(bound, free)) {
            // A function and its device exclude each other.
            guard let device, free.contains(where: { $0.address == device.address }) else { return nil }
            chosen[unit] = device
            take(device, &free)
        }
        for unit in units.indices where !isBound(units[unit]) {
            guard let device = free.first(where: { fits(units[unit], $0) }) else { return nil }
            chosen[unit] = device
            take(device, &free)
        }
        return units.indices.compactMap { unit in chosen[unit].map { units[unit].having($0) } }
    }

    private func isBound(_ request: PCIRequest) -> Bool { limits != nil && request.isCounted }

    private func take(_ device: HostResources.PCIDevice, _ free: inout [HostResources.PCIDevice]) {
        free.removeAll { $0.address == device.address || $0.address == device.parent || $0.parent == device.address }
    }

    private func fits(_ request: PCIRequest, _ device: HostResources.PCIDevice) -> Bool {
        if let card = request.card { return card.fits(device) }
        return request.specs.contains { spec in
            spec.fits(device)
                && (spec.policy != "required" || cells.isEmpty || device.cell.map(cells.contains) ?? false)
        }
    }
}

// MARK: - Where Placement's word binds

extension DeviceChoice {
    /// A device for each of these, as far as there are any. Devices that are alike are not told apart.
    private func seats(_ bound: [Int], _ free: [HostResources.PCIDevice]) -> [HostResources.PCIDevice?] {
        var kinds: [PCIRequest] = []
        for unit in bound where !kinds.contains(units[unit]) { kinds.append(units[unit]) }
        var seating = Seating(pools: pools(kinds, free))
        let asked = bound.map { kinds.firstIndex(of: units[$0]) ?? 0 }
        for (guest, kind) in asked.enumerated() where !seating.seat(guest, kind) { break }
        return seating.devices(for: bound.count)
    }

    /// Devices by part and by the requests that they would do for, and how many may be taken of each.
    private func pools(_ kinds: [PCIRequest], _ free: [HostResources.PCIDevice]) -> [Seating.Pool] {
        var left = limits ?? [:]
        var order: [Seating.Key] = []
        var devices: [Seating.Key: [HostResources.PCIDevice]] = [:]
        for device in free where device.isCounted && left[device.partKey]?[device.className] ?? 0 > 0 {
            let key = Seating.Key(
                part: device.partKey, name: device.className, suits: kinds.map { fits($0, device) })
            guard key.suits.contains(true) else { continue }
            if devices[key] == nil { order.append(key) }
            devices[key, default: []].append(device)
        }
        return order.map { key in
            let all = devices[key] ?? []
            let room = min(all.count, left[key.part]?[key.name] ?? 0)
            left[key.part]?[key.name]? -= room
            return Seating.Pool(devices: all, room: room, suits: key.suits)
        }
    }
}

/// Who sits where: each that comes is given a place that suits it, for which others may have to take another one.
private struct Seating {
    struct Key: Hashable {
        let part: String
        let name: String
        let suits: [Bool]
    }

    struct Pool {
        let devices: [HostResources.PCIDevice]
        let room: Int
        /// By kind of guest.
        let suits: [Bool]
    }

    private let pools: [Pool]
    private var taken: [[(guest: Int, kind: Int)]]

    init(pools: [Pool]) {
        self.pools = pools
        taken = pools.map { _ in [] }
    }

    /// Whether there was a place.
    mutating func seat(_ guest: Int, _ kind: Int) -> Bool {
        var asked: Set<Int> = []
        return seat(guest, kind, &asked)
    }

    private mutating func seat(_ guest: Int, _ kind: Int, _ asked: inout Set<Int>) -> Bool {
        let suiting = pools.indices.filter { pools[$0].suits[kind] && !asked.contains($0) }
        if let free = suiting.first(where: { taken[$0].count < pools[$0].room }) {
            taken[free].append((guest, kind))
            return true
        }
        for at in suiting where asked.insert(at).inserted {
            for place in taken[at].indices {
                let other = taken[at][place]
                guard seat(other.guest, other.kind, &asked) else { continue }
                taken[at][place] = (guest, kind)
                return true
            }
        }
        return false
    }

    func devices(for guests: Int) -> [HostResources.PCIDevice?] {
        var devices = [HostResources.PCIDevice?](repeating: nil, count: guests)
        for (pool, places) in zip(pools, taken) {
            for (device, guest) in zip(pool.devices, places.map(\.guest).sorted()) { devices[guest] = device }
        }
        return devices
    }
}

extension PCIRequest {
    fileprivate func having(_ device: HostResources.PCIDevice) -> HostDevice {
        var chosen = HostDevice(.pci, address: device.address, alias: card == nil ? alias : nil, portID: portID)
        chosen.isManaged = device.isManaged
        return chosen
    }
}
