// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Makes a server's guest anew from an image, on the host and with the ports it has.
struct RebuildServer: Operation {
    static let kind = "compute.rebuild"

    let server: String
    /// The image it was made from before, when the new one is another: the host must suit that one too.
    var oldImage: String?
    let keepsEphemeral: Bool
    let wasStopped: Bool

    var subject: String { server }
    var deadline: Duration { .seconds(1800) }

    var steps: [Step<ComputeSite>] {
        var steps: [Step<ComputeSite>] = []
        if oldImage != nil { steps.append(Step("schedule", attempts: 1, do: suit)) }
        steps.append(Step("rebuild", attempts: 2, budget: .seconds(900), pace: .making(server), do: rebuild))
        steps.append(.plugging(server, awaitPorts))
        if wasStopped { steps.append(Step("stop", do: stop)) }
        return steps
    }

    private func suit(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        guard let host = server.host else { throw .conflict("Instance \(server.id) has no host.") }
        try await suitTraits(server, site)
        var task = SchedulingTask([server])
        task.purpose = .rebuild(on: host)
        task.excluded = [:]
        let decision = try await Scheduler(site.room, requestID: site.requestID).choose(task)
        // Clients know 500 as the code of servers that found no host.
        guard decision.missing.isEmpty else { throw Fault(500, decision.fault.message) }
    }

    /// Placement is not asked for room again, but what the image requires of a host, the server's own must have.
    private func suitTraits(_ server: Server, _ site: ComputeSite) async throws(Fault) {
        let traits = ResourceRequest.traits(requiredBy: server.imageProperties)
        guard !traits.isEmpty else { return }
        guard traits.isDisjoint(with: ResourceRequest(server.flavor, image: [:]).forbiddenTraits) else {
            throw Fault(
                500,
                "No valid host was found. Image traits are part of forbidden traits in flavor associated with the "
                    + "server. Either specify a different image during rebuild or create a new server with the "
                    + "specified image and a compatible flavor.")
        }
        let placement = site.room.placement
        var had: Set<String> = []
        for provider in try await placement.allocations(of: server.id, requestID: site.requestID) {
            had.formUnion(try await placement.traits(of: provider, requestID: site.requestID))
        }
        guard traits.isSubset(of: had) else {
            throw Fault(
                500,
                "No valid host was found. Image traits cannot be satisfied by the current resource providers. Either "
                    + "specify a different image during rebuild or create a new server with the specified image.")
        }
    }

    private func rebuild(_ site: ComputeSite) async throws(Fault) {
        try await site.mark(server, .rebuildSpawning)
        let row = try await site.server(server)
        let guest = try await site.room.guest(for: row)
        let image = try await site.imageSource(row)
        try await site.bringKernel(of: row, to: try site.hypervisor(of: row))
        try await site.ability((any GuestRebuilding).self, of: row, to: "rebuild")
            .rebuild(guest, image: image, keepsEphemeral: keepsEphemeral)
    }

    private func awaitPorts(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        try await PlugWait(site, patience).look(at: server, on: try await site.server(server).host)
    }

    private func stop(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        try await site.hypervisor(of: row).power(server, .stop)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        try await site.settleRebuilt(server, isStopped: wasStopped)
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        if step == "schedule", let oldImage {
            // Nothing was done yet: what the server is made of is what it was.
            _ = try await site.database.update(
                Server.self, set: "image_id = \(oldImage)", where: "id = \(server) AND deleted_at IS NULL")
        }
        try await site.fail(server, fault, step: step)
    }
}

extension ComputeSite {
    /// A server that was made anew is what it was before: active, or stopped.
    func settleRebuilt(_ server: String, isStopped: Bool) async throws(Fault) {
        let (state, power): (VMState, GuestState) = isStopped ? (.stopped, .shutdown) : (.active, .running)
        try await settle(
            server,
            set: """
                vm_state = \(state), power_state = \(power.rawValue), progress = 100, fault = NULL,
                launched_at = \(clock.now())
                """)
    }
}
