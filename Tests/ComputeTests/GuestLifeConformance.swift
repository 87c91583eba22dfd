// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

/// What a hypervisor that can rebuild, rescue and copy guests must do.
enum GuestLifeConformance: String, CaseIterable, Sendable {
    case aRebuildMakesTheGuestAnew
    case aRescueBootsAnotherDisk
    case aStableRescueKeepsTheDisks
    case aCopyIsWholeOrNotThere
    case aCrashDumpNeedsARunningGuest

    typealias Able = any Hypervisor & GuestRebuilding & GuestRescue & GuestSnapshots & GuestCrashDump

    func run(on hypervisor: Able, _ spec: GuestSpec, image: ImageSource?) async throws {
        do {
            try await hypervisor.boot(spec, image: image)
            switch self {
            case .aRebuildMakesTheGuestAnew: try await Self.rebuild(hypervisor, spec, image)
            case .aRescueBootsAnotherDisk: try await Self.rescue(hypervisor, spec, image, GuestRescueDisk())
            case .aStableRescueKeepsTheDisks:
                let disk = GuestRescueDisk(bus: "virtio", device: "disk", isStable: true)
                try await Self.rescue(hypervisor, spec, image, disk)
            case .aCopyIsWholeOrNotThere: try await Self.copy(hypervisor, spec)
            case .aCrashDumpNeedsARunningGuest: try await Self.crashDump(hypervisor, spec)
            }
        } catch {
            try? await hypervisor.destroy(spec.server)
            throw error
        }
        try await hypervisor.destroy(spec.server)
    }

    private static func rebuild(_ hypervisor: Able, _ spec: GuestSpec, _ image: ImageSource?) async throws {
        for _ in 1...2 {
            try await hypervisor.rebuild(spec, image: image, keepsEphemeral: true)
            #expect(try await hypervisor.state(of: spec.server) == .running)
        }
        try await hypervisor.power(spec.server, .suspend)
        try await hypervisor.rebuild(spec, image: image, keepsEphemeral: false)
        #expect(try await hypervisor.state(of: spec.server) == .running)
        try await hypervisor.destroy(spec.server)
        try await hypervisor.rebuild(spec, image: image, keepsEphemeral: false)
        #expect(try await hypervisor.state(of: spec.server) == .running, "one that was gone is made")
    }

    private static func rescue(
        _ hypervisor: Able, _ spec: GuestSpec, _ image: ImageSource?, _ disk: GuestRescueDisk
    ) async throws {
        try await hypervisor.unrescue(spec)
        #expect(try await hypervisor.state(of: spec.server) == .running, "one that is not rescued is left alone")
        for _ in 1...2 {
            try await hypervisor.rescue(spec, image: image, with: disk)
            #expect(try await hypervisor.state(of: spec.server) == .running)
        }
        for _ in 1...2 {
            try await hypervisor.unrescue(spec)
            #expect(try await hypervisor.state(of: spec.server) == .shutdown)
        }
        try await hypervisor.power(spec.server, .start)
        #expect(try await hypervisor.state(of: spec.server) == .running)
    }

    private static func copy(_ hypervisor: Able, _ spec: GuestSpec) async throws {
        let name = RandomIdentifiers().uuid()
        await #expect(throws: Fault.self) { _ = try await hypervisor.readSnapshot(name) }
        for _ in 1...2 { try await hypervisor.takeSnapshot(name, of: spec.server, freeze: .wished) }
        let copy = try await hypervisor.readSnapshot(name)
        let head = try await copy.read(0, 4)
        #expect(head == [0x51, 0x46, 0x49, 0xFB])
        #expect(try await copy.read(copy.size, 10).isEmpty)
        for _ in 1...2 { try await hypervisor.dropSnapshot(name) }
        await #expect(throws: Fault.self) { _ = try await hypervisor.readSnapshot(name) }
        try await hypervisor.power(spec.server, .stop)
        try await hypervisor.takeSnapshot(name, of: spec.server, freeze: .none)
        #expect(try await hypervisor.readSnapshot(name).size > 0)
        try await hypervisor.dropSnapshot(name)
    }

    private static func crashDump(_ hypervisor: Able, _ spec: GuestSpec) async throws {
        try await hypervisor.triggerCrashDump(spec.server)
        try await hypervisor.power(spec.server, .stop)
        await #expect(throws: Fault.self) { try await hypervisor.triggerCrashDump(spec.server) }
    }
}
