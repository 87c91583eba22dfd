// SPDX-License-Identifier: Apache-2.0
import Clients
import Compute
import Engines
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
    private let ground: Rooms.Ground
    private let switchboard = Switchboard()
    private let server: HTTPServer
    private let adminPassword: String

    init(_ settings: UpSettings, _ directory: DataDirectory) async throws(Fault) {
        self.settings = settings
        self.directory = directory
        let log = Log(sink: .file(directory.path + "/log/apus.log"), level: .info, clock: clock)
        self.log = log
        database = try Database.sqlite(path: directory.path + "/apus.db", log: log)
        try await database.migrate(Cloud.migrations)
        adminPassword = try directory.secret("admin-password", ids)
        engines = try LocalCloud.engines(settings, directory, pool, log)
        if let engines {
            Terminal.say("starting the engines")
            try await engines.start()
        }
        let switchboard = switchboard
        ground = Rooms.Ground(
            settings: settings, directory: directory, database: database, clock: clock, ids: ids, log: log, pool: pool,
            passwords: BlockingPool(name: "passwords", threads: HTTPServer.cores, queue: 64), engines: engines,
            transport: InProcess { switchboard.front })
        rooms = try await Rooms(ground)
        server = try HTTPServer { request in await switchboard.answer(request) }
    }

    private static func engines(
        _ settings: UpSettings, _ directory: DataDirectory, _ pool: BlockingPool, _ log: Log
    ) throws(Fault) -> Engines? {
        guard settings.needsEngines else { return nil }
        var options = EngineOptions()
        options.hypervisor = settings.hypervisor == .libvirt
        if settings.hypervisor == .fake { options.chassisName = "fake-1" }
        return try Engines(dataDirectory: directory.path, options: options, pool: pool) { event in
            EngineLines.tell(event, log)
        }
    }

    /// Fills the catalog, connects everything and opens the ports.
    func open() async throws(Fault) {
        try await Bootstrap.run(
            rooms.identity, password: adminPassword, services: Cloud.indexes, ids: ids, clock: clock,
            address: { [settings] index, _ in settings.url(index.port) + index.catalogPath })
        let front = Front(
            try rooms.open(ground, metrics: metrics), authority: TokenCache(rooms.identity.authority, clock: clock),
            ids: ids, log: log, metrics: metrics, pages: Pages.all(metrics, log))
        switchboard.connect(
            .init(
                front: front, metadata: MetadataService(rooms.compute),
                console: { _ in HTTPResponse(status: 404) }))
        try await HostReporter(rooms.compute).report()
        for index in Cloud.indexes { try listen(index.port, tag: index.type) }
        try listen(Cloud.gatewayPort, tag: "gateway")
        try listen(Cloud.consolePort, tag: "console")
        try ClientFiles.write(directory, url: settings.url(IdentityService.index.port), password: adminPassword)
        try writeFacts()
    }

    private func listen(_ port: Int, tag: String) throws(Fault) {
        try server.listen(host: settings.listen, port: port + settings.offset, tag: tag)
        // The world outside sees the cloud where it sees itself, so that tests and guests out there find the APIs.
        guard let engines, engines.options.external == .namespace else { return }
        let outside = try engines.paths.externalNamespace.openSocket(
            host: settings.listen, port: UInt16(port + settings.offset))
        _ = try server.listen(socket: outside, tag: tag)
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
        try FileSystem.write(JSON.object(facts).text(pretty: true) + "\n", to: directory.path + "/cloud.json", mode: 0o644)
    }

    /// Says where everything is.
    func introduce() {
        Terminal.say("apus \(Cloud.version)")
        for index in Cloud.indexes {
            Terminal.say("  \(index.title.padded(10)) \(settings.url(index.port))\(index.catalogPath)")
        }
        Terminal.say("  \("Gateway".padded(10)) \(settings.url(Cloud.gatewayPort))   all services under their paths, /metrics")
        Terminal.say("  \("Consoles".padded(10)) \(settings.url(Cloud.consolePort))")
        Terminal.say("  \("Log".padded(10)) \(directory.path)/log/apus.log")
        if let paths = engines?.paths {
            Terminal.say("  \("libvirt".padded(10)) virsh -c '\(paths.libvirtURI)' list")
            Terminal.say("  \("Outside".padded(10)) ip netns exec \(paths.externalNamespace.name) ...   floating IPs answer there")
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
            group.addTask { [rooms, log] in
                await rooms.run(log)
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
            group.addTask { (try? await signals.next()) ?? 15 }
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
