// SPDX-License-Identifier: Apache-2.0
package import Clients
package import Kernel

/// Load balancing (Octavia): addresses that spread what they are sent over members that answer it.
package final class LoadBalancerService: Service {
    package static let index = ServiceIndex(
        type: "load-balancer", name: "octavia", title: "Balancing", port: 9876, mount: "/load-balancer",
        base: "", versions: .fixed("2.0"), envelope: .octavia,
        wording: .octavia, rulePrefix: "os_load-balancer_api:", scopes: .project, baseRules: LoadBalancerRules.base,
        memberRules: LoadBalancerRules.members, bodyLimit: 4 << 20,
        resources: [
            LoadBalancerVersions.self, LoadBalancer.self, Listener.self, Pool.self, Member.self, HealthMonitor.self,
            L7Policy.self, L7Rule.self, ListenerStatistics.self, Quotas.self, Providers.self, Flavor.self,
            FlavorProfile.self, AvailabilityZone.self, AvailabilityZoneProfile.self, Amphorae.self, PartTag.self,
        ])

    package let database: Database
    package let clock: any WallClock
    package let ids: any Identifiers
    package let log: Log
    package let options: LoadBalancerOptions
    /// What makes balancers real, by the name clients know it by.
    package let providers: BalancerProviders
    package let certificates: any CertificateStore
    /// Network's API in this service's own name.
    let network: NetworkClient
    /// Rings when a balancer was written that its provider does not know yet.
    let dirty = Wake()

    package init(
        database: Database, clock: any WallClock, ids: any Identifiers, log: Log, transport: any Transport,
        caller: Caller, providers: BalancerProviders, certificates: any CertificateStore = FakeCertificateStore(),
        options: LoadBalancerOptions = LoadBalancerOptions()
    ) {
        self.database = database
        self.clock = clock
        self.ids = ids
        self.log = log
        self.providers = providers
        self.certificates = certificates
        self.options = options
        network = NetworkClient(over: transport, as: caller)
    }

    /// The loop that makes what is written real; run one of it per cloud.
    package var sync: BalancerSync { BalancerSync(self) }
}

extension Request {
    var balancing: LoadBalancerService { room(LoadBalancerService.self) }
}
