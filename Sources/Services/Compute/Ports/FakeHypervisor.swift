// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A hypervisor in memory, and a driver like any other: one value stands for one host, thousands of them for a data
/// centre. Guests obey the same power rules as real ones; trouble is drawn from a seed, so a failure can be repeated.
package actor FakeHypervisor: Hypervisor {
    /// What goes wrong, and how slowly. A failed call has either done nothing or everything: half of the failures are
    /// answers that got lost, which is what repeatable calls are for.
    package struct Trouble: Sendable, Hashable {
        /// The share of changing calls that fail, 0...1.
        package var failures = 0.0
        /// Each changing call takes a time within this range.
        package var delay: ClosedRange<Duration> = .zero ... .zero
        package var seed: UInt64 = 1

        package init(failures: Double = 0, delay: ClosedRange<Duration> = .zero ... .zero, seed: UInt64 = 1) {
            self.failures = failures
            self.delay = delay
            self.seed = seed
        }
    }

    struct Guest {
        var spec: GuestSpec
        var state: GuestState
        var console: [UInt8] = []
        var isOurs = true
        /// What it is rescued with, while it is.
        var rescue: GuestRescueDisk?
        var password: String?
        var crashDumps = 0
        /// What its root disk holds, in short: kept when the guest moves, another when the disk is made anew.
        var disk = ""
        /// Whether its file systems are at rest.
        var isQuiet = false
        /// Whether it is awaited from another host.
        var isExpected = false
    }

    var host: HostResources
    var guestsByID: [String: Guest] = [:]
    /// The files of volumes, the one in use last.
    package internal(set) var chains: [String: [String]] = [:]
    /// Copies of disks by name.
    var snapshots: [String: [UInt8]] = [:]
    /// The secrets of those that are encrypted, by id.
    package internal(set) var snapshotKeys: [String: String] = [:]
    /// What the guests booted last was encrypted with, by image.
    package private(set) var imageKeys: [String: String] = [:]
    /// Guests as they were before they were resized.
    var kept: [String: Guest] = [:]
    var departures: [String: Departure] = [:]
    /// A host goes on in a hurry when those who asked for the journey are gone, and others ask again.
    var hastened: Set<String> = []
    /// How long a guest that runs takes to change hosts.
    var journey = Duration.zero
    private var disksEver = 0
    /// How often guests were brought to rest.
    package internal(set) var quietsEver = 0
    private var watchers: [Int: AsyncStream<GuestEvent>.Continuation] = [:]
    private var watchersEver = 0
    private var trouble: Trouble
    private var isUnreachable = false
    var isReporting = false
    var stubborn: Set<String> = []
    /// A port that cannot be plugged in, and whether guests stay.
    var refusedPort: String?
    var refusesJourneys = false
    var arrivalRefusal: Fault?
    var bootRefusal: Fault?
    /// Images that were fetched beforehand.
    package private(set) var images: Set<String> = []
    /// The kernels, and ramdisks, that guests start from.
    package internal(set) var kernels: [String: [String]] = [:]
    let clock: any WallClock

    package init(host: HostResources = .fake(), trouble: Trouble = Trouble(), clock: any WallClock = MachineClock()) {
        self.host = host
        self.trouble = trouble
        self.clock = clock
    }

    package func boot(_ spec: GuestSpec, image: ImageSource?) async throws(Fault) {
        try await image?.prove?()
        if let image { imageKeys[image.id] = image.key }
        if let bootRefusal { throw bootRefusal }
        try await change { () throws(Fault) in
            if let guest = guestsByID[spec.server] {
                guard guest.isOurs else { throw Fault.guestNotOurs(spec.server) }
                if guest.state == .shutdown || guest.state == .crashed { start(spec.server, as: .started) }
                return
            }
            disksEver += 1
            guestsByID[spec.server] = Guest(
                spec: spec, state: .shutdown, disk: "\(host.hostName) \(spec.server) \(disksEver)")
            start(spec.server, as: .started)
        }
    }

    package func power(_ server: String, _ change: PowerChange) async throws(Fault) {
        try await self.change { () throws(Fault) in
            let guest = try ours(server)
            switch change.verdict(from: guest.state) {
            case .nothing: return
            case .refuse: throw .guestState(server, guest.state, change.verb)
            case .apply: break
            }
            switch change {
            case .start: start(server, as: guest.state == .suspended ? .resumed : .started)
            case .stop: enter(.shutdown, server, as: .stopped)
            case .rebootSoft, .rebootHard: start(server, as: .rebooted)
            case .pause: enter(.paused, server, as: .paused)
            case .unpause: enter(.running, server, as: .unpaused)
            case .suspend: enter(.suspended, server, as: .suspended)
            case .resume: enter(.running, server, as: .resumed)
            }
        }
    }

    package func state(of server: String) throws(Fault) -> GuestState? {
        try reachable()
        return guestsByID[server]?.state
    }

    package func guests() throws(Fault) -> [String: GuestState] {
        try reachable()
        return guestsByID.mapValues(\.state)
    }

    package func destroy(_ server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            guard let guest = guestsByID[server] else { return }
            guard guest.isOurs else { throw .guestNotOurs(server) }
            guestsByID[server] = nil
            kept[server] = nil
            tell(GuestEvent(server: server, kind: .destroyed, state: .none))
        }
    }

    package func consoleOutput(of server: String, lines: Int?) throws(Fault) -> [UInt8] {
        try reachable()
        return lastLines(lines, of: try ours(server).console)
    }

    package func display(of server: String) throws(Fault) -> ConsoleEndpoint {
        try reachable()
        let guest = try ours(server)
        guard guest.state == .running || guest.state == .paused else {
            throw .guestState(server, guest.state, "show the screen of")
        }
        return .unix(path: "/run/fake/\(server).vnc")
    }

    package func plug(_ nic: GuestNIC, into server: String) async throws(Fault) {
        if nic.portID == refusedPort { throw .unavailable("The port cannot be plugged in.") }
        try await change { () throws(Fault) in
            let guest = try ours(server)
            if nic.kind == .whole, let device = nic.hostDevice {
                guard !guest.spec.hostDevices.contains(device) else { return }
                guestsByID[server]?.spec.hostDevices.append(device)
            } else {
                guard !guest.spec.nics.contains(where: { $0.portID == nic.portID }) else { return }
                guestsByID[server]?.spec.nics.append(nic)
            }
            tell(GuestEvent(server: server, kind: .portPlugged, state: guest.state))
        }
    }

    package func unplug(port: String, from server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            guard guestsByID[server] != nil else { return }
            let guest = try ours(server)
            let isThere =
                guest.spec.nics.contains { $0.portID == port } || guest.spec.hostDevices.contains { $0.portID == port }
            guard isThere else { return }
            guestsByID[server]?.spec.nics.removeAll { $0.portID == port }
            guestsByID[server]?.spec.hostDevices.removeAll { $0.portID == port }
            tell(GuestEvent(server: server, kind: .portUnplugged, state: guest.state))
        }
    }

    package func events() -> AsyncStream<GuestEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: GuestEvent.self, bufferingPolicy: .bufferingNewest(GuestEvent.backlog))
        watchersEver += 1
        watchers[watchersEver] = continuation
        return stream
    }
}

// MARK: - What happens without being asked for

extension FakeHypervisor {
    /// Every call fails with 503 until the host is reachable again.
    package func setUnreachable(_ isUnreachable: Bool) { self.isUnreachable = isUnreachable }

    package func setTrouble(_ trouble: Trouble) { self.trouble = trouble }

    /// The host lost power and came back: what ran is down.
    package func loseHost() {
        for (server, guest) in guestsByID where guest.state == .running || guest.state == .paused {
            enter(.shutdown, server, as: .stopped)
        }
    }

    package func crash(_ server: String) {
        if guestsByID[server] != nil { enter(.crashed, server, as: .crashed) }
    }

    /// The guest's user typed `poweroff`.
    package func shutDownFromInside(_ server: String) {
        if guestsByID[server] != nil { enter(.shutdown, server, as: .stopped) }
    }

    /// A guest that somebody else made on this host.
    package func addForeign(_ spec: GuestSpec, state: GuestState = .running) {
        guestsByID[spec.server] = Guest(spec: spec, state: state, isOurs: false)
    }

    package func write(_ text: String, toConsoleOf server: String) {
        guestsByID[server]?.console += Array(text.utf8)
    }

    /// What the guest was made from, with the ports it has now.
    package func spec(of server: String) -> GuestSpec? { guestsByID[server]?.spec }
}

extension FakeHypervisor: GuestVolumes, GuestVolumeSwap, GuestVolumeGrowth {
    package func connector() throws(Fault) -> VolumeConnector {
        try reachable()
        return VolumeConnector(host: host.hostName, ip: host.hostIP, initiator: "iqn.2026-11.fake:\(host.hostName)")
    }

    package func attach(_ volume: GuestVolume, to server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            let guest = try ours(server)
            guard !guest.spec.volumes.contains(where: { $0.volumeID == volume.volumeID }) else { return }
            guestsByID[server]?.spec.volumes.append(volume)
        }
    }

    package func detach(volume: String, from server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            guard guestsByID[server] != nil else { return }
            _ = try ours(server)
            guestsByID[server]?.spec.volumes.removeAll { $0.volumeID == volume }
        }
    }

    package func swap(volume old: String, for new: GuestVolume, of server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            let volumes = try ours(server).spec.volumes
            guard !volumes.contains(where: { $0.volumeID == new.volumeID }) else { return }
            guard let at = volumes.firstIndex(where: { $0.volumeID == old }) else {
                throw .notFound("Instance \(server) has no volume \(old).")
            }
            guestsByID[server]?.spec.volumes[at] = new
        }
    }

    package func grow(volume: String, of server: String, toBytes size: Int64) async throws(Fault) {
        try await change { () throws(Fault) in
            guard try ours(server).spec.volumes.contains(where: { $0.volumeID == volume }) else {
                throw .notFound("Instance \(server) has no volume \(volume).")
            }
        }
    }
}

extension FakeHypervisor: GuestAgent {
    package func changePassword(of server: String, user: String, to password: String) async throws(Fault) {
        try await change { () throws(Fault) in
            let guest = try ours(server)
            guard guest.state == .running else { throw .guestState(server, guest.state, "change the password of") }
            guard guest.spec.properties["hw_qemu_guest_agent"] != "no" else {
                throw .conflict("QEMU guest agent is not connected", code: "InstanceAgentNotEnabled")
            }
            guestsByID[server]?.password = password
        }
    }
}

extension FakeHypervisor: GuestResizing {
    package func resize(_ spec: GuestSpec) async throws(Fault) {
        try await change { () throws(Fault) in
            let guest = try ours(spec.server)
            guard guest.state == .shutdown || guest.state == .crashed else {
                throw .guestState(spec.server, guest.state, "resize")
            }
            guard spec.rootDiskGiB >= guest.spec.rootDiskGiB else { throw .diskShrinks(spec.server) }
            guestsByID[spec.server]?.spec = spec
            guestsByID[spec.server]?.spec.nics = guest.spec.nics.map { nic in
                spec.nics.first { $0.portID == nic.portID } ?? nic
            }
        }
    }
}

extension FakeHypervisor: ImageKeeping {
    package func keep(_ image: ImageSource) async throws(Fault) {
        try await change { () throws(Fault) in images.insert(image.id) }
    }

    /// Its guests have no disks that would be made from anything.
    package func hasImage(_ id: String) -> Bool { true }

    package func pruneImages(unusedFor: Duration) async throws(Fault) -> Int {
        defer { images.removeAll() }
        return images.count
    }
}

// MARK: - Inside

extension FakeHypervisor {
    func reachable() throws(Fault) {
        if isUnreachable { throw .unavailable("Hypervisor \(host.hostName) cannot be reached.") }
    }

    func ours(_ server: String) throws(Fault) -> Guest {
        guard let guest = guestsByID[server] else { throw .guestNotFound(server) }
        guard guest.isOurs else { throw .guestNotOurs(server) }
        return guest
    }

    /// Runs a changing call with the trouble that is drawn for it. Nothing suspends between looking and doing.
    func change(_ body: () throws(Fault) -> Void) async throws(Fault) {
        let draw = trouble.draw()
        if draw.delay > .zero {
            do { try await clock.sleep(draw.delay) } catch { throw .unavailable("The call was cancelled.") }
        }
        try reachable()
        if draw.fails && !draw.afterwards { throw .unavailable("Hypervisor \(host.hostName) failed (fake).") }
        try body()
        if draw.fails { throw .unavailable("Hypervisor \(host.hostName) did not answer (fake).") }
    }

    func start(_ server: String, as kind: GuestEvent.Kind) {
        if kind != .resumed, let title = guestsByID[server]?.spec.title {
            write("fake: \(title) starts\nfake: disk\nfake: network\nfake: ready\n", toConsoleOf: server)
        }
        enter(.running, server, as: kind)
    }

    func enter(_ state: GuestState, _ server: String, as kind: GuestEvent.Kind) {
        guestsByID[server]?.state = state
        tell(GuestEvent(server: server, kind: kind, state: state))
    }

    func tell(_ event: GuestEvent) {
        for (id, watcher) in watchers {
            if case .terminated = watcher.yield(event) { watchers[id] = nil }
        }
    }
}

extension FakeHypervisor.Trouble {
    fileprivate mutating func draw() -> (delay: Duration, fails: Bool, afterwards: Bool) {
        let delay = delay.lowerBound + (delay.upperBound - delay.lowerBound) * share()
        return (delay, share() < failures, share() < 0.5)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): a share in 0..<1.
    private mutating func share() -> Double {
        seed &+= 0x9E37_79B9_7F4A_7C15
        var mixed = seed
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((mixed ^ (mixed >> 31)) >> 11) / Double(UInt64(1) << 53)
    }
}

extension HostResources {
    /// A host for fakes, roomy enough for any test.
    package static func fake(
        _ name: String = "fake", vcpus: Int = 64, memoryMiB: Int = 262_144, diskGiB: Int = 4096
    ) -> HostResources {
        var host = HostResources(
            hostName: name, hypervisorType: "fake", hypervisorVersion: 1_000_000, hostIP: "127.0.0.1",
            cpu: CPU(vendor: "Apus", model: "fake", cores: vcpus), vcpus: vcpus, memoryMiB: memoryMiB, diskGiB: diskGiB)
        host.traits =
            ["COMPUTE_EPHEMERAL_ENCRYPTION", "COMPUTE_EPHEMERAL_ENCRYPTION_LUKS"]
            + ["2_0", "CRB", "TIS", "SECRET_SECURITY_DEPLOYMENT", "SECRET_SECURITY_HOST", "SECRET_SECURITY_USER"].map {
                "COMPUTE_SECURITY_TPM_" + $0
            }
        return host
    }
}

/// A network plug that only remembers; for guests whose network nobody looks at.
package actor FakeNetworkPlug: NetworkPlug {
    package private(set) var plugged: [String: GuestNIC] = [:]

    package init() {}
    package func plug(_ nic: GuestNIC) throws(Fault) { plugged[nic.portID] = nic }
    package func unplug(_ nic: GuestNIC) throws(Fault) { plugged[nic.portID] = nil }
}
