// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Takes a volume from a server. Until the guest has let go of it everything can go back to how it was.
struct DetachVolume: Operation {
    static let kind = "compute.detach-volume"

    let server: String
    /// The block device's id.
    let device: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] {
        [
            Step("begin", do: begin, undo: roll),
            Step("detach", attempts: 3, budget: .seconds(300), do: unplug),
            Step("release", attempts: 30, do: release),
        ]
    }

    /// Nil once it is gone.
    private func find(_ site: ComputeSite) async throws(Fault) -> BlockDevice? {
        try await site.database.first(BlockDevice.self, "id = \(device)")
    }

    private func begin(_ site: ComputeSite) async throws(Fault) {
        // Without a host there is nothing that would have to let go.
        guard let volume = try await find(site)?.volumeID, try await site.server(server).host != nil else { return }
        let found = try await site.room.storage.volume(volume, requestID: site.requestID)
        guard found?.status != "detaching" else { return }
        try await site.room.storage.act("os-begin_detaching", on: volume, requestID: site.requestID)
    }

    private func roll(_ site: ComputeSite) async throws(Fault) {
        guard var device = try await find(site), let volume = device.volumeID else { return }
        try await site.unlessRefused(server) { () async throws(Fault) in
            guard try await site.room.storage.volume(volume, requestID: site.requestID)?.status == "detaching" else {
                return
            }
            try await site.room.storage.act("os-roll_detaching", on: volume, requestID: site.requestID)
        }
        device.state = .attached
        try await ServerVolumes(site).save(device)
    }

    private func unplug(_ site: ComputeSite) async throws(Fault) {
        guard let volume = try await find(site)?.volumeID else { return }
        let server = try await site.server(server)
        guard server.host != nil, let hypervisor = try site.hypervisor(of: server) as? any GuestVolumes else { return }
        try await hypervisor.detach(volume: volume, from: server.id)
    }

    private func release(_ site: ComputeSite) async throws(Fault) {
        guard let device = try await find(site) else { return }
        if let attachment = device.attachmentID {
            try await site.room.storage.release(attachment, requestID: site.requestID)
        }
        if device.deletesWithServer, device.isOurs, let volume = device.volumeID {
            try await site.room.storage.deleteVolume(volume, requestID: site.requestID)
        }
        _ = try await site.database.delete(BlockDevice.self, "id = \(device.id)")
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.finish(server, nil) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.finish(server, fault.message)
    }
}
