// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

/// What two hosts of one driver must do for each other, one case at a time, each on a guest of its own. Every call is
/// made twice: whoever was killed between a call and its record makes it again.
enum GuestMigrationConformance: String, CaseIterable, Sendable {
    case aGuestThatIsDownIsHandedOver
    case aGuestThatIsHandedOverGrows
    case aResizeInPlaceIsTakenBack
    case aRunningGuestChangesHosts
    case whatWasExpectedInVainIsRemoved

    typealias Host = any Hypervisor & GuestLiveMigration

    func run(from here: Host, to there: Host, _ spec: GuestSpec) async throws {
        try await here.boot(spec, image: nil)
        switch self {
        case .aGuestThatIsDownIsHandedOver: try await handOver(here, there, spec)
        case .aGuestThatIsHandedOverGrows: try await grow(here, there, spec)
        case .aResizeInPlaceIsTakenBack: try await takeBack(here, spec)
        case .aRunningGuestChangesHosts: try await travel(here, there, spec)
        case .whatWasExpectedInVainIsRemoved: try await stay(here, there, spec)
        }
        for host in [here, there] {
            try await host.destroy(spec.server)
            #expect(try await host.state(of: spec.server) == nil)
        }
    }

    private func twice(_ deed: () async throws -> Void) async throws {
        try await deed()
        try await deed()
    }

    private func handOver(_ here: Host, _ there: Host, _ spec: GuestSpec) async throws {
        try await here.power(spec.server, .stop)
        let disks = try await here.disks(of: spec.server)
        #expect(!disks.isEmpty)
        try await twice { try await there.receive(spec, disks: disks) }
        #expect(try await there.state(of: spec.server) == .shutdown)
        #expect(try await here.state(of: spec.server) == .shutdown)
        try await there.power(spec.server, .start)
        #expect(try await there.state(of: spec.server) == .running)
    }

    private func grow(_ here: Host, _ there: Host, _ spec: GuestSpec) async throws {
        try await here.power(spec.server, .stop)
        try await there.receive(spec, disks: try await here.disks(of: spec.server))
        var bigger = spec
        bigger.vcpus += 1
        bigger.rootDiskGiB += 1
        let target = bigger
        try await twice { try await there.resize(target) }
        #expect(try await there.disks(of: spec.server).first?.size == Int64(bigger.rootDiskGiB) << 30)
        #expect(try await here.disks(of: spec.server).first?.size == Int64(spec.rootDiskGiB) << 30)
    }

    private func takeBack(_ host: Host, _ spec: GuestSpec) async throws {
        try await host.power(spec.server, .stop)
        try await twice { try await host.keepDisks(of: spec.server) }
        var bigger = spec
        bigger.rootDiskGiB += 1
        try await host.resize(bigger)
        try await twice { try await host.restoreDisks(spec) }
        #expect(try await host.disks(of: spec.server).first?.size == Int64(spec.rootDiskGiB) << 30)
        try await host.keepDisks(of: spec.server)
        try await host.resize(bigger)
        try await twice { try await host.dropKeptDisks(of: spec.server) }
        try await host.restoreDisks(spec)
        #expect(try await host.disks(of: spec.server).first?.size == Int64(bigger.rootDiskGiB) << 30)
        try await host.power(spec.server, .start)
    }

    private func travel(_ here: Host, _ there: Host, _ spec: GuestSpec) async throws {
        let server = spec.server
        let disks = try await here.disks(of: server)
        #expect(try await !here.hasLeft(server))
        try await twice { _ = try await there.expect(spec, disks: disks) }
        let place = try await there.expect(spec, disks: disks)
        try await twice { try await here.depart(server, to: place) { _ in } }
        #expect(try await here.hasLeft(server))
        try await twice { try await there.arrive(spec, as: .running) }
        #expect(try await there.state(of: server) == .running)
        #expect(try await !there.hasLeft(server))
        try await there.power(server, .rebootHard)
        #expect(try await there.state(of: server) == .running)
        try await here.destroy(server)
        #expect(try await there.state(of: server) == .running)
    }

    private func stay(_ here: Host, _ there: Host, _ spec: GuestSpec) async throws {
        _ = try await there.expect(spec, disks: try await here.disks(of: spec.server))
        try await twice { try await there.destroy(spec.server) }
        #expect(try await there.state(of: spec.server) == nil)
        #expect(try await here.state(of: spec.server) == .running)
    }
}
