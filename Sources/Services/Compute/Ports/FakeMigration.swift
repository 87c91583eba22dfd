// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension FakeHypervisor {
    /// A guest under way to another host.
    struct Departure {
        var isHastened = false
    }

    /// How long guests take to another host from now on.
    package func setJourney(_ journey: Duration) { self.journey = journey }

    /// What the host has from now on.
    package func setFacts(_ facts: HostResources) { host = facts }

    /// Guests that are to leave stay where they are, from now on.
    package func refuseJourneys(_ isRefused: Bool) { refusesJourneys = isRefused }

    /// Guests that are to come are not let in, from now on.
    package func refuseArrivals(_ isRefused: Bool, saying words: Fault? = nil) {
        let usual = "Migration pre-check error: \(host.hostName) has not the guest's processor."
        arrivalRefusal = isRefused ? words ?? .badRequest(usual) : nil
    }

    /// A port cannot be plugged in from now on.
    package func refuse(_ port: String?) { refusedPort = port }

    /// What the guest's root disk holds, in short.
    package func disk(of server: String) -> String? { guestsByID[server]?.disk }
}

extension FakeHypervisor: GuestMigration {
    package func disks(of server: String) throws(Fault) -> [MovingDisk] {
        try reachable()
        let guest = try ours(server)
        let name = host.hostName
        return [
            MovingDisk(name: "root", mark: guest.disk, size: Int64(guest.spec.rootDiskGiB) << 30) {
                path async throws(Fault) in
                throw .internalError("Hypervisor \(name) is a fake: nothing can be written to \(path).")
            }
        ]
    }

    package func receive(_ spec: GuestSpec, disks: [MovingDisk]) async throws(Fault) {
        try await change { () throws(Fault) in try take(spec, disks, isExpected: false) }
    }

    private func take(_ spec: GuestSpec, _ disks: [MovingDisk], isExpected: Bool) throws(Fault) {
        if let guest = guestsByID[spec.server] {
            guard guest.isOurs else { throw .guestNotOurs(spec.server) }
            return
        }
        guestsByID[spec.server] = Guest(
            spec: spec, state: isExpected ? .paused : .shutdown, disk: disks.first { $0.name == "root" }?.mark ?? "",
            isExpected: isExpected)
    }

    package func keepDisks(of server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            let guest = try ours(server)
            guard guest.state == .shutdown || guest.state == .crashed else {
                throw .guestState(server, guest.state, "keep the disks of")
            }
            if kept[server] == nil { kept[server] = guest }
        }
    }

    package func restoreDisks(_ spec: GuestSpec) async throws(Fault) {
        try await change { () throws(Fault) in
            _ = try ours(spec.server)
            guard var old = kept.removeValue(forKey: spec.server) else { return }
            old.spec = spec
            guestsByID[spec.server] = old
            enter(.shutdown, spec.server, as: .stopped)
        }
    }

    package func dropKeptDisks(of server: String) async throws(Fault) {
        try await change { () throws(Fault) in kept[server] = nil }
    }
}

extension FakeHypervisor: GuestLiveMigration {
    package func expect(_ spec: GuestSpec, disks: [MovingDisk]) async throws(Fault) -> ArrivalPlace {
        if let arrivalRefusal { throw arrivalRefusal }
        try await change { () throws(Fault) in try take(spec, disks, isExpected: true) }
        return ArrivalPlace(address: "fake://" + host.hostName)
    }

    package func depart(
        _ server: String, to place: ArrivalPlace, told: @escaping @Sendable (JourneyProgress) async -> Void
    ) async throws(Fault) {
        try reachable()
        guard let guest = guestsByID[server] else { return }
        _ = try ours(server)
        guard guest.state == .running || guest.state == .paused else {
            throw .guestState(server, guest.state, "migrate")
        }
        guard !refusesJourneys else { throw .unavailable("The guest cannot leave.") }
        departures[server] = Departure(isHastened: hastened.contains(server))
        defer { departures[server] = nil }
        try await travel(server, guest.spec, told)
        hastened.remove(server)
        try await change { () throws(Fault) in
            guard guestsByID[server] != nil else { return }
            guestsByID[server] = nil
            tell(GuestEvent(server: server, kind: .destroyed, state: .none))
        }
    }

    /// Lets the journey's time pass in short parts, so that it can be told of, hastened and given up.
    private func travel(
        _ server: String, _ spec: GuestSpec, _ told: @Sendable (JourneyProgress) async -> Void
    ) async throws(Fault) {
        let (part, journey) = (min(journey / 100, .milliseconds(50)), journey)
        guard part > .zero else { return }
        var (passed, percent) = (Duration.zero, Int64(-1))
        while passed < journey, departures[server]?.isHastened == false {
            if Int64(passed / journey * 100) > percent {
                percent = Int64(passed / journey * 100)
                await told(progress(of: spec, percent))
            }
            do { try await clock.sleep(part) } catch { throw .unavailable("The migration was given up.") }
            passed += part
        }
    }

    private func progress(of spec: GuestSpec, _ percent: Int64) -> JourneyProgress {
        var progress = JourneyProgress()
        progress.memoryTotal = Int64(spec.memoryMiB) << 20
        progress.memoryProcessed = progress.memoryTotal / 100 * percent
        progress.memoryRemaining = progress.memoryTotal - progress.memoryProcessed
        progress.diskTotal = Int64(spec.rootDiskGiB) << 30
        progress.diskProcessed = progress.diskTotal / 100 * percent
        progress.diskRemaining = progress.diskTotal - progress.diskProcessed
        return progress
    }

    package func hasLeft(_ server: String) throws(Fault) -> Bool {
        try reachable()
        return guestsByID[server] == nil
    }

    package func hasten(_ server: String) throws(Fault) {
        try reachable()
        guard departures[server] != nil else { throw .conflict("Instance \(server) is not being migrated.") }
        departures[server]?.isHastened = true
        hastened.insert(server)
    }

    package func arrive(_ spec: GuestSpec, as state: GuestState) async throws(Fault) {
        try await change { () throws(Fault) in
            let guest = try ours(spec.server)
            guard guest.isExpected else { return }
            guestsByID[spec.server]?.isExpected = false
            guestsByID[spec.server]?.spec = spec
            enter(state, spec.server, as: state == .running ? .started : .paused)
        }
    }
}
