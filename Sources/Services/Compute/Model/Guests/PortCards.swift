// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A port that is a network card of the host's, or a function of one, instead of a tap (SR-IOV).
struct PortCard: Codable, Sendable, Hashable {
    /// Neutron's vnic types for that.
    static let kinds: Set = ["direct", "macvtap", "direct-physical"]

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
    /// A card for each port of a server's that must have one.
    static func cards(of server: Server) -> [PCIRequest] {
        let plugged = server.ports.compactMap { port in port.card.map { (port.portID, $0) } }
        let known = Set(server.ports.map(\.portID))
        let asked = server.requested.compactMap { wish -> (String, PortCard)? in
            guard let id = wish.portID, let card = wish.card, !known.contains(id) else { return nil }
            return (id, card)
        }
        return (plugged + asked).map { port, card in
            var request = PCIRequest(alias: "port \(port)", count: 1, specs: [])
            (request.portID, request.card) = (port, card)
            return request
        }
    }

    func fits(_ device: HostResources.PCIDevice) -> Bool {
        card?.fits(device) ?? specs.contains { $0.fits(device) }
    }
}

extension GuestSpec {
    /// The guest's cards, and the host's devices that it has beside them.
    mutating func wire(_ server: Server) {
        nics = server.ports.compactMap { port in
            var nic = GuestNIC(
                portID: port.portID, mac: port.mac, mtu: port.mtu, addresses: port.addresses.map(\.address))
            guard let card = port.card else { return nic }
            guard !card.isWhole else { return nil }
            nic.kind = card.kind == "macvtap" ? .macvtap : .direct
            nic.hostDevice = server.hostDevices.first { $0.portID == port.portID }
            nic.vlan = card.vlan
            return nic
        }
        let whole = Set(server.ports.filter { $0.card?.isWhole ?? false }.map(\.portID))
        hostDevices = server.hostDevices.compactMap { device in
            guard let port = device.portID else { return device }
            guard whole.contains(port) else { return nil }
            // Nothing is written about it but that the guest has it.
            var device = device
            device.portID = nil
            return device
        }
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
