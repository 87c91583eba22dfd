// SPDX-License-Identifier: Apache-2.0
import BusRabbitMQ
import Clients
import Compute
import Engines
import HypervisorLibvirt
import Identity
import IdentityLDAP
import Image
import ImageFiles
import ImageImports
import Kernel
import LoadBalancer
import LoadBalancerHAProxy
import LoadBalancerOVN
import NamesDesignate
import Network
import NetworkOVN
import OVSDB
import Placement
import RoutingBIRD

/// The rooms of one cloud, each with the drivers it was given.
struct Rooms: Sendable {
    let identity: IdentityService
    let image: ImageService
    let placement: PlacementService
    let network: NetworkService
    let compute: ComputeService
    let balancing: LoadBalancerService
    let queue: OperationQueue
    /// The OVN back end's own loop; nil with the made-up network.
    let ovn: OVNNetworkBackend?
    /// What counts traffic under metering labels; nil with the made-up network.
    let meter: OVNTrafficMeter?
    /// What ends the connections of addresses that moved; nil with the made-up network.
    let sweep: ConnectionSweep?
    /// Where names of the world outside are told; nil unless the operator says so.
    let names: (any ExternalNames)?
    /// What tells Placement of hosts' bandwidths.
    let bandwidths: PlacementReporter
    /// What speaks BGP to the world outside.
    let advertiser: any RouteAdvertiser
    /// Where notifications go beside the log; nil without a broker.
    let bus: (any MessageBus)?
    let secrets: SealedSecrets
    /// Real guests' driver; nil with made-up hosts.
    let libvirt: LibvirtHypervisor?

    /// What rooms are built from.
    struct Ground: Sendable {
        let settings: UpSettings
        let directory: DataDirectory
        let database: Database
        let clock: any WallClock
        let ids: any Identifiers
        let log: Log
        /// What is told of Identity's objects and of logins, in a file of its own.
        let audit: Log
        let pool: BlockingPool
        let passwords: BlockingPool
        let engines: Engines?
        let transport: any Transport
    }

    init(_ ground: Ground) async throws(Fault) {
        let (database, clock, ids, log) = (ground.database, ground.clock, ground.ids, ground.log)
        let options = ground.settings.configuration
        bus = RabbitMQBus(options[RabbitMQOptions.self], ids: ids)
        let isLogged = ground.settings.configuration[IdentityOptions.self].notifications.drivers.isLogged
        let told: any Notifications = isLogged ? LoggedNotifications(ground.audit) : NoNotifications()
        identity = try IdentityService(
            database: database, clock: clock, ids: ids, log: log, pool: ground.passwords,
            keyDirectory: ground.directory.path + "/keys/fernet", options: options[IdentityOptions.self],
            domainFiles: Rooms.domainFiles(options[IdentityOptions.self].domains),
            directories: LDAPOpener(options[LDAPOptions.self], chance: ids, clock: clock, log: log),
            notifications: told,
            doors: try FederationFiles.doors(options[IdentityOptions.self].federation))
        placement = PlacementService(
            database: database, clock: clock, ids: ids, log: log, options: options[PlacementOptions.self])
        queue = OperationQueue(database: database, clock: clock, ids: ids)
        image = ImageService(
            database: database, clock: clock, ids: ids, log: log,
            stores: try ImageBackends.stores(
                options[ImageStoreOptions.self], options[ImportOptions.self], ground.directory.path, clock),
            options: options[ImageOptions.self], storeOptions: options[ImageStoreOptions.self],
            imports: options[ImportOptions.self], ports: try Rooms.imagePorts(ground, queue))
        try await image.recover()
        let backend = try Rooms.backend(ground)
        ovn = backend as? OVNNetworkBackend
        network = NetworkService(
            database: database, clock: clock, ids: ids, log: log, transport: ground.transport,
            caller: Rooms.caller("neutron"), backend: backend, options: options[NetworkOptions.self])
        advertiser = Rooms.advertiser(ground)
        meter = Rooms.meter(ground, ovn)
        sweep = Rooms.sweep(ground, ovn)
        names = try Rooms.names(ground)
        bandwidths = PlacementReporter(network, over: ground.transport, as: Rooms.caller("neutron"))
        secrets = SealedSecrets(database, keys: try ground.directory.sealingKeys(ids), clock: clock, chance: ids)
        var computing = options[ComputeOptions.self]
        computing.consoleURL = ground.settings.url(Cloud.consolePort)
        let outward = ServicesElsewhere(
            [computing.storage.place, computing.keys.place], as: "nova", desk: identity, or: ground.transport)
        let keys = VolumeKeys(own: secrets, database, ids: ids, over: outward, options: computing.keys)
        libvirt = Rooms.libvirt(ground, keys)
        let hosts =
            libvirt.map { HypervisorHosts([$0.settings.hostName: $0]) }
            ?? Rooms.fakes(ground.settings.up.hosts, ground.settings.configuration[HostPartition.self])
        compute = ComputeService(
            database: database, clock: clock, ids: ids, log: log, queue: queue, transport: outward,
            caller: Rooms.caller("nova"), hosts: hosts, options: computing, secrets: keys,
            certificates: { [certificates = image.ports.certificates] id async throws(Fault) in
                try await certificates.certificate(id)
            })
        balancing = LoadBalancerService(
            database: database, clock: clock, ids: ids, log: log, transport: ground.transport,
            caller: Rooms.caller("octavia"), providers: try Rooms.balancers(ground),
            certificates: Rooms.certificates(ground), options: options[LoadBalancerOptions.self])
    }

    /// HAProxy beside the networks' own engines; in memory with a made-up network.
    private static func balancers(_ ground: Ground) throws(Fault) -> BalancerProviders {
        guard ground.settings.network == .ovn, let engines = ground.engines else { return .fake() }
        let options = ground.settings.configuration[OVNOptions.self]
        let settings = HAProxySettings(
            folder: engines.paths.root + "/lb", prefix: engines.paths.prefix, chassis: engines.paths.chassisNamespace,
            switchDatabase: engines.paths.switchDatabase)
        let (ownNorth, ownSouth) = (
            try OVSDBEndpoint.list(engines.paths.northbound), try OVSDBEndpoint.list(engines.paths.southbound)
        )
        let plain = OVNBalancers(
            northbound: options.northbound ?? ownNorth, southbound: options.southbound ?? ownSouth, log: ground.log)
        return BalancerProviders(
            haproxy: HAProxyBalancers(settings, pool: ground.pool), ovn: plain, host: engines.options.chassisName)
    }

    private static func certificates(_ ground: Ground) -> any CertificateStore {
        let named = ground.settings.configuration[LoadBalancerOptions.self].certificates
        return FolderCertificateStore(folder: named ?? ground.directory.path + "/certificates")
    }

    private static func imagePorts(_ ground: Ground, _ queue: OperationQueue) throws(Fault) -> ImagePorts {
        let options = ground.settings.configuration
        let staging = options[ImageStoreOptions.self].stagingFolder ?? ground.directory.path + "/staging"
        let folder = options[ImageOptions.self].certificates
        return ImagePorts(
            queue: queue, remote: WebImages(reachesPrivate: options[ImportOptions.self].allowsPrivateAddresses),
            workshop: StagingWorkshop(folder: staging),
            certificates: folder.map(FolderCertificates.init(folder:)) ?? FakeCertificates(),
            transport: ground.transport, caller: caller("glance"),
            cacheMedium: try options[ImageCacheOptions.self].folder.map(FileImageStore.init(folder:)),
            cacheOptions: options[ImageCacheOptions.self])
    }

    /// A service acting for itself, in the project that services share.
    private static func caller(_ name: String) -> Caller {
        Caller(
            userID: name, userName: name, projectID: "service", projectName: "service", projectDomainID: "default",
            projectDomainName: "Default", roles: ["admin", "service"])
    }

    /// The settings of domains that an operator keeps in files, by the domain's name.
    static func domainFiles(_ options: DomainConfigurationOptions) -> [String: String] {
        guard options.isEnabled, !options.isFromDatabase else { return [:] }
        var files: [String: String] = [:]
        for file in FileSystem.list(options.directory) {
            guard let domain = DomainConfigurationOptions.domain(ofFile: file) else { continue }
            files[domain] = FileSystem.text(options.directory + "/" + file)
        }
        return files
    }

    /// Some of the made-up hosts as networks see them, enough to list and to lose.
    private static func chassis(_ count: Int, _ promises: [String]) -> [ChassisFact] {
        (1...min(count, 16)).map { number in
            var fact = ChassisFact(
                id: "fake-\(number)", hostname: "fake-\(number)", tunnelAddresses: ["192.0.2.\(number)"],
                physicalNetworks: ["external"], isGateway: true)
            fact.bandwidths = DeviceBandwidth.read(
                promises, bridges: [("external", "br-ex")], host: fact.hostname)
            fact.packetRates = PacketRate.read(promises, host: fact.hostname)
            return fact
        }
    }

    private static func backend(_ ground: Ground) throws(Fault) -> any NetworkBackend {
        guard ground.settings.network == .ovn, let engines = ground.engines else {
            return FakeNetworkBackend(
                hosts: Rooms.chassis(ground.settings.up.hosts, ground.settings.engines.promises))
        }
        var options = ground.settings.configuration[OVNOptions.self]
        options.dnsDomain = ground.settings.configuration[NetworkOptions.self].dnsDomain
        let (ownNorth, ownSouth) = (
            try OVSDBEndpoint.list(engines.paths.northbound), try OVSDBEndpoint.list(engines.paths.southbound)
        )
        return OVNNetworkBackend(
            northbound: options.northbound ?? ownNorth, southbound: options.southbound ?? ownSouth, options: options,
            log: ground.log)
    }

    /// The switches that can be asked: this host's and those that are named.
    private static func switches(_ ground: Ground, _ engines: Engines) -> [String] {
        [engines.paths.integrationControl] + ground.settings.configuration[OVNOptions.self].meterSwitches
    }

    private static func meter(_ ground: Ground, _ backend: OVNNetworkBackend?) -> OVNTrafficMeter? {
        guard let backend, let engines = ground.engines else { return nil }
        return OVNTrafficMeter(
            backend, switches: switches(ground, engines), pool: ground.pool, log: ground.log)
    }

    private static func sweep(_ ground: Ground, _ backend: OVNNetworkBackend?) -> ConnectionSweep? {
        guard let backend, let engines = ground.engines else { return nil }
        return ConnectionSweep(
            backend, switches: switches(ground, engines), pool: ground.pool, clock: ground.clock, log: ground.log)
    }

    /// Designate, asked as it is configured, or as this cloud's own administrator.
    private static func names(_ ground: Ground) throws(Fault) -> (any ExternalNames)? {
        guard ground.settings.configuration[NetworkOptions.self].externalDNS != nil else { return nil }
        var options = ground.settings.configuration[DesignateOptions.self]
        options.authorities = options.authorities ?? ground.settings.listen.authoritiesPath
        return try Designate(
            options,
            own: DesignateOptions.Login(
                authURL: ground.settings.url(IdentityService.index.port) + "/v3", user: "admin",
                password: try ground.directory.secret("admin-password", ground.ids), project: "admin"))
    }

    /// Speaks from where the floating addresses are reached.
    private static func advertiser(_ ground: Ground) -> any RouteAdvertiser {
        guard ground.settings.network == .ovn, let engines = ground.engines else {
            return FakeRouteAdvertiser(host: "fake-1")
        }
        let isApart = engines.options.external == .namespace
        return BIRDAdvertiser(
            host: engines.options.chassisName, folder: ground.directory.path + "/bgp",
            in: isApart ? Surroundings(network: engines.paths.externalNamespace) : .own,
            options: ground.settings.configuration[BIRDOptions.self], pool: ground.pool)
    }

    private static func fakes(_ count: Int, _ partition: HostPartition) -> HypervisorHosts {
        var hosts: [String: any Hypervisor] = [:]
        for number in 1...count {
            hosts["fake-\(number)"] = FakeHypervisor(host: partition.madeUpHost("fake-\(number)"))
        }
        return HypervisorHosts(hosts)
    }

    private static func libvirt(_ ground: Ground, _ secrets: any SecretStore) -> LibvirtHypervisor? {
        guard ground.settings.hypervisor == .libvirt, let engines = ground.engines else { return nil }
        let options = ground.settings.configuration[LibvirtOptions.self]
        var settings = options.settings(
            ownURI: engines.paths.libvirtURI, dataDirectory: ground.directory.path + "/guests",
            hostName: engines.options.chassisName, probed: .tcg)
        let life = ground.settings.configuration[ComputeOptions.self].life
        (settings.hasSerialConsoles, settings.hasSPICE) = (life.hasSerialConsoles, life.hasSPICE)
        settings.spiceListen = life.spiceListen
        let partition = ground.settings.configuration[HostPartition.self]
        (settings.sharedCPUs, settings.dedicatedCPUs) = (partition.sharedCPUs, partition.dedicatedCPUs)
        settings.devices = PCIScan(partition.devices)
        settings.mediated = partition.mediated
        settings.reportsPlugs = ground.settings.network == .ovn
        if options.connectionURI == nil {
            settings.outputDirectory = engines.paths.guestOutput
            settings.moduleDirectory = engines.paths.guestModules
            let hasGroups = ProcessorGroups.find() != nil
            settings.partition = hasGroups ? ProcessorGroups.partition(engines.paths) : nil
            settings.lacksProcessorGroups = !hasGroups
        }
        // The engines find it out beside everything else; only the first guest may have to wait for it.
        let probe: AcceleratorFinder = { () async throws(Fault) in
            try await engines.accelerator().0 == .kvm ? .kvm : .tcg
        }
        let plug = OpenVSwitchPlug(
            namespace: engines.paths.chassisNamespace.name,
            database: String(engines.paths.switchDatabase.dropFirst("unix:".count)), pool: ground.pool)
        let pool = BlockingPool(name: "libvirt", threads: 8, queue: 1024)
        return LibvirtHypervisor(
            settings, plug: plug, pool: pool, log: ground.log, secrets: secrets,
            probe: options.virtType == .auto ? probe : nil)
    }

    /// Opens the rooms for requests, each under its policy.
    func open(_ ground: Ground, metrics: Metrics, policies: PolicyBook) throws(Fault) -> [OpenService] {
        let services: [any Service] = [identity, image, placement, network, compute, balancing]
        return try services.mapping { service throws(Fault) in
            guard let policy = policies[type(of: service).index.type] else {
                throw .internalError("there is no policy for \(type(of: service).index.type)")
            }
            return OpenService(
                service,
                Provisions(
                    database: ground.database, clock: ground.clock, ids: ground.ids, log: ground.log, metrics: metrics,
                    policy: policy))
        }
    }

    /// Every loop that lives as long as the cloud.
    func run(_ log: Log, _ metrics: Metrics) async {
        await withDiscardingTaskGroup { group in
            if let ovn { group.addTask { await ovn.run() } }
            if let libvirt { group.addTask { await libvirt.run() } }
            group.addTask { await KeyWatch(identity).run() }
            group.addTask { await network.sync.run(metrics) }
            group.addTask { await RouteAnnouncer(network, advertiser).run() }
            group.addTask { await bandwidths.run() }
            if let names { group.addTask { await NamePublisher(network, names).run() } }
            if let sweep { group.addTask { await sweep.run() } }
            if let meter {
                group.addTask { await TrafficMetering(network, meter, metrics, host: advertiser.host).run() }
            }
            group.addTask { await balancing.sync.run() }
            group.addTask { await ImageJanitor(image).run() }
            group.addTask { await ImageLocationHasher(image).run() }
            group.addTask { await ImageScrubber(image).run() }
            group.addTask { await ImageCacheKeeper(image).run() }
            group.addTask { await HostReporter(compute).run() }
            group.addTask { await GuestWatch(compute).run() }
            group.addTask { await NotificationRelay(compute, to: bus.map(SharedNotificationBus.init)).run() }
            if let bus { group.addTask { await IdentityRelay(identity, to: bus).run() } }
            group.addTask { await UsageAuditor(compute).run() }
            group.addTask { await HostKeeper(compute).run() }
            group.addTask { await SecretSealer(secrets, clock: compute.clock, log: log).run() }
            group.addTask { await MoveKeeper(compute).run() }
            group.addTask { await Auditor(compute).run(metrics) }
            group.addTask { await ServerKeeper(compute).run() }
            group.addTask {
                await Worker(
                    queue, name: "apus", kinds: ComputeKinds.all(compute) + ImageKinds.all(image), log: log,
                    isExclusive: true
                ).run(metrics)
            }
        }
    }
}
