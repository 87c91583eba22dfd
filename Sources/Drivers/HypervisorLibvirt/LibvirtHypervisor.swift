// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
package import Compute
package import Kernel

/// Finds out how guests run here.
package typealias AcceleratorFinder = @Sendable () async throws(Fault) -> Accelerator

/// Guests as libvirt domains on QEMU. It remembers nothing: what is true is asked of libvirt each time, so a restarted
/// process finds its guests as they are, running ones included.
package final class LibvirtHypervisor: Hypervisor {
    package let settings: LibvirtSettings
    let session: LibvirtSession
    let plug: any NetworkPlug
    let pool: BlockingPool
    /// Threads for what takes minutes: journeys, copies of disks, memory written to disk.
    let longPool: BlockingPool
    let clock: any WallClock
    let images: ImageCache
    let relay = EventRelay()
    let abilities = HostAbilities()
    /// Where the passphrases of encrypted disks are; nil on a host that encrypts none.
    let secrets: (any SecretStore)?
    /// One change at a time per guest.
    let turnstile = Turnstile()
    private let probe: AcceleratorFinder?

    /// - Parameter pool: threads for libvirt, disks and tools; stopping a guest holds one for a second or two.
    /// - Parameter probe: finds out how guests run here; asked when one is defined, because trying takes seconds that
    ///   nothing else should wait for. Nil takes what the settings say.
    package init(
        _ settings: LibvirtSettings, plug: any NetworkPlug, pool: BlockingPool, clock: any WallClock = MachineClock(),
        log: Log = .silent, secrets: (any SecretStore)? = nil, probe: AcceleratorFinder? = nil
    ) {
        self.secrets = secrets
        self.settings = settings
        self.probe = probe
        self.plug = plug
        self.pool = pool
        let longPool = BlockingPool(name: "libvirt long", threads: 16, queue: 1024)
        self.longPool = longPool
        self.clock = clock
        session = LibvirtSession(uri: settings.uri, pool: pool, longPool: longPool, relay: relay, log: log)
        images = ImageCache(
            directory: settings.dataDirectory + "/images", forcesRaw: settings.forcesRawImages, pool: pool,
            longPool: longPool, log: log)
    }

    func folder(of server: String) throws(Fault) -> GuestFolder {
        try GuestFolder(of: server, in: settings.dataDirectory)
    }

    /// Keeps the connection, and with it the events, alive until the task is cancelled: a daemon that was restarted is
    /// found within five seconds even if nobody asks for anything.
    package func run() async {
        while !Task.isCancelled {
            // Why it fails is told by whoever needs it.
            try? await session.refresh()
            try? await clock.sleep(.seconds(5))
        }
    }

    // MARK: Making and removing

    package func boot(_ guest: GuestSpec, image: ImageSource?) async throws(Fault) {
        let folder = try folder(of: guest.server)
        try await turnstile.pass(guest.server) { () async throws(Fault) in
            let found = try await session.call { connection throws(Fault) in
                guard let domain = try Domain(guest.server, on: connection) else { return nil as GuestState? }
                guard domain.isOurs else { throw .guestNotOurs(guest.server) }
                return try domain.state()
            }
            switch found {
            case nil: try await make(guest, in: folder, image: image)
            // A domain is defined only after its disks are complete, so one that exists needs no more than a start.
            case .shutdown, .crashed: break
            default: return
            }
            try await start(guest.server)
        }
    }

    func make(
        _ guest: GuestSpec, in folder: GuestFolder, image: ImageSource?, keepsEphemeral: Bool = false
    ) async throws(Fault) {
        var base: BaseImage?
        if let image { base = try await self.base(for: image) }
        let passphrases = try await passphrases(guest.diskKeys, image: image)
        let (settings, source) = (settings, base)
        try await pool.run { () throws(Fault) in
            for sockets in ["vnc", "serial", "spice"] {
                try FileSystem.makeDirectory("\(settings.dataDirectory)/\(sockets)", mode: 0o700)
            }
            try GuestFiles.make(guest, in: folder, on: source, keepsEphemeral: keepsEphemeral, passphrases)
        }
        try await define(guest, in: folder)
        if let drive = guest.configDrive, drive.hasTaggedDevices {
            let placed = drive.placed(try await devicePlaces(of: guest.server))
            try await pool.run { () throws(Fault) in try ConfigDriveFile.make(placed, in: folder) }
        }
    }

    /// An image on the host, and how disks are made of it.
    func base(for image: ImageSource) async throws(Fault) -> BaseImage {
        var base = try await images.base(for: image)
        base.isCopied = !settings.usesOverlays
        return base
    }

    /// Defines the domain, or defines it anew, from its description and the disks in its folder.
    func define(
        _ guest: GuestSpec, in folder: GuestFolder, rescue: GuestRescueDisk? = nil
    ) async throws(Fault) {
        let xml = try await describe(guest, in: folder, rescue: rescue)
        try await secure(guest.volumes)
        try await pool.run { () throws(Fault) in try MediatedDevices.note(guest.hostDevices, in: folder) }
        try await session.call { connection throws(Fault) in
            guard let domain = virDomainDefineXML(connection, xml) else {
                throw LibvirtError.last("define \(guest.server)", server: guest.server)
            }
            virDomainFree(domain)
        }
    }

    /// The domain's description as this host would have it.
    func describe(
        _ guest: GuestSpec, in folder: GuestFolder, rescue: GuestRescueDisk? = nil
    ) async throws(Fault) -> String {
        var probed = settings
        if let probe { probed.accelerator = try await probe() }
        await abilities.learn(probed.accelerator)
        probed.hasNUMA = try await abilities.hasNUMA { () async throws(Fault) in try await self.cells() }
        let settings = probed
        return try await pool.run { () throws(Fault) in
            let cache = GuestFiles.canBypassCache(in: folder.path) ? "none" : "writeback"
            let disks = GuestFiles.disks(in: folder, rescue: rescue, keys: guest.diskKeys)
            return try DomainXML(spec: guest, folder: folder, settings: settings, disks: disks, diskCache: cache).text()
        }
    }

    package func destroy(_ server: String) async throws(Fault) {
        let folder = try folder(of: server)
        try await turnstile.pass(server) { () async throws(Fault) in
            // The domain goes last but for its files: until then it tells a second attempt which ports are to be
            // removed.
            let outputs = settings.outputDirectory
            let keys = try await diskKeys(of: server).map(\.value) + encryptedVolumes(of: server)
            let (nics, volumes) = try await session.call { connection throws(Fault) in
                guard let domain = try Domain(server, on: connection) else { return ([GuestNIC](), [String]()) }
                guard domain.isOurs else { throw .guestNotOurs(server) }
                try domain.switchOff()
                // libvirt never removes it, and only the domain knows its name.
                if let outputs, let name = virDomainGetName(domain.raw) {
                    let file = "\(outputs)/\(String(cString: name)).log"
                    for old in [file] + (0..<10).map({ "\(file).\($0)" }) { FileSystem.remove(old) }
                }
                return (try domain.nics(), try domain.xml(running: false).securedVolumes)
            }
            // A guest that was awaited and never came has no domain, but its ports are here.
            let awaited = try await pool.run { () throws(Fault) in GuestFiles.awaited(in: folder) }
            for nic in nics + awaited.filter({ !nics.contains($0) }) { try await plug.unplug(nic) }
            try await session.call { connection throws(Fault) in
                guard let domain = try Domain(server, on: connection) else { return }
                let flags =
                    VIR_DOMAIN_UNDEFINE_MANAGED_SAVE.rawValue | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA.rawValue
                    | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA.rawValue | VIR_DOMAIN_UNDEFINE_NVRAM.rawValue
                try domain.check(virDomainUndefineFlags(domain.raw, flags), "undefine")
            }
            for volume in volumes { try await forget(.password(of: volume)) }
            let mediated = settings.mediated
            try await lock(keys)
            try await lockModule(of: server)
            let module = moduleState(of: server)
            try await pool.run { () throws(Fault) in
                // Without a domain libvirt does not know of it: a guest that was to come and did not.
                module.remove()
                mediated.remove(MediatedDevices.noted(in: folder))
                FileSystem.remove(folder.path)
                for socket in [folder.vncSocket, folder.serialSocket, folder.spiceSocket] { FileSystem.remove(socket) }
            }
        }
    }

    // MARK: Looking

    package func state(of server: String) async throws(Fault) -> GuestState? {
        try await session.call { connection throws(Fault) in
            guard let domain = try Domain(server, on: connection) else { return nil }
            return try domain.state()
        }
    }

    package func guests() async throws(Fault) -> [String: GuestState] {
        try await session.call { connection throws(Fault) in
            var guests: [String: GuestState] = [:]
            try eachDomain(on: connection) { raw throws(Fault) in
                guard let server = Domain.uuid(of: raw) else { return }
                // A domain that goes while we look is no mistake.
                if let state = try? Domain.state(of: raw, server: server) { guests[server] = state }
            }
            return guests
        }
    }

    package func consoleOutput(of server: String, lines: Int?) async throws(Fault) -> [UInt8] {
        let folder = try folder(of: server)
        try await session.call { connection throws(Fault) in _ = try Domain.ours(server, on: connection) }
        return try await pool.run { () throws(Fault) in lastLines(lines, of: GuestFiles.consoleTail(folder)) }
    }

    package func display(of server: String) async throws(Fault) -> ConsoleEndpoint {
        let folder = try folder(of: server)
        let state = try await session.call { connection throws(Fault) in
            try Domain.ours(server, on: connection).state()
        }
        guard state == .running || state == .paused else { throw .guestState(server, state, "show the screen of") }
        return .unix(path: folder.vncSocket)
    }

    package func events() async -> AsyncStream<GuestEvent> {
        let stream = relay.events()
        // Events begin with a connection; when there is none now, the next call that works makes it.
        try? await session.call { _ in }
        return stream
    }
}

/// Walks all domains of a host, running or not.
func eachDomain(
    on connection: virConnectPtr, _ body: (virDomainPtr) throws(Fault) -> Void
) throws(Fault) {
    var list: UnsafeMutablePointer<virDomainPtr?>?
    let count = virConnectListAllDomains(connection, &list, 0)
    guard count >= 0, let list else { throw LibvirtError.last("list domains") }
    defer {
        for at in 0..<Int(count) { virDomainFree(list[at]) }
        list.deallocate()
    }
    for at in 0..<Int(count) {
        if let domain = list[at] { try body(domain) }
    }
}
