// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Rebuilds a server whose root disk is a volume: Block storage writes the image over the volume, which stays reserved
/// for the server meanwhile, and the guest is made anew on it.
struct ReimageServer: Operation {
    static let kind = "compute.reimage"

    let server: String
    let image: String
    let wasStopped: Bool

    var subject: String { server }
    var deadline: Duration { .seconds(10_800) }

    var steps: [Step<ComputeSite>] {
        var steps: [Step<ComputeSite>] = [
            .stopping(server),
            Step("detach", attempts: 5, do: detach, undo: attach),
            .waiting("reimage", for: ServerVolumes.topic(server), attempts: 1, look: reimage),
            Step("rebuild", attempts: 3, budget: .seconds(900), do: rebuild),
            .plugging(server, awaitPorts),
        ]
        if wasStopped { steps.append(Step("stop again", do: stopAgain)) }
        return steps
    }

    private func root(_ site: ComputeSite) async throws(Fault) -> BlockDevice {
        guard let root = try await BlockDevice.of(server, site.database).first(where: \.isRoot), root.volumeID != nil
        else { throw .internalError("Unable to find root block device mapping for volume-backed instance.") }
        return root
    }

    /// Nothing writes to the volume but Block storage.
    private func detach(_ site: ComputeSite) async throws(Fault) {
        try await VolumeJourney(site).disconnect(server, only: try await root(site).id)
    }

    private func attach(_ site: ComputeSite) async throws(Fault) {
        let (row, root) = (try await site.server(server), try await root(site))
        // A volume that did not get its image may be in error: then it stays reserved for the server.
        try await site.unlessRefused(server) { () async throws(Fault) in
            try await ServerVolumes(site).connect(root, row)
            try await VolumeJourney(site).complete(server, at: nil)
        }
        try await VolumeJourney(site).forget(server)
    }

    private func reimage(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        let (storage, root) = (site.room.storage, try await root(site))
        let volume = root.volumeID ?? ""
        do throws(Fault) {
            // A run before a crash may have asked for it; asking once more does it once more.
            if patience.isFirst, try await storage.volume(volume, requestID: site.requestID)?.status != "downloading" {
                try await storage.reimage(volume, with: image, requestID: site.requestID)
            }
            // As long as upstream gives it: `reimage_timeout_per_gb`.
            let limit = Duration.seconds(max(300, 20 * (root.size ?? 0)))
            let isMade = try await ServerVolumes(site).isMade(volume, patience, within: limit)
            return isMade ? .over : patience.next(within: limit, .milliseconds(500)...(.seconds(5)))
        } catch {
            site.room.log.warning(
                "a volume did not get its image", ["volume": volume, "image": image, "error": error.message])
            throw Fault(
                error.status,
                "Build of instance \(server) aborted: Failed to rebuild volume backed instance. \(error.message)")
        }
    }

    private func rebuild(_ site: ComputeSite) async throws(Fault) {
        try await site.mark(server, .rebuildSpawning)
        let row = try await site.server(server)
        try await ServerVolumes(site).connect(try await root(site), row)
        try await site.ability((any GuestRebuilding).self, of: row, to: "rebuild")
            .rebuild(try await site.room.guest(for: row), image: nil, keepsEphemeral: false)
        try await VolumeJourney(site).complete(server, at: nil)
    }

    private func awaitPorts(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        try await PlugWait(site, patience).look(at: server, on: try await site.server(server).host)
    }

    private func stopAgain(_ site: ComputeSite) async throws(Fault) {
        try await site.hypervisor(of: try await site.server(server)).power(server, .stop)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        try await site.settleRebuilt(server, isStopped: wasStopped)
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.fail(server, fault, step: step)
    }
}
