// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

extension Translator {
    /// What guests of a subnet are told; nil when OVN does not answer DHCP there.
    func dhcpOptions(_ subnet: SubnetSpec, _ network: SwitchSpec) -> [String: String]? {
        guard subnet.dhcp else { return nil }
        return subnet.cidr.version == .v4 ? dhcpv4(subnet, network) : dhcpv6(subnet)
    }

    private func dhcpv4(_ subnet: SubnetSpec, _ network: SwitchSpec) -> [String: String]? {
        guard let server = subnet.gateway ?? subnet.metadataAddress else { return nil }
        let domain = domain(network)
        var told = [
            "server_id": server.description, "server_mac": Translator.serverMAC(subnet.id).description,
            "lease_time": "\(options.leaseTime)", "mtu": "\(network.mtu)",
        ]
        // Quoted, else ovn-controller takes a string for a symbol.
        if !domain.isEmpty { told["domain_name"] = "\"\(domain)\"" }
        told["router"] = subnet.gateway?.description
        var servers = (subnet.dnsServers.isEmpty ? options.dnsServers : subnet.dnsServers).filter { $0.version == .v4 }
        // With no server at all a guest never asks, and OVN could not answer for local names. What OVN has no answer
        // for, the metadata port's does not leave unanswered either.
        if servers.isEmpty, !domain.isEmpty { servers = [subnet.metadataAddress ?? server] }
        if !servers.isEmpty { told["dns_server"] = Translator.list(servers.map(\.description)) }
        var routes = subnet.metadataAddress.map { ["169.254.169.254/32,\($0)"] } ?? []
        routes += subnet.hostRoutes.map { "\($0.destination),\($0.nextHop)" }
        // RFC 3442: a client that takes option 121 ignores option 3, so the default route stands in both.
        if !routes.isEmpty, let gateway = subnet.gateway { routes.append("0.0.0.0/0,\(gateway)") }
        if !routes.isEmpty { told["classless_static_route"] = Translator.list(routes) }
        return told
    }

    private func dhcpv6(_ subnet: SubnetSpec) -> [String: String]? {
        guard let mode = subnet.addressMode, mode != .slaac else { return nil }
        var told = ["server_id": Translator.serverMAC(subnet.id).description]
        let servers = (subnet.dnsServers.isEmpty ? options.dnsServers : subnet.dnsServers).filter { $0.version == .v6 }
        if !servers.isEmpty { told["dns_server"] = Translator.list(servers.map(\.description)) }
        if mode == .stateless { told["dhcpv6_stateless"] = "true" }
        return told
    }

    private static func list(_ parts: [String]) -> String { "{" + parts.joined(separator: ", ") + "}" }

    /// The DHCP server is nobody's port: its address is derived from the subnet, so that it never changes.
    private static func serverMAC(_ subnetID: String) -> MACAddress {
        MACAddress(number: MACAddress.base.number | StableHash.of(subnetID) & 0xFF_FFFF)!
    }

    // MARK: Ports

    /// The row that a port takes its options from, and the row itself when the port has options of its own.
    func dhcpRows(_ port: PortSpec, _ network: SwitchSpec, _ version: IPVersion) -> (key: NBKey, own: NBRow?)? {
        let extras = port.dhcpExtras.filter { $0.version == version }
        if extras.contains(where: { $0.name == "dhcp_disabled" && $0.value.lowercased() == "true" }) { return nil }
        let subnets = port.addresses.compactMap { network.subnet($0.subnetID) }
            .filter { $0.cidr.version == version && dhcpOptions($0, network) != nil }
        // A stateful subnet wins, for the guest has an address to ask for.
        guard let subnet = subnets.first(where: { $0.addressMode != .stateless }) ?? subnets.first,
            var told = dhcpOptions(subnet, network)
        else { return nil }
        let names = version == .v4 ? Translator.extrasV4 : Translator.extrasV6
        let known = extras.compactMap { extra in names[extra.name].map { ($0, extra.value) } }
        guard !known.isEmpty else { return (OVNNames.dhcp(subnet.id), nil) }
        for (name, value) in known { told[name] = Translator.extra(name, value, over: told[name]) }
        let key = OVNNames.dhcp(subnet.id, port: port.id)
        let row = NBRow(
            key.table, key.id, ["cidr": .string(subnet.cidr.description), "options": .strings(told)],
            ids: ["subnet_id": subnet.id, "port_id": port.id, "neutron:network_id": network.id])
        return (key, row)
    }

    private static func extra(_ name: String, _ value: String, over subnet: String?) -> String {
        if texts.contains(name), !value.hasPrefix("\"") { return "\"\(value)\"" }
        if name == "classless_static_route", let subnet {
            return "{\(subnet.dropFirst().dropLast()), \(value.filter { $0 != "{" && $0 != "}" })}"
        }
        return value
    }

    private static let texts: Set<String> = [
        "domain_name", "domain_search_list", "bootfile_name", "bootfile_name_alt", "path_prefix", "wpad",
        "tftp_server",
    ]

    /// Neutron's names and numbers of options that OVN can send (ovn-nb(5), "DHCPv4 options").
    private static let extrasV4: [String: String] = [
        "netmask": "netmask", "1": "netmask", "router": "router", "3": "router", "dns-server": "dns_server",
        "6": "dns_server", "log-server": "log_server", "7": "log_server", "lpr-server": "lpr_server",
        "9": "lpr_server", "domain-name": "domain_name", "15": "domain_name", "domain-search": "domain_search_list",
        "119": "domain_search_list", "swap-server": "swap_server", "16": "swap_server", "ntp-server": "ntp_server",
        "42": "ntp_server", "nis-server": "nis_server", "41": "nis_server", "server-id": "server_id",
        "54": "server_id", "tftp-server": "tftp_server", "66": "tftp_server", "bootfile-name": "bootfile_name",
        "67": "bootfile_name", "tftp-server-address": "tftp_server_address", "150": "tftp_server_address",
        "server-ip-address": "next_server", "255": "next_server", "path-prefix": "path_prefix", "210": "path_prefix",
        "classless-static-route": "classless_static_route", "121": "classless_static_route",
        "ms-classless-static-route": "ms_classless_static_route", "249": "ms_classless_static_route",
        "mtu": "mtu", "26": "mtu", "lease-time": "lease_time", "51": "lease_time", "T1": "T1", "58": "T1",
        "T2": "T2", "59": "T2", "wpad": "wpad", "252": "wpad", "default-ttl": "default_ttl", "23": "default_ttl",
        "tcp-ttl": "tcp_ttl", "37": "tcp_ttl", "arp-timeout": "arp_cache_timeout", "35": "arp_cache_timeout",
        "ip-forward-enable": "ip_forward_enable", "19": "ip_forward_enable",
        "ethernet-encap": "ethernet_encap", "36": "ethernet_encap", "tag:ipxe,bootfile-name": "bootfile_name",
        "tag:ipxe,67": "bootfile_name", "tag:!ipxe,bootfile-name": "bootfile_name_alt",
        "tag:!ipxe,67": "bootfile_name_alt",
    ]
    private static let extrasV6: [String: String] = [
        "server-id": "server_id", "2": "server_id", "ia-addr": "ia_addr", "5": "ia_addr",
        "dns-server": "dns_server", "23": "dns_server", "domain-search": "domain_search", "24": "domain_search",
        "bootfile-name": "bootfile_name", "59": "bootfile_name",
    ]
}

/// FNV-1a: the same everywhere and for ever, which Swift's own hash is not.
enum StableHash {
    static func of(_ text: String) -> UInt64 {
        text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}
