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
        var free = devices.filter(isNear) + devices.filter { !isNear($0) }
        var chosen: [Int: HostResources.PCIDevice] = [:]
        let bound = units.indices.filter { isBound(units[$0]) }
        guard let seats = seats(bound, free) else { return nil }
        for (unit, device) in zip(bound, seats) {
            // A function and its device exclude each other.
            guard free.contains(where: { $0.address == device.address }) else { return nil }
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

    private func isNear(_ device: HostResources.PCIDevice) -> Bool { device.cell.map(cells.contains) ?? false }

    private func isBound(_ request: PCIRequest) -> Bool { limits != nil && request.isCounted }

    private func take(_ device: HostResources.PCIDevice, _ free: inout [HostResources.PCIDevice]) {
        free.removeAll { $0.address == device.address || $0.address == device.parent || $0.parent == device.address }
    }

    private func fits(_ request: PCIRequest, _ device: HostResources.PCIDevice) -> Bool {
        if let card = request.card { return card.fits(device) }
        return request.specs.contains { spec in
            spec.fits(device) && (spec.policy != "required" || cells.isEmpty || isNear(device))
        }
    }
}

// MARK: - Where Placement's word binds

extension DeviceChoice {
    /// A device for each of these; nil when there is no way to give each one. Devices that are alike are not told
    /// apart, nor are requests.
    private func seats(_ bound: [Int], _ free: [HostResources.PCIDevice]) -> [HostResources.PCIDevice]? {
        var kinds: [PCIRequest] = []
        for unit in bound where !kinds.contains(units[unit]) { kinds.append(units[unit]) }
        let guests = bound.map { kinds.firstIndex(of: units[$0]) ?? 0 }
        var seating = seating(kinds, free)
        return seating.seat(guests) ? seating.devices(for: guests) : nil
    }

    /// Devices by part, class and the requests that they would do for. How many may be taken is said of a part and a
    /// class, whichever of their devices it is.
    private func seating(_ kinds: [PCIRequest], _ free: [HostResources.PCIDevice]) -> Seating {
        var order: [Seating.Key] = []
        var devices: [Seating.Key: [HostResources.PCIDevice]] = [:]
        for device in free where device.isCounted {
            let key = Seating.Key(
                room: .init(part: device.partKey, name: device.className), isNear: isNear(device),
                suits: kinds.map { fits($0, device) })
            guard key.suits.contains(true) else { continue }
            if devices[key] == nil { order.append(key) }
            devices[key, default: []].append(device)
        }
        var rooms: [Seating.Key.Room] = []
        for key in order where !rooms.contains(key.room) { rooms.append(key.room) }
        return Seating(
            pools: order.map { key in
                .init(
                    devices: devices[key] ?? [], room: rooms.firstIndex(of: key.room) ?? 0, isNear: key.isNear,
                    suits: key.suits)
            }, rooms: rooms.map { limits?[$0.part]?[$0.name] ?? 0 }, kinds: kinds.count)
    }
}

/// Who sits where: guests of some kinds, at the devices of pools, of which several share a room that holds only so many
/// guests. It is a flow from kinds through pools and rooms, which each guest that comes makes greater by one where that
/// can be at all: for one who takes a pool's or a room's last place others may go elsewhere, and others for them.
private struct Seating {
    /// What devices have in common that are one pool.
    struct Key: Hashable {
        struct Room: Hashable {
            let part: String
            let name: String
        }

        let room: Room
        let isNear: Bool
        let suits: [Bool]
    }

    struct Pool {
        let devices: [HostResources.PCIDevice]
        let room: Int
        let isNear: Bool
        /// By kind of guest.
        let suits: [Bool]
    }

    /// Where it was looked for a place already.
    private struct Asked {
        let onlyNear: Bool
        var kinds: Set<Int> = []
        var pools: Set<Int> = []
        var rooms: Set<Int> = []
    }

    private let pools: [Pool]
    private let poolsOf: [[Int]]
    /// How many more a room holds.
    private var left: [Int]
    /// By pool and by kind of guest.
    private var taken: [[Int]]

    init(pools: [Pool], rooms: [Int], kinds: Int) {
        self.pools = pools
        left = rooms
        taken = pools.map { _ in Array(repeating: 0, count: kinds) }
        var poolsOf = rooms.map { _ in [Int]() }
        for (at, pool) in pools.enumerated() { poolsOf[pool.room].append(at) }
        self.poolsOf = poolsOf
    }

    /// Whether all have a place. As many as can be are near: those who come later leave no room emptier than it was.
    mutating func seat(_ guests: [Int]) -> Bool {
        var waiting: [Int] = []
        var hopeless: Set<Int> = []
        for kind in guests {
            if !hopeless.contains(kind), seat(kind, onlyNear: true) { continue }
            hopeless.insert(kind)
            waiting.append(kind)
        }
        return waiting.allSatisfy { seat($0, onlyNear: false) }
    }

    private mutating func seat(_ kind: Int, onlyNear: Bool) -> Bool {
        var asked = Asked(onlyNear: onlyNear)
        return seat(kind, &asked)
    }

    /// One more of a kind.
    private mutating func seat(_ kind: Int, _ asked: inout Asked) -> Bool {
        guard asked.kinds.insert(kind).inserted else { return false }
        for pool in pools.indices where pools[pool].suits[kind] && (pools[pool].isNear || !asked.onlyNear) {
            guard asked.pools.insert(pool).inserted else { continue }
            let isFull = taken[pool].reduce(0, +) >= pools[pool].devices.count
            guard !isFull && makeRoom(pools[pool].room, &asked) || sendOn(from: pool, &asked) else { continue }
            taken[pool][kind] += 1
            return true
        }
        return false
    }

    /// Room for one more: what is left, or what somebody leaves who goes to another room.
    private mutating func makeRoom(_ room: Int, _ asked: inout Asked) -> Bool {
        guard asked.rooms.insert(room).inserted else { return false }
        if left[room] > 0 {
            left[room] -= 1
            return true
        }
        for pool in poolsOf[room] where asked.pools.insert(pool).inserted {
            if sendOn(from: pool, &asked) { return true }
        }
        return false
    }

    /// One who sits there goes elsewhere.
    private mutating func sendOn(from pool: Int, _ asked: inout Asked) -> Bool {
        for kind in taken[pool].indices where taken[pool][kind] > 0 {
            guard seat(kind, &asked) else { continue }
            taken[pool][kind] -= 1
            return true
        }
        return false
    }

    /// The places of those who have one, in the pools' order.
    func devices(for guests: [Int]) -> [HostResources.PCIDevice] {
        var (waiting, used) = (taken, pools.map { _ in 0 })
        return guests.compactMap { kind in
            guard let pool = pools.indices.first(where: { waiting[$0][kind] > 0 }) else { return nil }
            waiting[pool][kind] -= 1
            used[pool] += 1
            return pools[pool].devices[used[pool] - 1]
        }
    }
}

extension PCIRequest {
    fileprivate func having(_ device: HostResources.PCIDevice) -> HostDevice {
        var chosen = HostDevice(.pci, address: device.address, alias: card == nil ? alias : nil, portID: portID)
        chosen.isManaged = device.isManaged
        return chosen
    }
}
