// SPDX-License-Identifier: Apache-2.0
import Kernel

/// One balancer as it should be: what was written last, without what is leaving, and with certificates in place of
/// references to them.
package struct BalancerSpec: Sendable, Hashable {
    package struct Address: Sendable, Hashable {
        package var address: String
        package var subnetID: String
        /// `10.0.0.0/24`, and where what is not in it goes.
        package var cidr: String
        package var gateway: String?

        package init(address: String, subnetID: String, cidr: String, gateway: String? = nil) {
            self.address = address
            self.subnetID = subnetID
            self.cidr = cidr
            self.gateway = gateway
        }
    }

    /// A port on a network of members.
    package struct Leg: Sendable, Hashable {
        package var portID: String
        package var mac: String
        package var mtu: Int
        package var addresses: [Address]

        package init(portID: String, mac: String, mtu: Int, addresses: [Address]) {
            self.portID = portID
            self.mac = mac
            self.mtu = mtu
            self.addresses = addresses
        }
    }

    package var id: String
    package var projectID: String
    package var generation: Int
    package var enabled: Bool
    package var networkID: String
    package var portID: String
    package var mac: String
    package var mtu: Int
    /// The first is the balancer's own; others are its additional ones.
    package var addresses: [Address]
    package var connectionsMax: Int?
    /// Its legs on the networks of members that its own network does not lead to.
    package var legs: [Leg] = []
    package var listeners: [ListenerSpec]
    package var pools: [PoolSpec]

    package init(
        id: String, projectID: String, generation: Int = 1, enabled: Bool = true, networkID: String, portID: String,
        mac: String, mtu: Int = 1500, addresses: [Address], connectionsMax: Int? = nil,
        listeners: [ListenerSpec] = [], pools: [PoolSpec] = []
    ) {
        self.id = id
        self.projectID = projectID
        self.generation = generation
        self.enabled = enabled
        self.networkID = networkID
        self.portID = portID
        self.mac = mac
        self.mtu = mtu
        self.addresses = addresses
        self.connectionsMax = connectionsMax
        self.listeners = listeners
        self.pools = pools
    }

    package func pool(_ id: String?) -> PoolSpec? { pools.first { $0.id == id } }
}

package struct ListenerSpec: Sendable, Hashable {
    package var id: String
    package var enabled = true
    package var `protocol`: ListenerProtocol
    package var port: Int
    package var connectionLimit = -1
    package var defaultPoolID: String?
    package var insertHeaders: [String: String] = [:]
    package var timeoutClient = 50_000
    package var timeoutConnect = 5000
    package var timeoutServer = 50_000
    package var timeoutInspect = 0
    package var allowedBlocks: [String] = []
    /// The first is the default one.
    package var certificates: [CertificateBundle] = []
    package var clientAuthority: String?
    package var clientRevocations: String?
    package var clientAuthentication: ClientAuthentication = .none
    package var tls = TLSSpec()
    /// `Strict-Transport-Security` as it is to be sent.
    package var transportSecurity: String?
    package var policies: [PolicySpec] = []

    package init(id: String, protocol: ListenerProtocol, port: Int) {
        self.id = id
        self.protocol = `protocol`
        self.port = port
    }
}

package struct TLSSpec: Sendable, Hashable {
    package var ciphers: String?
    package var versions: [String] = []
    package var protocols: [String] = []

    package init() {}
}

package struct PolicySpec: Sendable, Hashable {
    package var id: String
    package var action: PolicyAction
    package var poolID: String?
    package var url: String?
    package var prefix: String?
    package var code: Int?
    package var rules: [RuleSpec] = []

    package init(id: String, action: PolicyAction) {
        self.id = id
        self.action = action
    }
}

package struct RuleSpec: Sendable, Hashable {
    package var kind: RuleKind
    package var comparison: RuleComparison
    package var key: String?
    package var value: String
    package var isInverted: Bool

    package init(
        kind: RuleKind, comparison: RuleComparison, key: String? = nil, value: String, isInverted: Bool = false
    ) {
        self.kind = kind
        self.comparison = comparison
        self.key = key
        self.value = value
        self.isInverted = isInverted
    }
}

package struct PoolSpec: Sendable, Hashable {
    package var id: String
    package var enabled = true
    package var `protocol`: PoolProtocol
    package var algorithm: BalancingAlgorithm
    package var persistence: SessionPersistence?
    package var members: [MemberSpec] = []
    package var monitor: MonitorSpec?
    /// Whether members are spoken to in TLS, and who they must be.
    package var isEncrypted = false
    package var tls = TLSSpec()
    package var certificate: CertificateBundle?
    package var authority: String?
    package var revocations: String?

    package init(id: String, protocol: PoolProtocol, algorithm: BalancingAlgorithm) {
        self.id = id
        self.protocol = `protocol`
        self.algorithm = algorithm
    }
}

package struct MemberSpec: Sendable, Hashable {
    package var id: String
    package var enabled = true
    package var address: String
    package var port: Int
    package var weight = 1
    package var isBackup = false
    package var subnetID: String?
    /// The network of its subnet, and the address there that checks come from; for providers without legs.
    package var networkID: String?
    package var monitorSource: String?
    package var monitorAddress: String?
    package var monitorPort: Int?

    package init(id: String, address: String, port: Int) {
        self.id = id
        self.address = address
        self.port = port
    }
}

package struct MonitorSpec: Sendable, Hashable {
    package var id: String
    package var kind: MonitorKind
    package var delay: Int
    package var timeout: Int
    package var rise: Int
    package var fall: Int
    package var method: String?
    package var path: String?
    package var codes: String?
    package var version: Double?
    package var domain: String?

    package init(id: String, kind: MonitorKind, delay: Int, timeout: Int, rise: Int = 1, fall: Int = 3) {
        self.id = id
        self.kind = kind
        self.delay = delay
        self.timeout = timeout
        self.rise = rise
        self.fall = fall
    }
}
