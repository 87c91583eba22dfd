// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Brings a shelved server back: where it is, or from its image on a host that has room.
struct UnshelveServer: Operation {
    static let kind = "compute.unshelve"

    let server: String
    /// Whether it had left its host.
    let wasOffloaded: Bool
    /// The host it shall go to.
    var host: String?

    var subject: String { server }
    var deadline: Duration { .seconds(1800) }

    var steps: [Step<ComputeSite>] {
        guard wasOffloaded else {
            return [Step("start", do: start), Step("image", attempts: 8, do: forgetImage)]
        }
        return [
            Step("schedule", attempts: 4, budget: .seconds(300), do: place, undo: release),
            Step("networking", do: bind, undo: unbind),
            Step("spawning", attempts: 2, budget: .seconds(900), pace: .making(server), do: spawn, undo: destroy),
            .plugging(server, awaitPorts),
            Step("image", attempts: 8, do: forgetImage),
        ]
    }

    // MARK: - A host

    private func place(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        guard row.host == nil else { return }
        // What a run before a crash claimed may be somewhere else than what is chosen now.
        try await site.room.placement.release(server, requestID: site.requestID)
        var task = SchedulingTask([row])
        task.purpose = .boot
        task.excluded = [:]
        task.imageID = row.shelvedImage
        task.request.tried = nil
        task.request.host = host
        task.request.node = nil
        task.request.isForced = nil
        task.request.zone = row.scheduling.zone
        let decision = try await Scheduler(site.room, requestID: site.requestID).choose(task)
        try await site.database.transaction { transaction throws(Fault) in try decision.record(transaction) }
        guard decision.missing.isEmpty, let choice = decision.choices.first else { throw decision.fault }
        try await site.room.placement.claim(decision.claims, requestID: site.requestID)
        let (id, name, options) = (server, choice.host.name, site.room.options)
        try await site.database.transaction { transaction throws(Fault) in
            try ServerGroup.admit(id, on: name, transaction)
            try HardwareBooks.admit(id, on: choice.host, choice.way, options, transaction)
            _ = try transaction.update(
                Server.self, set: "host = \(name), node = \(name), generation = generation + 1",
                where: "id = \(id) AND host IS NULL AND deleted_at IS NULL")
        }
        try await PartsReporter(site).hold([id])
    }

    private func release(_ site: ComputeSite) async throws(Fault) {
        try await site.room.placement.release(server, requestID: site.requestID)
        _ = try await site.database.update(
            Server.self, set: "host = NULL, node = NULL, generation = generation + 1", where: "id = \(server)")
    }

    // MARK: - Ports

    private func bind(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        guard let host = row.host else { throw .conflict("Instance \(server) has no host.") }
        let ports = try await ServerWiring(site.room, requestID: site.requestID).rebind(row, to: host)
        _ = try await site.database.update(
            Server.self, set: "ports = \(try ServerWiring.text(ports))", where: "id = \(server)")
    }

    private func unbind(_ site: ComputeSite) async throws(Fault) {
        try await ServerWiring(site.room, requestID: site.requestID).unbind(server)
    }

    // MARK: - The guest

    private func spawn(_ site: ComputeSite) async throws(Fault) {
        try await site.mark(server, .spawning)
        let row = try await site.server(server)
        var image: ImageSource?
        if let id = row.shelvedImage { image = try await site.imageSource(of: id, for: row.projectID) }
        let host = try site.hypervisor(of: row)
        try await ServerVolumes(site).connect(row)
        try await site.bringKernel(of: row, to: host)
        try await host.boot(try await site.room.guest(for: row), image: image)
        try await VolumeJourney(site).complete(server, at: nil)
    }

    private func awaitPorts(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        try await PlugWait(site, patience).look(at: server, on: try await site.server(server).host)
    }

    private func destroy(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        guard row.host != nil else { return }
        try await site.hypervisor(of: row).destroy(server)
        try await site.unlessRefused(server) { () async throws(Fault) in
            try await VolumeJourney(site).leave(server)
        }
    }

    private func start(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        try await site.hypervisor(of: row).power(server, .start)
    }

    /// The disk is the server's own again; its image served its purpose.
    private func forgetImage(_ site: ComputeSite) async throws(Fault) {
        guard let image = try await site.server(server).shelvedImage else { return }
        try await site.room.deleteImage(image, requestID: site.requestID)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        let now = site.clock.now()
        let launched: SQL = wasOffloaded ? ", launched_at = \(now)" : ""
        try await site.settle(
            server,
            set: "vm_state = 'active', power_state = 1, fault = NULL, shelved_image = NULL, shelved_at = NULL"
                + launched)
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        // Without its image it never comes back; otherwise it is shelved as it was.
        if step == "spawning", fault.status == 404, let image = try await site.server(server).shelvedImage,
            try await site.room.images.find(image, requestID: site.requestID) == nil
        {
            return try await site.fail(server, fault, step: step)
        }
        try await site.settle(server, message: fault.message)
    }
}
