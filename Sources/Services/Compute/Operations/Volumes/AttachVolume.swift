// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Gives a server a volume: reserved, connected, plugged in. What was done is undone when a step fails. A server
/// without a host only holds the volume; it is connected when the server comes back to one.
struct AttachVolume: Operation {
    static let kind = "compute.attach-volume"

    let server: String
    /// The block device's id.
    let device: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] {
        [
            Step("reserve", do: connect, undo: letGo),
            Step("attach", budget: .seconds(300), do: plug, undo: unplug),
            Step("complete", attempts: 5, do: complete),
        ]
    }

    private func find(_ site: ComputeSite) async throws(Fault) -> (Server, BlockDevice) {
        let found = try await site.database.one(
            BlockDevice.self, "id = \(device)", or: .notFound("Block device \(device) could not be found."))
        return (try await site.server(server), found)
    }

    private func connect(_ site: ComputeSite) async throws(Fault) {
        let (server, device) = try await find(site)
        try await ServerVolumes(site).connect(device, server)
    }

    /// Nothing of the device is left.
    private func letGo(_ site: ComputeSite) async throws(Fault) {
        guard let device = try await site.database.first(BlockDevice.self, "id = \(device)") else { return }
        if let volume = device.volumeID { try await site.drop(volume, of: server) }
        _ = try await site.database.delete(BlockDevice.self, "id = \(device.id)")
    }

    private func plug(_ site: ComputeSite) async throws(Fault) {
        let (server, device) = try await find(site)
        guard server.host != nil else { return }
        guard let volume = try device.guestVolume(),
            let hypervisor = try site.hypervisor(of: server) as? any GuestVolumes
        else { throw .conflict("Volume \(device.volumeID ?? "") could not be attached: it is not connected.") }
        try await hypervisor.attach(volume, to: server.id)
    }

    private func unplug(_ site: ComputeSite) async throws(Fault) {
        let (server, device) = try await find(site)
        guard server.host != nil, let volume = device.volumeID,
            let hypervisor = try site.hypervisor(of: server) as? any GuestVolumes
        else { return }
        try await hypervisor.detach(volume: volume, from: server.id)
    }

    private func complete(_ site: ComputeSite) async throws(Fault) {
        var device = try await find(site).1
        // Of a server without a host, too: a volume that is given away is in use, as upstream has it.
        if let attachment = device.attachmentID {
            try await site.room.storage.complete(attachment, requestID: site.requestID)
        }
        device.state = .attached
        try await ServerVolumes(site).save(device)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.finish(server, nil) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        _ = try await site.database.delete(BlockDevice.self, "id = \(device)")
        try await site.finish(server, fault.message)
    }
}
