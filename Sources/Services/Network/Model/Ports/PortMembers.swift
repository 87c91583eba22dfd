// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The members that both a new port and a changed one may have; nil is what was not said.
struct PortMembers: Sendable {
    var name: String?
    var description: String?
    var adminStateUp: Bool?
    var deviceID: String?
    var deviceOwner: String?
    var mac: MACAddress?
    /// Whether a new one is asked for, whichever.
    var wantsNewMAC = false
    var fixedIPs: [AskedIP]?
    var securityGroups: [String]?
    var portSecurity: Bool?
    var pairs: [Pair]?
    var dhcp: [Option]?
    var dnsName: String?
    var dnsDomain: String?
    var host: String?
    var vnicType: String?
    var profile: JSONObject?
    var qosPolicy: String??
    var extras = AskedExtras()
    var privacy = AskedPrivacy()
    var tags: [String] = []
    /// The members that were there, for their rules.
    private(set) var said: [String] = []

    struct Pair: Sendable, Hashable {
        let address: String
        let mac: MACAddress?
    }

    struct Option: Sendable {
        let name: String
        /// Nil takes the option away.
        let value: String?
        let version: Int
    }

    /// Members that have a rule of their own.
    private static let guarded = [
        "device_id", "device_owner", "mac_address", "fixed_ips", "port_security_enabled", "allowed_address_pairs",
        "binding:host_id", "binding:profile", "binding:vnic_type", "hints", "trusted", "data_plane_status",
        "pvlan_type", "pvlan_community",
    ]

    static let vnicTypes: Format<String> = .among(
        "normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa",
        "accelerator-direct", "accelerator-direct-physical", "remote-managed")

    init() {}

    init(_ body: inout Body) throws(Fault) {
        said = PortMembers.guarded.filter { body.peek($0) != nil }
        name = try body.take("name", .string())
        description = try body.take("description", .string())
        adminStateUp = try body.take("admin_state_up", .truth)
        deviceID = try body.take("device_id", .string())
        deviceOwner = try body.take("device_owner", .string())
        wantsNewMAC = body.peek("mac_address")?.isNull == true
        mac = try body.option("mac_address", .mac)
        fixedIPs = try AskedIP.list(&body)
        if body.has("security_groups") {
            securityGroups = try body.option("security_groups", .strings(.id)) ?? []
        }
        portSecurity = try body.take("port_security_enabled", .truth)
        pairs = try PortMembers.pairs(&body)
        dhcp = try PortMembers.options(&body)
        dnsName = try body.take("dns_name", .string())
        dnsDomain = try body.take("dns_domain", .dnsDomain)
        if body.has("binding:host_id") { host = try body.option("binding:host_id", .string()) ?? "" }
        vnicType = try body.take(
            "binding:vnic_type",
            PortMembers.vnicTypes)
        if body.has("binding:profile") { profile = try body.option("binding:profile", .object) ?? JSONObject() }
        qosPolicy = try body.patch("qos_policy_id", .id)
        extras = try AskedExtras(&body)
        privacy = try AskedPrivacy(&body)
    }

    /// Judges the rule of every member that was said.
    func judge(_ request: Request, _ deed: String, on target: some PolicyTarget) throws(Fault) {
        var rules = said
        if let fixedIPs {
            if fixedIPs.contains(where: { $0.address != nil }) { rules.append("fixed_ips:ip_address") }
            if fixedIPs.contains(where: { $0.subnetID != nil }) { rules.append("fixed_ips:subnet_id") }
        }
        // Usual and empty values that clients send by habit change nothing and need no right.
        if deed == "create_port" { rules.removeAll(where: isUsual) }
        if profile?.isEmpty == true { rules.removeAll { $0 == "binding:profile" } }
        for member in rules where !request.may("\(deed):\(member)", on: target) {
            throw request.index.envelope.refusal("\(deed):\(member)")
        }
    }

    /// Whether a member of a new port says what is so without saying.
    private func isUsual(_ member: String) -> Bool {
        switch member {
        case "fixed_ips": fixedIPs == nil
        case "binding:host_id": host?.isEmpty == true
        case "binding:vnic_type": vnicType == "normal"
        case "port_security_enabled": portSecurity == true
        case "device_id": deviceID?.isEmpty == true
        case "device_owner": deviceOwner?.isEmpty == true
        default: false
        }
    }

    private static func pairs(_ body: inout Body) throws(Fault) -> [Pair]? {
        guard body.peek("allowed_address_pairs")?.isNull != true else {
            body.ignore("allowed_address_pairs")
            return []
        }
        guard let entries = try body.takeObjects("allowed_address_pairs") else { return nil }
        guard entries.count <= 10 else {
            throw .neutron(
                400, "AllowedAddressPairExhausted", "The number of allowed address pair exceeds the maximum 10.")
        }
        var pairs: [Pair] = []
        for var entry in entries {
            guard entry.has("ip_address") else {
                throw .neutron(400, "AllowedAddressPairsMissingIP", "AllowedAddressPair must contain ip_address")
            }
            let address = try entry.need("ip_address", .string(64))
            guard CIDR(loose: address) != nil else {
                throw .httpBadRequest(
                    "Invalid input for allowed_address_pairs. Reason: '\(address)' is not a valid IP subnet.")
            }
            let pair = Pair(address: address, mac: try entry.option("mac_address", .mac))
            try entry.end()
            guard !pairs.contains(pair) else {
                throw .neutron(
                    400, "DuplicateAddressPairInRequest",
                    "Request contains duplicate address pair: mac_address \(pair.mac?.description ?? "None") "
                        + "ip_address \(address).")
            }
            pairs.append(pair)
        }
        return pairs
    }

    private static func options(_ body: inout Body) throws(Fault) -> [Option]? {
        guard body.peek("extra_dhcp_opts")?.isNull != true else {
            body.ignore("extra_dhcp_opts")
            return nil
        }
        guard let entries = try body.takeObjects("extra_dhcp_opts") else { return nil }
        var options: [Option] = []
        for var entry in entries {
            options.append(
                Option(
                    name: try entry.need("opt_name", .text(1...64)),
                    value: try entry.option("opt_value", .text(0...255)),
                    version: try entry.option("ip_version", .whole(4...6)) ?? 4))
            try entry.end()
        }
        return options
    }
}

/// What makes a port's members sound.
enum PortRules {
    static let pairsNeedSecurity = Fault.neutron(
        409, "AddressPairAndPortSecurityRequired",
        "Port Security must be enabled in order to have allowed address pairs on a port.")
    static let groupsNeedSecurity = Fault.neutron(
        400, "PortSecurityAndIPRequiredForSecurityGroups",
        "Port security must be enabled and port must have an IP address in order to use security groups.")

    static func macInUse(_ mac: MACAddress, _ network: String) -> Fault {
        .neutron(
            409, "MacAddressInUse",
            "Unable to complete operation for network \(network). The mac address \(mac) is in use.")
    }

    /// The MAC address asked for, or a new one, that no port of the network has.
    static func mac(
        _ asked: MACAddress?, on network: String, _ transaction: Transaction, _ ids: any Identifiers
    ) throws(Fault) -> MACAddress {
        for _ in 0..<16 {
            let mac = asked ?? MACAddress.generate(ids)
            let taken = try transaction.rows(
                "SELECT 1 FROM network_ports WHERE network_id = \(network) AND mac_address = \(mac.description)")
            if taken.isEmpty { return mac }
            if let asked { throw macInUse(asked, network) }
        }
        throw .neutron(
            503, "NetworkMacAddressGenerationFailure", "Unable to generate unique mac on network \(network).")
    }

    /// The groups asked for, which the caller must see, and all stateful or all stateless.
    static func groups(
        _ asked: [String], _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> [String] {
        let visible: SQL = request.seesAll ? "1 = 1" : SecurityGroup.scope(request.project)
        let found = try transaction.all(SecurityGroup.self, "id", in: asked, and: visible)
        for id in asked {
            guard found.contains(where: { $0.id == id }) else { throw SecurityGroup.notFound(id) }
        }
        guard Set(found.map(\.stateful)).count < 2 else {
            throw .neutron(
                409, "SecurityGroupConflict",
                "Error Cannot apply both stateful and stateless security groups on the same port at the same time "
                    + "while attempting the operation.")
        }
        return asked
    }

    static func pairs(_ pairs: [PortMembers.Pair], _ mac: MACAddress) -> [Port.AllowedPair] {
        pairs.map { Port.AllowedPair(ipAddress: $0.address, macAddress: ($0.mac ?? mac).description) }
    }

    /// Options by name: a new value replaces, a null takes away, the rest stay.
    static func merge(_ said: [PortMembers.Option], into present: [Port.DHCPOption]) -> [Port.DHCPOption] {
        var options = present
        for option in said {
            options.removeAll { $0.name == option.name && $0.ipVersion == option.version }
            guard let value = option.value else { continue }
            options.append(Port.DHCPOption(name: option.name, value: value, ipVersion: option.version))
        }
        return options
    }
}
