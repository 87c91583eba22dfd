// SPDX-License-Identifier: Apache-2.0
package import Clients
package import Kernel

/// Network (Neutron): networks, what is plugged into them, and how they reach each other and the world.
package final class NetworkService: Service {
    package static let index = ServiceIndex(
        type: "network", name: "neutron", title: "Network", port: 9696, mount: "/network", base: "/v2.0",
        catalogPath: "", versions: .fixed("2.0"), envelope: .neutron, wording: .neutron,
        baseRules: NetworkRules.base, memberRules: NetworkRules.members,
        bodyLimit: 4 << 20,
        resources: [
            NetworkVersions.self, Network.self, Subnet.self, Port.self, Router.self, RouterInterfaces.self,
            RouterGateways.self, RouterAgents.self, NetworkFlavor.self,
            ServiceProfile.self,
            FloatingIP.self, PortForwarding.self, FloatingIPPools.self, SubnetPoolPrefixes.self,
            AutoAllocatedTopology.self,
            SecurityGroup.self, SecurityGroupRule.self, SubnetPool.self,
            AddressScope.self,
            AddressGroup.self, DefaultSecurityGroupRule.self, DefaultStatefulness.self, Trunk.self, PortBinding.self,
            QoSPolicy.self, QoSRule.self, QoSRuleTypes.self, NetworkLog.self, NetworkSegmentRange.self,
            Segment.self, AgentSchedulers.self,
            RBACPolicy.self, Quotas.self, NetworkAgent.self, AvailabilityZones.self, NetworkIPAvailability.self,
            ServiceProviders.self, Extensions.self, DirtyObject.self,
            BGPSpeaker.self, BGPPeer.self, BGPAssociations.self, BGPAgent.self, TapMirror.self,
            MeteringLabel.self, MeteringLabelRule.self, MeterTotal.self, TrafficShare.self, ToldName.self,
            ResolvedDomain.self,
            NDPProxy.self,
        ])

    package let database: Database
    package let clock: any WallClock
    package let ids: any Identifiers
    package let log: Log
    package let backend: any NetworkBackend
    package let options: NetworkOptions
    let compute: ServiceClient
    let placement: PlacementClient
    /// Rings when something was written that the back end does not know yet.
    let dirty = Wake()
    /// Rings when BGP speakers changed.
    let announce = Wake()
    /// Rings when names may have changed that the world outside knows.
    let names = Wake()

    package init(
        database: Database, clock: any WallClock, ids: any Identifiers, log: Log, transport: any Transport,
        caller: Caller, backend: any NetworkBackend, options: NetworkOptions = NetworkOptions()
    ) {
        self.database = database
        self.clock = clock
        self.ids = ids
        self.log = log
        self.backend = backend
        self.options = options
        placement = PlacementClient(over: transport, as: caller)
        compute = ServiceClient("compute", base: "/v2.1", over: transport, as: caller)
    }

    /// The loop that makes what is written real; run one of it per cloud.
    package var sync: NetworkSync { NetworkSync(self) }
}

extension Request {
    var network: NetworkService { room(NetworkService.self) }
}
