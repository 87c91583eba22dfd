// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Boots a scheduled server on its host: ports, then the guest. What was done is undone when a step fails.
struct BootServer: Operation {
    static let kind = "compute.boot"

    let server: String
    /// The host it was scheduled to: one that failed may have been left for another since.
    var host: String?

    var subject: String { server }
    var deadline: Duration { .seconds(900) }

    var steps: [Step<ComputeSite>] {
        [
            Step("networking", do: bindPorts, undo: releasePorts),
            // What becomes of the volumes is known when it is known whether the server goes on to another host.
            .waiting(
                "block_device_mapping", for: ServerVolumes.topic(server), attempts: 1, look: connectVolumes),
            Step("spawning", attempts: 2, budget: .seconds(600), pace: .making(server), do: spawn, undo: destroy),
            .plugging(server, awaitPorts),
            Step("active", do: activate),
        ]
    }

    // MARK: - Ports

    private func bindPorts(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        let wiring = ServerWiring(site.room, requestID: site.requestID)
        let ports = try await wiring.connect(server)
        let text = try ServerWiring.text(ports)
        _ = try await site.database.update(
            Server.self,
            set: "ports = \(text), task_state = 'spawning', updated_at = \(site.clock.now())",
            where: "id = \(server.id) AND task_state = 'networking'")
    }

    private func releasePorts(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        try await ServerWiring(site.room, requestID: site.requestID).disconnect(server)
        _ = try await site.database.update(Server.self, set: "ports = '[]'", where: "id = \(server.id)")
    }

    // MARK: - Volumes

    private func connectVolumes(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        try await ServerVolumes(site).connect(try await site.server(server), patience)
    }

    // MARK: - The guest

    private func spawn(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        let guest = try await site.room.guest(for: server)
        let host = try site.hypervisor(of: server)
        try await site.bringKernel(of: server, to: host)
        try await host.boot(guest, image: try await site.imageSource(server))
    }

    private func destroy(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        guard server.host != nil else { return }
        try await site.hypervisor(of: server).destroy(server.id)
    }

    /// It counts as active only when it can be reached; no other host would do better.
    private func awaitPorts(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        let row = try await site.server(server)
        do throws(Fault) { return try await PlugWait(site, patience).look(at: server, on: row.host) } catch {
            throw error == .plugsFailed ? .buildAborted(server) : error
        }
    }

    private func activate(_ site: ComputeSite) async throws(Fault) {
        try await ServerVolumes(site).complete(try await site.server(server))
        let (now, id, request) = (site.clock.now(), server, site.requestID)
        try await site.database.transaction { transaction throws(Fault) in
            _ = try transaction.update(
                Server.self,
                set: """
                    vm_state = 'active', task_state = CASE WHEN task_state = 'deleting' THEN 'deleting' ELSE NULL END,
                    power_state = 1, progress = 100, launched_at = \(now), updated_at = \(now), fault = NULL,
                    generation = generation + 1
                    """,
                where: "id = \(id) AND vm_state = 'building' AND deleted_at IS NULL")
            _ = try transaction.update(
                ComputeHost.self, set: "failed_builds = 0",
                where: "failed_builds > 0 AND name = (SELECT host FROM compute_servers WHERE id = \(id))")
            try InstanceAction.finish(id, request, nil, now, transaction)
        }
    }

    // MARK: - When it failed

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        let row = try await site.database.first(Server.self, "id = \(server)")
        if let host, let row, row.deletedAt == nil, row.host != host {
            // A run before this one, ended by a crash, has sent the server on; what it holds now is no longer ours.
            return
        }
        try await site.room.placement.release(server, requestID: site.requestID)
        guard let row, let host = row.host, row.taskState != .deleting, step == "spawning", BootServer.isHosts(fault)
        else {
            if row != nil { try await ServerVolumes(site).giveBack(server) }
            return try await site.fail(server, fault, step: step, clearHost: true)
        }
        if try await retry(row, on: host, site) { return }
        var fault = fault
        if let tried = row.scheduling.tried, !tried.isEmpty {
            fault = Fault(
                fault.status,
                "Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for "
                    + "instance \(server). The last said: \(fault.message)")
        }
        try await ServerVolumes(site).giveBack(server)
        try await site.fail(server, fault, step: step, clearHost: true)
    }

    /// Whether it may be the host's fault: the request itself would fail on another one as well.
    private static func isHosts(_ fault: Fault) -> Bool { ![400, 403, 404, 413].contains(fault.status) }

    /// Sends the server to be scheduled again, away from where it failed, while the scheduler knew of other hosts.
    private func retry(_ row: Server, on host: String, _ site: ComputeSite) async throws(Fault) -> Bool {
        var scheduling = row.scheduling
        var tried = scheduling.tried ?? []
        if !tried.contains(host) { tried.append(host) }
        scheduling.tried = tried
        let decision = try await site.database.first(DecisionRecord.self, "server_id = \(server)")
        let isHopeful = decision?.alternates.contains { !tried.contains($0) } ?? false
        var mayTry = isHopeful && tried.count < site.room.options.scheduler.maxAttempts
        if mayTry { mayTry = try await leaveHost(site) }
        let goesOn = mayTry
        let text: String
        do { text = try JSON.encode(scheduling).text() } catch {
            throw .internalError("what was asked of the scheduler could not be stored: \(error)")
        }
        let (id, queue, requestID, now) = (server, site.room.queue, site.requestID, site.clock.now())
        return try await site.database.transaction { transaction throws(Fault) in
            _ = try transaction.update(
                ComputeHost.self, set: "failed_builds = failed_builds + 1", where: "name = \(host)")
            guard goesOn else { return false }
            let count = try transaction.update(
                Server.self,
                set: """
                    host = NULL, node = NULL, numa = NULL, host_devices = '[]', task_state = 'scheduling',
                    scheduling = \(text),
                    generation = generation + 1, updated_at = \(now)
                    """,
                where: """
                    id = \(id) AND host = \(host) AND vm_state = 'building' AND deleted_at IS NULL
                    AND task_state IN ('networking', 'spawning')
                    """)
            guard count == 1 else { return false }
            try queue.enqueue(
                ScheduleServers(servers: [id], reservation: row.reservationID), requestID: requestID, in: transaction)
            return true
        }
    }

    /// The volumes stay the server's while it goes on: nobody else gets them before the next host has them.
    /// - Returns: false when Block storage will not have it so; then the server goes nowhere.
    private func leaveHost(_ site: ComputeSite) async throws(Fault) -> Bool {
        do throws(Fault) {
            try await VolumeJourney(site).leave(server)
            return true
        } catch {
            guard error.status < 500 else { throw error }
            site.room.log.warning(
                "a server goes to no other host: its volumes cannot be held for it meanwhile",
                ["server": server, "error": error.message])
            return false
        }
    }
}

extension ComputeSite {
    /// The server's image, fetched through Image's API when the host does not have it yet.
    func imageSource(_ server: Server) async throws(Fault) -> ImageSource? {
        guard let id = server.imageID, !server.isVolumeBacked else { return nil }
        return try await imageSource(
            of: id, for: server.projectID, isVerified: true, trusted: server.trustedCertificates)
    }

    /// - Parameters:
    ///   - project: whose server reads it; nil when it is only fetched.
    ///   - isVerified: whether it must be signed where the operator wants it, which images of our own making are not.
    ///   - trusted: the certificates that its signature must lead to.
    func imageSource(
        of id: String, for project: String?, isVerified: Bool = false, trusted: [String]? = nil
    ) async throws(Fault) -> ImageSource {
        guard let image = try await room.images.find(id, requestID: requestID) else {
            throw .notFound("Image \(id) could not be found.")
        }
        guard let format = ImageSource.Format(rawValue: image.diskFormat) else {
            throw .badRequest("Image \(id) has the format \(image.diskFormat), which no guest can boot from.")
        }
        let (images, requestID) = (room.images, requestID)
        let proof = isVerified ? try await ImageProof(image, trusted: trusted, room) : nil
        // What hosts fetched without a look at the signature is another file than what they fetch with one.
        let checksum = image.checksum + (proof == nil ? "" : "-signed")
        var source = ImageSource(id: id, checksum: checksum, format: format, size: image.size) {
            path async throws(Fault) in
            let file = try NewFile(path)
            if let proof {
                try await proof.read(id, images, requestID: requestID) { bytes async throws(Fault) in
                    try file.append(bytes)
                }
                return try file.finish()
            }
            try await images.download(id, requestID: requestID) { bytes async throws(Fault) in try file.append(bytes) }
            try file.finish()
        }
        source.key =
            if let project {
                try await room.secret(of: image, for: project)
            } else { image.guestProperties[DiskEncryption.secretProperty] }
        if let proof {
            source.prove = { () async throws(Fault) in try await proof.read(id, images, requestID: requestID) }
        }
        return source
    }
}
