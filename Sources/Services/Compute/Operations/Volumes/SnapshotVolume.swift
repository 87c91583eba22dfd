// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Has a guest go on in another file of its volume, as Block storage asked; it is told how that went, and says itself
/// when the snapshot is done.
struct SnapshotVolume: Operation {
    static let kind = "compute.snapshot-volume"

    let server: String
    let volume: String
    let snapshot: String
    let file: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] {
        [
            Step("volume_snapshot_create", attempts: 1, do: take),
            Step("told", attempts: 10, do: tell),
            .waiting("ended", for: "snapshot \(snapshot)", look: isEnded),
            Step("refresh", attempts: 10, do: refresh),
        ]
    }

    private func take(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        guard let hypervisor = try site.hypervisor(of: server) as? any GuestVolumeSnapshots else {
            throw .conflict("The host of instance \(server.id) cannot snapshot volumes of guests.")
        }
        try await hypervisor.snapshot(
            volume: volume, of: server.id, to: file, freeze: GuestFreeze(properties: server.imageProperties))
    }

    private func tell(_ site: ComputeSite) async throws(Fault) {
        try await ServerVolumes(site).tell("creating", of: snapshot)
    }

    /// Block storage ends the snapshot once it has heard; from then on the volume is reached by its new file.
    private func isEnded(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        let limit = Duration.seconds(300)
        do throws(Fault) {
            let status = try await site.room.storage.snapshot(snapshot, requestID: site.requestID)?.status
            guard status == "creating", patience.waited < limit else { return .over }
            return patience.next(within: limit, .milliseconds(500)...(.seconds(5)))
        } catch {
            return try patience.outlast(error, within: limit)
        }
    }

    private func refresh(_ site: ComputeSite) async throws(Fault) {
        try await ServerVolumes(site).refresh(volume, of: server)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {}

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        guard step == "volume_snapshot_create" else {
            return try await ServerVolumes(site).recordFile(volume, of: server, fault)
        }
        try await ServerVolumes(site).tell("error", of: snapshot)
    }
}

/// Makes one of two files of a volume that a guest uses, as Block storage asked; it is told how that went.
struct MergeVolume: Operation {
    static let kind = "compute.merge-volume"

    let server: String
    let volume: String
    let snapshot: String
    /// Nil when what was asked for names no kind that is known, or not all that it takes: that is told as a failure.
    let merge: VolumeMerge?

    var subject: String { server }
    var deadline: Duration { .seconds(7200) }

    var steps: [Step<ComputeSite>] {
        [
            Step("volume_snapshot_delete", attempts: 1, budget: .seconds(7000), pace: .long, do: join),
            Step("told", attempts: 10, do: tell),
            Step("refresh", attempts: 10, do: refresh),
        ]
    }

    private func join(_ site: ComputeSite) async throws(Fault) {
        guard let merge else { throw .badRequest("What is to be deleted of volume \(volume) is not clear.") }
        let server = try await site.server(server)
        guard let hypervisor = try site.hypervisor(of: server) as? any GuestVolumeSnapshots else {
            throw .conflict("The host of instance \(server.id) cannot snapshot volumes of guests.")
        }
        try await hypervisor.merge(merge, ofVolume: volume, of: server.id)
    }

    private func tell(_ site: ComputeSite) async throws(Fault) {
        try await ServerVolumes(site).tell("deleting", of: snapshot)
    }

    private func refresh(_ site: ComputeSite) async throws(Fault) {
        try await ServerVolumes(site).refresh(volume, of: server)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {}

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        guard step == "volume_snapshot_delete" else {
            return try await ServerVolumes(site).recordFile(volume, of: server, fault)
        }
        try await ServerVolumes(site).tell("error_deleting", of: snapshot)
    }
}

extension ServerVolumes {
    /// Block storage waits to hear of it; a snapshot that it does not know is nobody's concern.
    fileprivate func tell(_ status: String, of snapshot: String) async throws(Fault) {
        do throws(Fault) {
            try await storage.setSnapshotStatus(status, of: snapshot, requestID: requestID)
        } catch {
            guard error.status < 500 else { throw error }
            site.room.log.warning(
                "Block storage would not hear of a snapshot",
                ["snapshot": snapshot, "status": status, "error": error.message])
        }
    }

    /// The guest is in another file already, whatever could not be said of it.
    fileprivate func recordFile(_ volume: String, of server: String, _ fault: Fault) async throws(Fault) {
        site.room.log.error(
            "Block storage was not told of a volume's files; when it answers again, ask for the snapshot anew",
            ["volume": volume, "server": server, "error": fault.message])
        try await refresh(volume, of: server)
    }

    /// Reads anew how a volume is reached: the file in use may be another one.
    func refresh(_ volume: String, of server: String) async throws(Fault) {
        for var device in try await BlockDevice.of(server, site.database) where device.volumeID == volume {
            guard let attachment = device.attachmentID,
                let found = try await storage.attachment(attachment, requestID: requestID), found.connection != .null
            else { continue }
            device.connection = found.connection.text()
            try await save(device)
        }
    }
}
