// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A port that is a network card of the host's, or a function of one, instead of a tap (SR-IOV).
struct PortCard: Codable, Sendable, Hashable {
    /// Neutron's vnic types for that. Of the last two no host of ours has any.
    static let kinds: Set = ["direct", "macvtap", "direct-physical", "vdpa", "remote-managed"]

    var kind: String
    /// Where the card must be plugged in.
    var physicalNetwork: String?
    var vlan: Int?

    init?(_ port: NetworkClient.Port, on network: NetworkClient.Network) {
        guard PortCard.kinds.contains(port.vnicType) else { return nil }
        (kind, physicalNetwork, vlan) = (port.vnicType, network.physicalNetwork, network.vlan)
    }

    /// Whether the guest gets the whole card: then it has the card's own address, and nobody may look into it.
    var isWhole: Bool { kind == "direct-physical" }

    func fits(_ device: HostResources.PCIDevice) -> Bool {
        guard kind != "vdpa", kind != "remote-managed" else { return false }
        guard let physicalNetwork, device.physicalNetwork == physicalNetwork else { return false }
        return (device.kind == .physical) == isWhole
    }
}

extension PortCard: NestedReadable {
    init?(json: JSON) {
        guard let kind = json["kind"]?.string else { return nil }
        self.kind = kind
        physicalNetwork = json["physicalNetwork"]?.string
        vlan = json["vlan"]?.integer
    }
}

extension PCIRequest {
    /// A card for each port of a server's that must have one: of those that it has, or is to have once it is built.
    static func cards(of server: Server) -> [PCIRequest] {
        let plugged = server.ports.compactMap { port in port.card.map { (port.portID, $0) } }
        let known = Set(server.ports.map(\.portID))
        let asked =
            server.vmState != .building
            ? []
            : server.requested.compactMap { wish -> (String, PortCard)? in
                guard let id = wish.portID, let card = wish.card, !known.contains(id) else { return nil }
                return (id, card)
            }
        return (plugged + asked).map { PCIRequest(port: $0, $1) }
    }

    init(port: String, _ card: PortCard) {
        self.init(alias: "port \(port)", count: 1, specs: [])
        (portID, self.card) = (port, card)
    }

    func fits(_ device: HostResources.PCIDevice) -> Bool {
        card?.fits(device) ?? specs.contains { $0.fits(device) }
    }
}

extension GuestSpec {
    /// The guest's cards, and the host's devices that it has beside them.
    mutating func wire(_ server: Server) {
        let all = server.ports.map { server.nic($0) }
        nics = all.filter { $0.kind != .whole }
        let whole = Set(all.filter { $0.kind == .whole }.map(\.portID))
        hostDevices = server.hostDevices.filter { device in device.portID.map(whole.contains) ?? true }
    }

    /// As it is while it goes from host to host: what of them it had in its hands it takes up again over there.
    var underWay: GuestSpec {
        var guest = self
        guest.nics.removeAll { $0.kind == .direct }
        guest.hostDevices.removeAll { $0.portID != nil }
        return guest
    }
}

extension Server {
    /// A port's end in the guest.
    func nic(_ port: ServerPort) -> GuestNIC {
        var nic = GuestNIC(
            portID: port.portID, mac: port.mac, mtu: port.mtu, addresses: port.addresses.map(\.address))
        guard let card = port.card else { return nic }
        nic.kind = card.isWhole ? .whole : card.kind == "macvtap" ? .macvtap : .direct
        nic.hostDevice = hostDevices.first { $0.portID == port.portID }
        nic.vlan = card.vlan
        return nic
    }

    /// The ports that the guest lets go of before it goes to another host, and has again there.
    var cardsInHand: [GuestNIC] {
        ports.map { nic($0) }.filter { ($0.kind == .direct || $0.kind == .whole) && $0.hostDevice != nil }
    }
}

extension HostResources.PCIDevice {
    /// What Network is told of it (`binding:profile`).
    var profile: JSONObject {
        var profile: JSONObject = [
            "pci_vendor_info": .string("\(vendorID):\(productID)"), "pci_slot": .string(address),
            "physical_network": physicalNetwork.map(JSON.string) ?? .null,
        ]
        switch kind {
        case .virtual:
            profile["pf_mac_address"] = parentMAC.map(JSON.string)
            profile["vf_num"] = functionNumber.map { .integer(Int64($0)) }
        case .physical: profile["device_mac_address"] = mac.map(JSON.string)
        case .plain: break
        }
        return profile
    }

    /// All that may stand there of a device.
    static let profileNames: Set = [
        "pci_vendor_info", "pci_slot", "physical_network", "card_serial_number", "pf_mac_address", "vf_num",
        "device_mac_address", "capabilities",
    ]
}
