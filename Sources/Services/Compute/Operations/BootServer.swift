// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Boots a scheduled server on its host: ports, then the guest. What was done is undone when a step fails.
struct BootServer: Operation {
    static let kind = "compute.boot"

    let server: String

    var subject: String { server }
    var deadline: Duration { .seconds(900) }

    var steps: [Step<ComputeSite>] {
        [
            Step("networking", do: bindPorts, undo: releasePorts),
            Step("spawning", attempts: 2, budget: .seconds(600), do: spawn, undo: destroy),
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

    // MARK: - The guest

    private func spawn(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        let guest = try await site.room.guest(for: server)
        try await site.hypervisor(of: server).boot(guest, image: try await site.imageSource(server))
    }

    private func destroy(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        guard server.host != nil else { return }
        try await site.hypervisor(of: server).destroy(server.id)
    }

    private func activate(_ site: ComputeSite) async throws(Fault) {
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
            try InstanceAction.finish(id, request, nil, now, transaction)
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.room.placement.release(server, requestID: site.requestID)
        try await site.fail(server, fault, step: step, clearHost: true)
    }
}

extension ComputeSite {
    /// The server's image, fetched through Image's API when the host does not have it yet.
    func imageSource(_ server: Server) async throws(Fault) -> ImageSource? {
        guard let id = server.imageID else { return nil }
        guard let image = try await room.images.find(id, requestID: requestID) else {
            throw .notFound("Image \(id) could not be found.")
        }
        guard let format = ImageSource.Format(rawValue: image.diskFormat) else {
            throw .badRequest("Image \(id) has the format \(image.diskFormat), which no guest can boot from.")
        }
        let (images, requestID) = (room.images, requestID)
        return ImageSource(id: id, checksum: image.checksum, format: format, size: image.size) {
            path async throws(Fault) in
            let file = try NewFile(path)
            try await images.download(id, requestID: requestID) { bytes async throws(Fault) in try file.append(bytes) }
            try file.finish()
        }
    }
}
