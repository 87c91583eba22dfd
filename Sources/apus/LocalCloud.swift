// SPDX-License-Identifier: Apache-2.0
import Clients
import Compute
import Engines
import Glibc
import Identity
import Kernel
import Network

/// Every room, agent and engine of `apus up`, put together once and taken apart in reverse.
final class LocalCloud: Sendable {
    private let settings: UpSettings
    private let directory: DataDirectory
    private let log: Log
    private let metrics = Metrics()
    private let clock = MachineClock()
    private let ids = RandomIdentifiers()
    private let database: Database
    private let pool = BlockingPool(name: "blocking", threads: 16, queue: 4096)
    private let engines: Engines?
    private let rooms: Rooms
    private let authority: TokenCache
    private let ground: Rooms.Ground
    private let switchboard = Switchboard()
    private let server: HTTPServer
    private let adminPassword: String

    init(_ settings: UpSettings, _ directory: DataDirectory) async throws(Fault) {
        self.settings = settings
        self.directory = directory
        let log = settings.log(clock)
        self.log = log
        database = try Database.sqlite(path: settings.databasePath, log: log)
        try await database.migrate(Cloud.migrations)
        adminPassword = try directory.secret("admin-password", ids)
        engines = try LocalCloud.engines(settings, directory, pool, log)
        if let engines {
            Terminal.say("starting the engines")
            do throws(Fault) { try await engines.start() } catch {
                throw .unavailable("\(error.message)\n`apus doctor` says what this machine lacks.")
            }
        }
        let switchboard = switchboard
        ground = Rooms.Ground(
            settings: settings, directory: directory, database: database, clock: clock, ids: ids, log: log,
            audit: Log(sink: .file(directory.path + "/log/audit.log"), level: .info, clock: clock), pool: pool,
            passwords: BlockingPool(name: "passwords", threads: HTTPServer.cores, queue: 64, niceness: 10),
            engines: engines,
            transport: InProcess { switchboard.front })
        rooms = try await Rooms(ground)
        authority = TokenCache(rooms.identity.authority, clock: clock)
        server = try HTTPServer { request in await switchboard.answer(request) }
    }

    private static func engines(
        _ settings: UpSettings, _ directory: DataDirectory, _ pool: BlockingPool, _ log: Log
    ) throws(Fault) -> Engines? {
        guard settings.needsEngines else { return nil }
        return try Engines(dataDirectory: directory.path, options: settings.engines, pool: pool) { event in
            EngineLines.tell(event, log)
        }
    }

    /// Fills the catalog, connects everything and opens the ports.
    func open() async throws(Fault) {
        try await Bootstrap.run(
            rooms.identity, password: adminPassword, services: Cloud.indexes, ids: ids, clock: clock,
            address: { [settings] index, _ in settings.url(index.port) + index.catalogPath })
        try connect(settings)
        try await HostReporter(rooms.compute).report()
        let identity = try settings.listen.identity()
        for index in Cloud.indexes { try listen(index.port, tag: index.type, identity) }
        try listen(Cloud.gatewayPort, tag: "gateway", identity)
        try listen(Cloud.consolePort, tag: "console", identity)
        if settings.configuration[ComputeOptions.self].metadata.proxySecret != nil {
            try listen(Cloud.metadataPort, tag: MetadataDoors.proxyTag, identity)
        }
        try ClientFiles.write(
            directory, url: settings.url(IdentityService.index.port), password: adminPassword,
            authorities: settings.listen.authoritiesPath)
        try writeFacts()
    }

    /// Puts the rooms behind the ports, under the policies that the settings name.
    private func connect(_ settings: UpSettings) throws(Fault) {
        let front = Front(
            try rooms.open(ground, metrics: metrics, policies: try settings.policies(log)), authority: authority,
            ids: ids, log: log, metrics: metrics, cors: settings.configuration[CORSOptions.self].cors,
            pages: Pages.all(metrics, log))
        let proxy = ConsoleProxy(rooms.compute)
        switchboard.connect(
            .init(
                front: front, metadata: MetadataService(rooms.compute),
                console: { [proxy] request in await proxy.handle(request) }))
    }

    /// Takes over what may change while the cloud runs: the logs' files, the level, the policies, the origins of CORS.
    private func reload() {
        log.reopen()
        ground.audit.reopen()
        do throws(Fault) {
            let fresh = try settings.again()
            rooms.identity.forget()
            log.setLevel(fresh.configuration[LogOptions.self].level)
            try connect(fresh)
            log.info("configuration read again")
        } catch {
            log.error("the configuration stays as it was", ["error": error.message])
        }
    }

    private func listen(_ port: Int, tag: String, _ identity: TLSIdentity?) throws(Fault) {
        let (address, port) = (settings.listen.address, port + settings.offset)
        try server.listen(host: address, port: port, tag: tag, tls: identity)
        // The world outside sees the cloud where it sees itself, so that tests and guests out there find the APIs.
        guard let engines, engines.options.external == .namespace else { return }
        let outside = try engines.paths.externalNamespace.openSocket(
            host: address, port: UInt16(port))
        _ = try server.listen(socket: outside, tag: tag, tls: identity)
    }

    private func writeFacts() throws(Fault) {
        var facts: JSONObject = [
            "version": .string(Cloud.version), "auth_url": .string(settings.url(IdentityService.index.port) + "/v3"),
            "gateway": .string(settings.url(Cloud.gatewayPort)), "console": .string(settings.url(Cloud.consolePort)),
        ]
        if let paths = engines?.paths {
            facts["external_namespace"] = .string(paths.externalNamespace.name)
            facts["chassis_namespace"] = .string(paths.chassisNamespace.name)
            facts["libvirt_uri"] = .string(paths.libvirtURI)
            facts["ovn_northbound"] = .string(paths.northbound)
        }
        let text = JSON.object(facts).text(pretty: true) + "\n"
        try FileSystem.write(text, to: directory.path + "/cloud.json", mode: 0o644)
    }

    /// Says where everything is.
    func introduce() {
        Terminal.say("apus \(Cloud.version)")
        for index in Cloud.indexes {
            Terminal.say("  \(index.title.padded(10)) \(settings.url(index.port))\(index.catalogPath)")
        }
        let gateway = settings.url(Cloud.gatewayPort)
        Terminal.say("  \("Gateway".padded(10)) \(gateway)   all services under their paths, /metrics")
        Terminal.say("  \("Consoles".padded(10)) \(settings.url(Cloud.consolePort))")
        Terminal.say("  \("Log".padded(10)) \(directory.path)/log/apus.log")
        if let paths = engines?.paths {
            Terminal.say("  \("libvirt".padded(10)) virsh -c '\(paths.libvirtURI)' list")
            let outside = "ip netns exec \(paths.externalNamespace.name) ..."
            Terminal.say("  \("Outside".padded(10)) \(outside)   floating IPs answer there")
        }
        Terminal.say("use it: . \(directory.path)/openrc")
        Terminal.say("    or: OS_CLIENT_CONFIG_FILE=\(directory.path)/clouds.yaml OS_CLOUD=apus openstack ...")
    }

    /// Serves until a signal comes; answers its number.
    func serve(until signals: Signals) async -> Int32 {
        await withTaskGroup(of: Int32?.self) { group in
            group.addTask { [server] in
                await server.run()
                return nil
            }
            group.addTask { [rooms, log, metrics] in
                await rooms.run(log, metrics)
                return nil
            }
            if let engines {
                let doors = MetadataDoors(rooms.network, engines, server: server, pool: pool, clock: clock, log: log)
                group.addTask {
                    await doors.run()
                    return nil
                }
                group.addTask { [log] in
                    do throws(Fault) { try await engines.run() } catch {
                        log.error("the engines stopped", ["error": error.description])
                    }
                    return nil
                }
            }
            group.addTask {
                while true {
                    let number = (try? await signals.next()) ?? SIGTERM
                    guard number == SIGHUP else { return number }
                    self.reload()
                }
            }
            var number: Int32 = 15
            while let ended = await group.next() {
                guard let ended else { continue }
                number = ended
                break
            }
            group.cancelAll()
            return number
        }
    }

    /// Gives everything back. Guests are kept running for the next start.
    func close() async {
        do throws(Fault) { try await rooms.advertiser.speak([]) } catch {
            Terminal.complain("BGP sessions could not be ended: \(error.message)")
        }
        if let engines {
            do throws(Fault) { try await engines.stop(guests: .end) } catch {
                Terminal.complain("the engines could not all be stopped: \(error.message)")
            }
        }
        await database.close()
        log.flush()
    }
}

extension String {
    func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
