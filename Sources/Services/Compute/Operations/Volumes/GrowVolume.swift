// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Tells a guest that a volume of it has grown.
struct GrowVolume: Operation {
    static let kind = "compute.grow-volume"

    let server: String
    let volume: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] { [Step("extend_volume", do: grow)] }

    private func grow(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        guard server.host != nil, let hypervisor = try site.hypervisor(of: server) as? any GuestVolumeGrowth,
            let found = try await site.room.storage.volume(volume, requestID: site.requestID)
        else { return }
        try await hypervisor.grow(volume: volume, of: server.id, toBytes: Int64(found.size) << 30)
        _ = try await site.database.update(
            BlockDevice.self, set: "size = \(found.size)", where: "server_id = \(server.id) AND volume_id = \(volume)")
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.finish(server, nil) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.finish(server, fault.message)
    }
}
