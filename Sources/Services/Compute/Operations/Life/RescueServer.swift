// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Boots a server from a rescue image, its own disk beside it.
struct RescueServer: Operation {
    static let kind = "compute.rescue"

    let server: String
    let image: String?

    var subject: String { server }
    var deadline: Duration { .seconds(1800) }

    var steps: [Step<ComputeSite>] {
        [
            .stopping(server),
            Step(
                "rescue", attempts: 2, budget: .seconds(900), pace: .making(server, from: image), do: rescue,
                undo: unrescue),
        ]
    }

    private func rescue(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        let host = try site.ability((any GuestRescue).self, of: row, to: "rescue")
        var guest = try await site.room.guest(for: row)
        var source: ImageSource?
        if let image {
            let found = try await site.room.images.find(image, requestID: site.requestID)
            guest.properties = found?.guestProperties ?? [:]
            source = try await site.imageSource(
                of: image, for: row.projectID, isVerified: true, trusted: row.trustedCertificates)
        }
        let disk = GuestRescueDisk(properties: guest.properties)
        // With the guest's own disks where they were, its own image says how they are attached.
        if disk.isStable { guest.properties = row.imageProperties }
        try await host.rescue(guest, image: source, with: disk)
    }

    private func unrescue(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        guard row.host != nil else { return }
        try await site.ability((any GuestRescue).self, of: row, to: "unrescue")
            .unrescue(try await site.room.guest(for: row))
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        try await site.settle(
            server, set: "vm_state = 'rescued', power_state = 1, fault = NULL, launched_at = \(site.clock.now())")
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.fail(
            server, Fault(fault.status, "Instance \(server) cannot be rescued: Driver Error: \(fault.message)"),
            step: step)
    }
}

/// Boots a rescued server from its own disk again.
struct UnrescueServer: Operation {
    static let kind = "compute.unrescue"

    let server: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] { [Step("unrescue", attempts: 3, budget: .seconds(300), do: unrescue)] }

    private func unrescue(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        let host = try site.ability((any GuestRescue).self, of: row, to: "unrescue")
        try await host.unrescue(try await site.room.guest(for: row))
        try await site.hypervisor(of: row).power(server, .start)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        try await site.settle(server, set: "vm_state = 'active', power_state = 1, fault = NULL")
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.fail(server, fault, step: step)
    }
}
