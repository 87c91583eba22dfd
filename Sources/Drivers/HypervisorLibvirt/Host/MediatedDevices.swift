// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Glibc
internal import Kernel

/// Mediated devices as the kernel makes them: what its cards can be parted into, and the parts of a guest.
package struct MediatedDevices: Sendable, Hashable {
    /// `[devices] enabled_mdev_types`, and the cards that each is for; a type without any is for all the others.
    package var types: [String]
    package var cards: [String: [String]]
    /// What Placement calls parts of a type, if not as all, and how many of a type there may be.
    package var classes: [String: String] = [:]
    package var most: [String: Int] = [:]
    let root: String

    package init(_ types: [String] = [], cards: [String: [String]] = [:], root: String = "/sys") {
        self.types = types
        self.cards = cards
        self.root = root
    }

    private func supported(_ card: String, _ type: String) -> String {
        "\(root)/class/mdev_bus/\(card)/mdev_supported_types/\(type)"
    }

    /// The type that a card is parted by: the one it is named for, else the first that is for any card.
    private func type(of card: String) -> String? {
        types.first { cards[$0]?.contains(card) ?? false } ?? types.first { cards[$0]?.isEmpty ?? true }
    }

    func sources() -> [MediatedSource] {
        guard !types.isEmpty else { return [] }
        let found = FileSystem.list(root + "/class/mdev_bus").sorted().compactMap { card -> Found? in
            guard let type = type(of: card) else { return nil }
            let folder = supported(card, type)
            let left = FileSystem.text(folder + "/available_instances").flatMap { text in
                Int(text.filter { !$0.isWhitespace })
            }
            guard let left else { return nil }
            return Found(card: card, type: type, left: left, made: FileSystem.list(folder + "/devices").count)
        }
        return limited(found)
    }

    private struct Found {
        let card: String
        let type: String
        let left: Int
        let made: Int
    }

    /// A card whose parts would be more than a type may have is left out as a whole, as upstream does it.
    private func limited(_ found: [Found]) -> [MediatedSource] {
        var counts: [String: Int] = [:]
        for card in found { counts[card.type, default: 0] += card.made }
        return found.map { card in
            let now = counts[card.type, default: 0]
            let isTooMuch = card.left > 0 && most[card.type].map { now + card.left > $0 } ?? false
            if !isTooMuch { counts[card.type] = now + card.left }
            return MediatedSource(
                address: card.card, type: card.type, total: isTooMuch ? 0 : card.left + card.made,
                ownClass: classes[card.type])
        }
    }

    /// On a host that is not there: a card of four parts for each address, two for a type without any.
    var madeUpSources: [MediatedSource] {
        let free = types.first { cards[$0]?.isEmpty ?? true }
        let found = types.enumerated().flatMap { at, type -> [Found] in
            let bus = Hex.encode([UInt8(0x84 + at % 64)])
            let addresses = cards[type] ?? []
            let all = addresses.isEmpty && type == free ? ["0000:\(bus):00.0", "0000:\(bus):01.0"] : addresses
            return all.map { Found(card: $0, type: type, left: 4, made: 0) }
        }
        return limited(found.sorted { $0.card < $1.card })
    }

    private func place(_ uuid: String) -> String { "\(root)/bus/mdev/devices/\(uuid)" }

    /// Makes what is not there: after the machine has started anew, nothing is.
    func make(_ devices: [HostDevice]) throws(Fault) {
        for device in devices where device.kind == .mediated && !FileSystem.exists(place(device.address)) {
            guard let card = device.parent, let type = device.type, Hex.isUUID(device.address) else { continue }
            try FileSystem.put(device.address, into: supported(card, type) + "/create")
        }
    }

    func remove(_ devices: [HostDevice]) {
        for device in devices where device.kind == .mediated && FileSystem.exists(place(device.address)) {
            try? FileSystem.put("1", into: place(device.address) + "/remove")
        }
    }

    // MARK: - What a guest has

    /// Written beside the guest's disks: its domain tells the UUIDs alone.
    static func note(_ devices: [HostDevice], in folder: GuestFolder) throws(Fault) {
        let mediated = devices.filter { $0.kind == .mediated }
        guard !mediated.isEmpty else { return FileSystem.remove(folder.mediated) }
        let text: String
        do { text = try JSON.encode(mediated).text() } catch {
            throw .internalError("A guest's devices cannot be noted: \(error)")
        }
        try FileSystem.write(text, to: folder.mediated)
    }

    static func noted(in folder: GuestFolder) -> [HostDevice] {
        guard let text = FileSystem.text(folder.mediated), let json = try? JSON.parse(Array(text.utf8)) else {
            return []
        }
        return (try? JSON.decode([HostDevice].self, from: json)) ?? []
    }
}

extension FileSystem {
    /// Writes to a file of the kernel's, which is there and takes one write.
    fileprivate static func put(_ text: String, into path: String) throws(Fault) {
        guard exists(path) else { throw .unavailable("\(path) is not there.") }
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError.fault("Cannot open \(path)") }
        defer { close(file) }
        let bytes = Array(text.utf8)
        guard Glibc.write(file, bytes, bytes.count) == bytes.count else {
            throw SystemError.fault("Cannot write to \(path)")
        }
    }
}
