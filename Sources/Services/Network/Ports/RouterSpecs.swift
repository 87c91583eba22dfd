// SPDX-License-Identifier: Apache-2.0

/// A router's ways out: ports on external networks, whose addresses and subnets say the rest.
package struct GatewaySpec: Sendable, Hashable {
    package var portID: String
    /// Whether the router's IPv4 networks hide behind the gateway's address.
    package var snat: Bool
    /// Ports of further gateways.
    package var more: [String]
    /// Whether the next hops of default routes are watched (BFD).
    package var isWatched: Bool
    /// Whether there is a default route through every gateway (ECMP), not through the first alone.
    package var isShared: Bool
    package var qosPolicyID: String?

    package init(
        portID: String, snat: Bool = true, more: [String] = [], isWatched: Bool = false, isShared: Bool = false,
        qosPolicyID: String? = nil
    ) {
        self.portID = portID
        self.snat = snat
        self.more = more
        self.isWatched = isWatched
        self.isShared = isShared
        self.qosPolicyID = qosPolicyID
    }

    package var ports: [String] { [portID] + more }
}

/// A floating address and the fixed address it stands for.
package struct FloatingIPSpec: Sendable, Hashable {
    package var id: String
    package var address: IPAddress
    package var fixedAddress: IPAddress
    /// The port that has the fixed address.
    package var portID: String
    /// The MAC of the floating address's own port; used when floating addresses leave from the guest's host.
    package var mac: MACAddress?
    package var qosPolicyID: String?

    package init(
        id: String, address: IPAddress, fixedAddress: IPAddress, portID: String, mac: MACAddress? = nil,
        qosPolicyID: String? = nil
    ) {
        self.id = id
        self.address = address
        self.fixedAddress = fixedAddress
        self.portID = portID
        self.mac = mac
        self.qosPolicyID = qosPolicyID
    }
}

/// Ports of a floating address that lead to ports of an inner address. As many inner ports as outer ones, or one.
package struct ForwardingSpec: Sendable, Hashable {
    package var id: String
    package var floatingID: String
    package var address: IPAddress
    package var ipProtocol: String
    package var externals: ClosedRange<Int>
    package var fixedAddress: IPAddress
    package var internals: ClosedRange<Int>

    package init(
        id: String, floatingID: String, address: IPAddress, ipProtocol: String, externals: ClosedRange<Int>,
        fixedAddress: IPAddress, internals: ClosedRange<Int>
    ) {
        self.id = id
        self.floatingID = floatingID
        self.address = address
        self.ipProtocol = ipProtocol
        self.externals = externals
        self.fixedAddress = fixedAddress
        self.internals = internals
    }
}

/// A host that carries gateways, the rather the higher its priority.
package struct GatewayHost: Sendable, Hashable {
    package var id: String
    package var priority: Int

    package init(id: String, priority: Int) {
        self.id = id
        self.priority = priority
    }
}

package struct RouterSpec: TopologySpec {
    package static let kind = TopologyKind("router")

    package var id: String
    package var generation: Int
    package var name: String
    package var enabled: Bool
    /// Ids of ports of kind `routerInterface`.
    package var interfaces: [String]
    package var gateway: GatewaySpec?
    package var routes: [RouteSpec]
    package var floatingIPs: [FloatingIPSpec]
    package var forwardings: [ForwardingSpec]
    /// The availability zones that its gateways shall be in; none is any.
    package var zoneHints: [String]
    /// The hosts of its gateways, when somebody named them.
    package var hosts: [GatewayHost]?
    /// Guests' own IPv6 addresses that it answers for outside.
    package var ndpProxies: [IPAddress] = []
    /// Whose it is, as far as traffic is counted.
    package var projectID: String

    package init(
        id: String, generation: Int = 0, name: String = "", enabled: Bool = true, interfaces: [String] = [],
        gateway: GatewaySpec? = nil, routes: [RouteSpec] = [], floatingIPs: [FloatingIPSpec] = [],
        forwardings: [ForwardingSpec] = [], zoneHints: [String] = [], projectID: String = ""
    ) {
        self.projectID = projectID
        self.zoneHints = zoneHints
        self.forwardings = forwardings
        self.id = id
        self.generation = generation
        self.name = name
        self.enabled = enabled
        self.interfaces = interfaces
        self.gateway = gateway
        self.routes = routes
        self.floatingIPs = floatingIPs
    }
}
