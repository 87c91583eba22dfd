// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

/// What every hypervisor must do, one case at a time, each on a guest of its own.
enum HypervisorConformance: String, CaseIterable, Sendable {
    case bootingTwiceMakesOneGuest
    case powerChangesMayBeRepeated
    case changesThatMakeNoSenseAreRefused
    case aStoppedGuestIsBootedAgain
    case aSoftStopEndsWithAGuestThatIsDown
    case aHardRebootStartsAnythingThatExists
    case destroyingTwiceLeavesNothing
    case anUnknownServerIsNotFound
    case portsComeAndGo
    case eventsTellWhatHappened
    case guestsOfOneImageBootTogether
    case aGuestThatIsDownIsResized

    func run(on hypervisor: any Hypervisor, _ spec: GuestSpec, image: ImageSource?) async throws {
        let check = Check(hypervisor: hypervisor, spec: spec, image: image)
        do {
            switch self {
            case .bootingTwiceMakesOneGuest: try await check.bootTwice()
            case .powerChangesMayBeRepeated: try await check.powerTwice()
            case .changesThatMakeNoSenseAreRefused: try await check.refusals()
            case .aStoppedGuestIsBootedAgain: try await check.bootStopped()
            case .aSoftStopEndsWithAGuestThatIsDown: try await check.softStop()
            case .aHardRebootStartsAnythingThatExists: try await check.hardReboot()
            case .destroyingTwiceLeavesNothing: try await check.destroyTwice()
            case .anUnknownServerIsNotFound: try await check.unknown()
            case .portsComeAndGo: try await check.ports()
            case .eventsTellWhatHappened: try await check.events()
            case .guestsOfOneImageBootTogether: try await check.together()
            case .aGuestThatIsDownIsResized: try await check.resize()
            }
        } catch {
            try? await hypervisor.destroy(spec.server)
            throw error
        }
        try await hypervisor.destroy(spec.server)
    }
}

private struct Check: Sendable {
    let hypervisor: any Hypervisor
    let spec: GuestSpec
    let image: ImageSource?

    var server: String { spec.server }

    func boot() async throws { try await hypervisor.boot(spec, image: image) }

    /// Asks for a change twice and expects the state both times.
    func change(_ change: PowerChange, to state: GuestState) async throws {
        for _ in 1...2 {
            try await hypervisor.power(server, change)
            #expect(try await hypervisor.state(of: server) == state, "after \(change)")
        }
    }

    func expectStatus(_ status: Int, _ what: String, _ body: () async throws -> Void) async {
        do {
            try await body()
            Issue.record("\(what) was not refused")
        } catch {
            #expect((error as? Fault)?.status == status, "\(what): \(error)")
        }
    }

    func bootTwice() async throws {
        #expect(try await hypervisor.state(of: server) == nil)
        let before = try await hypervisor.resources()
        try await boot()
        try await boot()
        #expect(try await hypervisor.state(of: server) == .running)
        #expect(try await hypervisor.guests()[server] == .running)
        let after = try await hypervisor.resources()
        #expect(after.guestsRunning >= 1 && after.vcpusUsed >= spec.vcpus && after.memoryUsedMiB >= spec.memoryMiB)
        #expect(after.hostName == before.hostName && after.vcpus == before.vcpus && after.diskGiB > 0)
        _ = try await hypervisor.display(of: server)
        _ = try await hypervisor.consoleOutput(of: server, lines: 10)
    }

    func powerTwice() async throws {
        try await boot()
        try await change(.pause, to: .paused)
        try await change(.unpause, to: .running)
        try await change(.suspend, to: .suspended)
        #expect(try await hypervisor.guests()[server] == .suspended)
        try await change(.resume, to: .running)
        try await change(.stop, to: .shutdown)
        try await change(.start, to: .running)
        try await change(.rebootHard, to: .running)
    }

    func refusals() async throws {
        try await boot()
        try await hypervisor.power(server, .stop)
        for change: PowerChange in [.pause, .unpause, .suspend, .resume, .rebootSoft] {
            await expectStatus(409, "\(change)") { try await hypervisor.power(server, change) }
        }
        await expectStatus(409, "display") { _ = try await hypervisor.display(of: server) }
        #expect(try await hypervisor.state(of: server) == .shutdown)
    }

    func bootStopped() async throws {
        try await boot()
        try await hypervisor.power(server, .stop)
        try await boot()
        #expect(try await hypervisor.state(of: server) == .running)
    }

    func softStop() async throws {
        try await boot()
        let polite = try #require(hypervisor as? any GuestShutdown)
        for _ in 1...2 { _ = try await polite.askToShutDown(server) }
        try await change(.stop, to: .shutdown)
        #expect(try await polite.askToShutDown(server), "it is down")
        #expect(try await hypervisor.state(of: server) == .shutdown)
    }

    func hardReboot() async throws {
        try await boot()
        try await hypervisor.power(server, .stop)
        try await change(.rebootHard, to: .running)
        try await hypervisor.power(server, .pause)
        try await change(.rebootHard, to: .running)
        try await hypervisor.power(server, .rebootSoft)
        #expect(try await hypervisor.state(of: server) == .running)
    }

    func destroyTwice() async throws {
        try await boot()
        try await hypervisor.destroy(server)
        try await hypervisor.destroy(server)
        #expect(try await hypervisor.state(of: server) == nil)
        #expect(try await hypervisor.guests()[server] == nil)
        try await boot()
        #expect(try await hypervisor.state(of: server) == .running)
    }

    func unknown() async throws {
        #expect(try await hypervisor.state(of: server) == nil)
        await expectStatus(404, "power") { try await hypervisor.power(server, .start) }
        await expectStatus(404, "console") { _ = try await hypervisor.consoleOutput(of: server, lines: 1) }
        await expectStatus(404, "display") { _ = try await hypervisor.display(of: server) }
        let nic = GuestNIC(portID: server, mac: "fa:16:3e:00:00:99", mtu: 1442)
        await expectStatus(404, "plug") { try await hypervisor.plug(nic, into: server) }
        try await hypervisor.unplug(port: nic.portID, from: server)
        try await hypervisor.destroy(server)
    }

    func ports() async throws {
        try await boot()
        let port = RandomIdentifiers().uuid()
        let nic = GuestNIC(portID: port, mac: "fa:16:3e:00:00:98", mtu: 1442, addresses: ["10.0.0.8"])
        try await hypervisor.power(server, .stop)
        for _ in 1...2 { try await hypervisor.plug(nic, into: server) }
        for _ in 1...2 { try await hypervisor.unplug(port: port, from: server) }
        try await hypervisor.power(server, .start)
        for _ in 1...2 { try await hypervisor.plug(nic, into: server) }
        #expect(try await hypervisor.state(of: server) == .running)
    }

    func events() async throws {
        var kinds = await hypervisor.events().makeAsyncIterator()
        try await boot()
        try await hypervisor.power(server, .pause)
        try await hypervisor.power(server, .unpause)
        try await hypervisor.power(server, .stop)
        try await hypervisor.destroy(server)
        var expected: [GuestEvent.Kind] = [.started, .paused, .unpaused, .stopped, .destroyed]
        // Steps in between are the driver's own affair; should one of these never come, the time limit tells.
        while let next = expected.first, let event = await kinds.next() {
            if event.server == server && event.kind == next { expected.removeFirst() }
        }
        #expect(expected.isEmpty)
    }

    func together() async throws {
        var other = spec
        other.server = RandomIdentifiers().uuid()
        other.instanceName += "b"
        other.nics = []
        let second = other
        async let one: Void = boot()
        async let two: Void = hypervisor.boot(second, image: image)
        _ = try await (one, two)
        #expect(try await hypervisor.state(of: server) == .running)
        #expect(try await hypervisor.state(of: second.server) == .running)
        try await hypervisor.destroy(second.server)
    }

    func resize() async throws {
        guard let resizing = hypervisor as? any GuestResizing else { return }
        try await boot()
        var bigger = spec
        bigger.vcpus += 1
        bigger.memoryMiB *= 2
        bigger.rootDiskGiB += 1
        let target = bigger
        await expectStatus(409, "resizing a running guest") { try await resizing.resize(target) }
        try await hypervisor.power(server, .stop)
        for _ in 1...2 { try await resizing.resize(target) }
        await expectStatus(400, "a smaller disk") { try await resizing.resize(spec) }
        let before = try await hypervisor.resources()
        try await hypervisor.power(server, .start)
        let after = try await hypervisor.resources()
        #expect(after.vcpusUsed - before.vcpusUsed == bigger.vcpus)
        #expect(after.memoryUsedMiB - before.memoryUsedMiB == bigger.memoryMiB)
    }
}
