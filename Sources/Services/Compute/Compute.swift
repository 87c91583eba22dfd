// SPDX-License-Identifier: Apache-2.0
package import Clients
package import Kernel

/// Compute (Nova): servers and what they are made of.
package final class ComputeService: Service {
    package static let index = ServiceIndex(
        type: "compute", name: "nova", title: "Compute", port: 8774, mount: "/compute", base: "/v2.1",
        pathForms: PathForms(oldBase: "/v2", takesProject: true), versions: .compute, envelope: .nova, wording: .nova,
        rulePrefix: "os_compute_api:", scopes: .project,
        baseRules: ComputeRules.base, memberRules: ComputeRules.members,
        resources: [
            ComputeVersions.self, Flavor.self, Keypair.self, Server.self, ServerCreate.self, ServerActions.self,
            ConsoleToken.self, InstanceAction.self, ComputeServices.self, Hypervisors.self, Quotas.self, Limits.self,
            AvailabilityZones.self, ServerExternalEvents.self, DecisionRecord.self,
            ServerMetadata.self, ServerTags.self, ServerAddresses.self, ServerInterfaces.self, ServerPasswords.self,
            ServerSecurityGroups.self, SecurityGroupProxy.self, ServerGroup.self, Aggregate.self, AggregateImages.self,
            FlavorExtraSpecs.self,
            FlavorAccess.self,
            TenantUsages.self, ServerDiagnostics.self, Extensions.self, VolumeAttachments.self,
            RemovedCalls.self, Hosts.self, NetworkProxy.self, FloatingIPProxy.self, FixedAddresses.self,
            ImageProxy.self,
            ImageMetadata.self, BareMetalProxy.self, UsageAudits.self, ServerTopology.self, ServerShares.self,
            OldConsoles.self, VolumeProxy.self, AggregateImages.self,
            AssistedSnapshots.self, Notice.self, DiskKey.self, VolumeHold.self,
            ServerRebuild.self, ServerRescue.self, ServerImages.self, ServerShelving.self, DeferredDelete.self,
            ServerMigration.self, ServerMoves.self, ServerEvacuations.self, LiveMigrations.self,
            Records.self, PlacementCapacity.self, PlacementAudits.self,
        ])

    package let database: Database
    package let clock: any WallClock
    package let ids: any Identifiers
    package let log: Log
    package let queue: OperationQueue
    package let options: ComputeOptions
    /// For what computes or blocks: the making of keys.
    let pool = BlockingPool(name: "compute", threads: 2, queue: 256)
    /// What the operator's vendor data services are asked through.
    let vendorServices: HTTPClient
    let images: ImageClient
    let network: NetworkClient
    let placement: PlacementClient
    let storage: BlockStorageClient
    let catalog: CatalogClient
    /// Identity's limits on servers and what they are made of.
    let unifiedLimits: UnifiedLimitsClient
    let notices: Notices
    /// What Network has told of ports that servers wait for.
    let plugs = PlugBoard()
    /// Compute itself, as other rooms see it.
    let caller: Caller
    /// The machines of this process by name; the ones elsewhere are reached through their agents.
    package let hosts: HypervisorHosts

    /// What servers' disks are encrypted with.
    let secrets: any SecretStore
    /// Certificates by id, as a key manager has them: images' signatures are verified by them.
    let certificates: @Sendable (_ id: String) async throws(Fault) -> [UInt8]

    /// A cloud without a key manager.
    package static let noCertificate: @Sendable (_ id: String) async throws(Fault) -> [UInt8] = {
        id async throws(Fault) in throw .notFound("Unable to retrieve certificate with ID: \(id)")
    }

    package init(
        database: Database, clock: any WallClock, ids: any Identifiers, log: Log, queue: OperationQueue,
        transport: any Transport, caller: Caller, hosts: HypervisorHosts, options: ComputeOptions,
        secrets: any SecretStore = FakeSecretStore(),
        certificates: @escaping @Sendable (_ id: String) async throws(Fault) -> [UInt8] = ComputeService.noCertificate
    ) {
        self.database = database
        self.clock = clock
        self.ids = ids
        self.log = log
        self.queue = queue
        self.options = options
        self.hosts = hosts
        self.certificates = certificates
        self.secrets = secrets
        self.caller = caller
        vendorServices = HTTPClient(threads: 2, queue: 64, authorities: options.metadata.vendorAuthorities)
        images = ImageClient(over: transport, as: caller)
        network = NetworkClient(over: transport, as: caller)
        placement = PlacementClient(over: transport, as: caller)
        storage = BlockStorageClient(over: transport, as: caller)
        catalog = CatalogClient(over: transport, as: caller)
        unifiedLimits = UnifiedLimitsClient(
            "compute", region: options.quota.region, over: transport, as: caller)
        notices = Notices(
            options: options.notifications, clock: clock, ids: ids, host: hosts.names.first ?? "localhost")
        notices.watch(database)
    }
}

extension Request {
    var compute: ComputeService { room(ComputeService.self) }
}
