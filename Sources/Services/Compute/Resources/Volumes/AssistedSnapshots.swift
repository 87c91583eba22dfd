// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Snapshots of volumes that are files in use: Block storage cannot make them by itself and asks Compute, whose guest
/// has to turn from one file to another. What comes of it is told to Block storage, not to who asked.
enum AssistedSnapshots: Resource {
    static let routes: [Route] = [
        .post(
            "/os-assisted-volume-snapshots", "Snapshot a volume through its guest", of: Anything.from,
            allow: .rule("os-assisted-volume-snapshots:create", "rule:service_api"), create, status: 200),
        .delete(
            "/os-assisted-volume-snapshots/{id}", "Delete a snapshot through its guest", of: Anything.from,
            allow: .rule("os-assisted-volume-snapshots:delete", "rule:service_api"), delete),
    ]

    private static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("snapshot")
        let volume = try body.need("volume_id", .text(1...255))
        var details = try body.needObject("create_info")
        let snapshot = try details.need("snapshot_id", .text(1...255))
        _ = try details.need("type", .oneOf("qcow2"))
        let file = try details.need("new_file", .text(1...255))
        let id = try details.option("id", .text(1...255))
        try details.end()
        try body.end()
        try checkName(file, "new_file")
        let server = try await server(of: volume, "volume_snapshot_create", request)
        try await start(
            SnapshotVolume(server: server.id, volume: volume, snapshot: snapshot, file: file), request)
        return .object("snapshot") { view in
            view.put("id", id)
            view.put("volumeId", volume)
        }
    }

    private static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let details = request.query("delete_info").flatMap { try? JSON.parse(Array($0.utf8), limits: .trusted) }
        guard let details, let volume = details["volume_id"]?.string else {
            throw .badRequest("'delete_info' with the member 'volume_id' is needed")
        }
        let merge = try merge(details)
        let server = try await server(of: volume, "volume_snapshot_delete", request)
        // Only a running guest can take a file out of the middle of a chain.
        if merge?.target != nil, server.vmState != .active {
            throw refused(.serverState(server.id, "vm_state", server.vmState.rawValue, "volume_snapshot_delete"))
        }
        try await start(
            MergeVolume(server: server.id, volume: volume, snapshot: request["id"], merge: merge), request)
        return .empty
    }

    /// What is to become one. Upstream takes any wish and lets it fail later; so do we, but for names that lead astray.
    private static func merge(_ details: JSON) throws(Fault) -> VolumeMerge? {
        let (file, target) = (details["file_to_merge"], details["merge_target_file"])
        for name in [file?.string, target?.string] {
            if let name { try checkName(name, "delete_info") }
        }
        guard details["type"]?.string == "qcow2", file != nil, target != nil,
            target?.string == nil || file?.string != nil
        else { return nil }
        return VolumeMerge(file: file?.string, into: target?.string)
    }

    /// Files stand beside each other: a name that leads elsewhere is none.
    private static func checkName(_ name: String, _ member: String) throws(Fault) {
        guard !name.contains("/"), name != "..", name != ".", !name.isEmpty else {
            throw .badRequest("Invalid input for field/attribute \(member). Value: \(name). A file name is needed.")
        }
    }

    /// The one server that has the volume, when nothing is being done to it.
    private static func server(
        of volume: String, _ action: String, _ request: Request
    ) async throws(Fault) -> Server {
        let devices = try await request.database.all(BlockDevice.self, "volume_id = \(volume)")
        var servers: [Server] = []
        for device in devices {
            let found = try await request.database.first(
                Server.self, "id = \(device.serverID) AND deleted_at IS NULL")
            if let found { servers.append(found) }
        }
        guard let server = servers.first else {
            throw .badRequest("No volume Block Device Mapping with id \(volume).")
        }
        guard servers.count == 1 else {
            throw .badRequest(
                "Block Device Mapping \(volume) is a multi-attach volume and is not valid for this operation.")
        }
        if let task = server.taskState {
            throw refused(.serverState(server.id, "task_state", task.rawValue, action))
        }
        guard server.host != nil else { throw .badRequest("Instance \(server.id) is not ready") }
        return server
    }

    /// Here upstream says 400 where it says 409 elsewhere.
    private static func refused(_ fault: Fault) -> Fault { .badRequest(fault.message) }

    private static func start(_ work: some Operation, _ request: Request) async throws(Fault) {
        let (queue, requestID) = (request.compute.queue, request.id)
        _ = try await request.database.transaction { transaction throws(Fault) in
            try queue.enqueue(work, requestID: requestID, in: transaction)
        }
    }
}
