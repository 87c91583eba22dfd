// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Stops a server and keeps its disk as an image, so that it may leave its host.
struct ShelveServer: Operation {
    static let kind = "compute.shelve"

    let server: String
    /// What its disk becomes; nil of a server whose disk is a volume.
    let image: String?
    /// Whether it ran: one that could not be shelved runs on.
    let wasRunning: Bool
    /// Whether it leaves its host at once.
    let leavesHost: Bool

    var subject: String { server }
    var deadline: Duration { .seconds(10_800) }

    var steps: [Step<ComputeSite>] {
        let off = Step.stopping(server, undo: start)
        guard let image else { return [off] }
        let copy = DiskCopy(
            server: server, image: image, copying: .shelvingImagePendingUpload, uploading: .shelvingImageUploading)
        return [
            // The image was reserved when this was asked for: whatever fails, nobody shall find half of it.
            Step("reserve", do: { _ async throws(Fault) in }, undo: copy.discard),
            off,
            Step("snapshot", budget: .seconds(3600), pace: .long, do: copy.take, undo: copy.drop),
            Step("upload", attempts: 8, budget: .seconds(3600), pace: .long, do: copy.upload),
            Step("clean", attempts: 8, do: copy.drop),
        ]
    }

    private func start(_ site: ComputeSite) async throws(Fault) {
        guard wasRunning else { return }
        let row = try await site.server(server)
        guard row.host != nil, row.taskState != .deleting, row.taskState != .softDeleting else { return }
        let host = try site.hypervisor(of: row)
        guard let state = try await host.state(of: server), state == .shutdown || state == .crashed else { return }
        try await host.power(server, .start)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        // One of before, of a server that an administrator declared to be active, would be nobody's.
        if let old = try await site.server(server).shelvedImage, old != image {
            try await site.room.deleteImage(old, requestID: site.requestID)
        }
        let (id, queue, requestID, now) = (server, site.room.queue, site.requestID, site.clock.now())
        let leaves = leavesHost
        try await site.settle(
            server, set: "vm_state = 'shelved', power_state = 4, shelved_image = \(image), shelved_at = \(now)"
        ) { transaction throws(Fault) in
            guard leaves else { return }
            let count = try transaction.update(
                Server.self, set: "task_state = 'shelving_offloading'",
                where: "id = \(id) AND vm_state = 'shelved' AND task_state IS NULL AND deleted_at IS NULL")
            if count == 1 { try queue.enqueue(OffloadServer(server: id), requestID: requestID, in: transaction) }
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.settle(server, message: fault.message)
        await GuestWatch(site.room).look(at: server)
    }
}

/// Takes a shelved server off its host: the guest, what it held there, and where its ports are.
struct OffloadServer: Operation {
    static let kind = "compute.offload"

    let server: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] {
        [
            Step("destroy", attempts: 10, do: destroy),
            Step("volumes", attempts: 10, do: disconnect),
            Step("ports", attempts: 10, do: unbind),
            Step("release", attempts: 10, do: release),
        ]
    }

    private func destroy(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        guard row.host != nil else { return }
        try await site.hypervisor(of: row).destroy(server)
    }

    /// The volumes stay the server's.
    private func disconnect(_ site: ComputeSite) async throws(Fault) {
        try await VolumeJourney(site).disconnect(server)
    }

    private func unbind(_ site: ComputeSite) async throws(Fault) {
        try await ServerWiring(site.room, requestID: site.requestID).unbind(server)
    }

    private func release(_ site: ComputeSite) async throws(Fault) {
        try await site.room.placement.release(server, requestID: site.requestID)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        try await site.settle(
            server, set: "vm_state = 'shelved_offloaded', power_state = 4, host = NULL, node = NULL")
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        // It is shelved still, and will be taken off later.
        try await site.settle(server, message: fault.message)
    }
}
