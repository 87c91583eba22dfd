// SPDX-License-Identifier: Apache-2.0

/// How a network leaves the machine: tunnelled between hosts, or on a physical network.
package enum SwitchProvider: Sendable, Hashable {
    case overlay
    case flat(physicalNetwork: String)
    case vlan(physicalNetwork: String, id: Int)

    package var physicalNetwork: String? {
        switch self {
        case .overlay: nil
        case .flat(let physicalNetwork): physicalNetwork
        case .vlan(let physicalNetwork, _): physicalNetwork
        }
    }
    package var vlan: Int? {
        if case .vlan(_, let id) = self { id } else { nil }
    }
}

/// One more physical network that a network is on.
package struct SegmentSpec: Sendable, Hashable {
    package var id: String
    package var provider: SwitchProvider

    package init(id: String, provider: SwitchProvider) {
        self.id = id
        self.provider = provider
    }
}

/// A network as a switch, with its subnets.
package struct SwitchSpec: TopologySpec {
    package static let kind = TopologyKind("network")

    package var id: String
    /// The revision of the row; a back end records it and never goes back.
    package var generation: Int
    package var name: String
    package var mtu: Int
    package var provider: SwitchProvider
    /// Whether routers may have their gateway here (`router:external`).
    package var isExternal: Bool
    /// `example.org.`; empty for none.
    package var dnsDomain: String
    package var subnets: [SubnetSpec]
    /// What the traffic of its ports is under that have no policy of their own.
    package var qosPolicyID: String?
    /// Whether frames keep the VLAN tags that guests put on them.
    package var passesTags: Bool
    /// Further physical networks that it is on.
    package var more: [SegmentSpec]
    /// Whether its ports' places say who hears whom (PVLAN).
    package var isPrivate = false

    package init(
        id: String, generation: Int = 0, name: String = "", mtu: Int = 1442, provider: SwitchProvider = .overlay,
        isExternal: Bool = false, dnsDomain: String = "", subnets: [SubnetSpec] = [],
        qosPolicyID: String? = nil, passesTags: Bool = false, more: [SegmentSpec] = []
    ) {
        self.id = id
        self.generation = generation
        self.name = name
        self.mtu = mtu
        self.provider = provider
        self.isExternal = isExternal
        self.dnsDomain = dnsDomain
        self.subnets = subnets
        self.qosPolicyID = qosPolicyID
        self.passesTags = passesTags
        self.more = more
    }

    package func subnet(_ id: String) -> SubnetSpec? { subnets.first { $0.id == id } }
}

/// The three ways of Neutron's `ipv6_address_mode` and `ipv6_ra_mode`.
package enum IPv6Mode: String, Sendable, Hashable, Codable {
    case slaac = "slaac"
    case stateless = "dhcpv6-stateless"
    case stateful = "dhcpv6-stateful"
}

package struct RouteSpec: Sendable, Hashable, Codable {
    package var destination: CIDR
    package var nextHop: IPAddress

    package init(destination: CIDR, nextHop: IPAddress) {
        self.destination = destination
        self.nextHop = nextHop
    }
}

/// A block of addresses of one network and what its guests are told.
package struct SubnetSpec: Sendable, Hashable {
    package var id: String
    package var cidr: CIDR
    package var gateway: IPAddress?
    package var dhcp: Bool
    package var dnsServers: [IPAddress]
    package var hostRoutes: [RouteSpec]
    /// Where guests find the metadata service (IPv4); they get a route to 169.254.169.254 through it.
    package var metadataAddress: IPAddress?
    package var addressMode: IPv6Mode?
    package var advertisementMode: IPv6Mode?

    package init(
        id: String, cidr: CIDR, gateway: IPAddress? = nil, dhcp: Bool = true, dnsServers: [IPAddress] = [],
        hostRoutes: [RouteSpec] = [], metadataAddress: IPAddress? = nil, addressMode: IPv6Mode? = nil,
        advertisementMode: IPv6Mode? = nil
    ) {
        self.id = id
        self.cidr = cidr
        self.gateway = gateway
        self.dhcp = dhcp
        self.dnsServers = dnsServers
        self.hostRoutes = hostRoutes
        self.metadataAddress = metadataAddress
        self.addressMode = addressMode
        self.advertisementMode = advertisementMode
    }
}

/// What a port is for.
package enum PortKind: Sendable, Hashable {
    case guest
    case routerInterface(router: String)
    case routerGateway(router: String)
    /// Answers on every host for itself: the metadata service's end.
    case metadata
    /// Belongs to a floating address; holds the address and is never plugged.
    case floating
    /// A machine outside our hosts (bare metal, SR-IOV), served by a gateway host.
    case external
    /// A balancer's address without a process behind it: the end of a router that balancing itself makes.
    case balancer
}

package struct FixedAddress: Sendable, Hashable {
    package var subnetID: String
    package var address: IPAddress

    package init(subnetID: String, address: IPAddress) {
        self.subnetID = subnetID
        self.address = address
    }
}

/// Addresses that a port may send from beside its own.
package struct AddressPair: Sendable, Hashable {
    /// Nil: the port's own.
    package var mac: MACAddress?
    package var addresses: CIDR

    package init(mac: MACAddress? = nil, addresses: CIDR) {
        self.mac = mac
        self.addresses = addresses
    }
}

/// One `extra_dhcp_opts` entry.
package struct DHCPExtra: Sendable, Hashable {
    package var name: String
    package var value: String
    package var version: IPVersion

    package init(name: String, value: String, version: IPVersion = .v4) {
        self.name = name
        self.value = value
        self.version = version
    }
}

/// A trunk's subport: carried inside its parent under a VLAN tag.
package struct SubportSpec: Sendable, Hashable {
    package var parent: String
    package var tag: Int

    package init(parent: String, tag: Int) {
        self.parent = parent
        self.tag = tag
    }
}

package struct PortSpec: TopologySpec {
    package static let kind = TopologyKind("port")

    package var id: String
    package var generation: Int
    package var networkID: String
    package var name: String
    package var kind: PortKind
    package var mac: MACAddress
    package var addresses: [FixedAddress]
    package var allowedPairs: [AddressPair]
    /// False: anything may pass, and security groups do not apply.
    package var portSecurity: Bool
    package var securityGroupIDs: [String]
    package var enabled: Bool
    /// The host that shall claim the port; nil leaves it to whoever plugs it.
    package var host: String?
    /// Where its server is moving to; both hosts claim it meanwhile.
    package var movingTo: String?
    package var dnsName: String
    /// The domain of the name where the network's is another for every port.
    package var dnsDomain: String?
    package var dhcpExtras: [DHCPExtra]
    package var deviceID: String
    package var deviceOwner: String
    package var subport: SubportSpec?
    package var qosPolicyID: String?
    package var place: PrivatePlace?

    package init(
        id: String, generation: Int = 0, networkID: String, name: String = "", kind: PortKind = .guest,
        mac: MACAddress, addresses: [FixedAddress] = [], allowedPairs: [AddressPair] = [], portSecurity: Bool = true,
        securityGroupIDs: [String] = [], enabled: Bool = true, host: String? = nil, movingTo: String? = nil,
        dnsName: String = "",
        dhcpExtras: [DHCPExtra] = [], deviceID: String = "", deviceOwner: String = "", subport: SubportSpec? = nil,
        qosPolicyID: String? = nil
    ) {
        self.id = id
        self.generation = generation
        self.networkID = networkID
        self.name = name
        self.kind = kind
        self.mac = mac
        self.addresses = addresses
        self.allowedPairs = allowedPairs
        self.portSecurity = portSecurity
        self.securityGroupIDs = securityGroupIDs
        self.enabled = enabled
        self.host = host
        self.movingTo = movingTo
        self.dnsName = dnsName
        self.dhcpExtras = dhcpExtras
        self.deviceID = deviceID
        self.deviceOwner = deviceOwner
        self.subport = subport
        self.qosPolicyID = qosPolicyID
    }
}

// MARK: - Security groups

package enum TrafficDirection: String, Sendable, Hashable, Codable {
    case ingress
    case egress
}

/// Who the other end of a rule may be.
package enum RemotePeer: Sendable, Hashable {
    case anyone
    case prefix(CIDR)
    /// The members of a security group.
    case group(String)
    /// The blocks of an address group.
    case addressGroup(String)
    /// Blocks, spelled out.
    case addresses([CIDR])
}

package struct SecurityRuleSpec: Sendable, Hashable {
    package var id: String
    package var direction: TrafficDirection
    package var version: IPVersion
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, another IANA name or a number; nil for any.
    package var ipProtocol: String?
    /// The lowest port, or the ICMP type.
    package var portMin: Int?
    /// The highest port, or the ICMP code.
    package var portMax: Int?
    package var remote: RemotePeer

    package init(
        id: String, direction: TrafficDirection, version: IPVersion = .v4, ipProtocol: String? = nil,
        portMin: Int? = nil, portMax: Int? = nil, remote: RemotePeer = .anyone
    ) {
        self.id = id
        self.direction = direction
        self.version = version
        self.ipProtocol = ipProtocol
        self.portMin = portMin
        self.portMax = portMax
        self.remote = remote
    }
}

package struct SecurityGroupSpec: TopologySpec {
    package static let kind = TopologyKind("securityGroup")

    package var id: String
    package var generation: Int
    package var name: String
    package var stateful: Bool
    package var rules: [SecurityRuleSpec]

    package init(
        id: String, generation: Int = 0, name: String = "", stateful: Bool = true, rules: [SecurityRuleSpec] = []
    ) {
        self.id = id
        self.generation = generation
        self.name = name
        self.stateful = stateful
        self.rules = rules
    }
}
