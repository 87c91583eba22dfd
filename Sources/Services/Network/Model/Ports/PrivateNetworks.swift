// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a request says of a port's place in a private network (the extension `pvlan`); nil is what was not said.
struct AskedPrivacy: Sendable {
    private var type: String??
    private var community: String??

    init() {}

    init(_ body: inout Body) throws(Fault) {
        type = try body.patch("pvlan_type", .among("isolated", "promiscuous", "community"))
        community = try body.patch("pvlan_community", .community)
    }

    /// Places a port, as upstream's plugin does: promiscuous when nobody says more.
    func apply(to port: inout Port, on network: Network) throws(Fault) {
        let before = (type: port.extras.pvlanType, community: port.extras.pvlanCommunity)
        guard network.pvlan else {
            guard before.type != nil || (asked(type) == nil && asked(community) == nil) else {
                throw .neutron(
                    400, "PVLANNotEnabledOnNetwork", "PVLAN is not enabled on network \(network.id).")
            }
            (port.extras.pvlanType, port.extras.pvlanCommunity) = (nil, nil)
            return
        }
        guard port.deviceOwner.hasPrefix("network:") || (port.portSecurityEnabled && network.portSecurityEnabled) else {
            throw .neutron(
                400, "PVLANPortSecurityDisabled", "Port security is disabled for port \(port.id), cannot set PVLAN.")
        }
        let place = (type ?? before.type) ?? "promiscuous"
        var name = asked(community)
        guard place == "community" || name == nil else {
            throw .neutron(
                400, "PVLANCannotSetCommunityName",
                "PVLAN community name cannot be set if port type is not \"community\" for this port: \(port.id).")
        }
        if place == "community" {
            name = name ?? before.community
            guard name != nil else {
                throw .neutron(
                    400, "PVLANCommunityNameRequired",
                    "Community name is required for ports with PVLAN type \"community\": \(port.id).")
            }
        }
        (port.extras.pvlanType, port.extras.pvlanCommunity) = (place, name)
    }

    private func asked(_ value: String??) -> String? { value ?? nil }
}

extension Format where Value == String {
    /// It becomes part of names that OVN's expressions are made of.
    fileprivate static var community: Format {
        Format { value, _ throws(Misfit) in
            let letters = { (byte: UInt8) in
                (97...122).contains(byte) || (65...90).contains(byte) || byte == 95 || byte == 46
            }
            guard let text = value.string, text.utf8.count <= 232, let first = text.utf8.first, letters(first),
                text.utf8.allSatisfy({ letters($0) || (48...57).contains($0) })
            else { throw Misfit("'\(value.bare)' is not a valid input") }
            return text
        }
    }
}

extension Network {
    /// Makes the network private or no longer so, and its ports promiscuous or nothing.
    mutating func makePrivate(_ isPrivate: Bool, _ transaction: Transaction, _ request: Request) throws(Fault) {
        try checkPrivacy(isPrivate)
        guard isPrivate != pvlan else { return }
        pvlan = isPrivate
        for var port in try transaction.all(Port.self, "network_id = \(id)") {
            try AskedPrivacy().apply(to: &port, on: self)
            try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
            try transaction.touch(.port, port.id, request)
        }
    }

    /// Rules of private networks stand on port security.
    func checkPrivacy(_ isPrivate: Bool) throws(Fault) {
        guard isPrivate, !portSecurityEnabled else { return }
        throw .neutron(
            400, "PVLANNetworkPortSecurityDisabled",
            "Port security is disabled on network \(id), cannot enable PVLAN.")
    }
}

extension PortExtras {
    /// Ports whose column says one of these of a member; both are plain words.
    static func holding(_ member: String, _ values: [String]) -> SQL {
        let conditions: [SQL] = values.map { value in
            let text = "%\"\(member)\":\"\(value)\"%"
            return "extras LIKE \(text)"
        }
        return conditions.joined(" OR ")
    }

    var place: PrivatePlace? {
        switch pvlanType {
        case "promiscuous": .promiscuous
        case "isolated": .isolated
        case "community": pvlanCommunity.map { .community($0) }
        default: nil
        }
    }
}
