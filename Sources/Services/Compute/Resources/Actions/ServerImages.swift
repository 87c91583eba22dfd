// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// `createImage` and `createBackup`: a server's root disk as an image.
enum ServerImages: Resource {
    static let routes: [Route] = [
        .action(
            ServerActions.path, "createImage", "Create an image of a server", of: Server.visible,
            allow: .member("servers:create_image"), createImage),
        .action(
            ServerActions.path, "createBackup", "Back a server up", of: Server.visible,
            allow: .member("os-create-backup"), createBackup),
    ]

    static let migrations: [Migration] = [SnapshotIntent.migration]

    private static func createImage(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("createImage")
        let name = try body.need("name", .name)
        let metadata = try body.take("metadata", .pairs()) ?? [:]
        try body.end()
        try await checkQuota(metadata, request)
        try server.admit(.createImage)
        if server.isVolumeBacked { return try await createVolumeImage(name, metadata, server, request) }
        let image = try await SnapshotIntent.reserve(name, of: server, type: "snapshot", metadata, request)
        try await SnapshotIntent.keeping(image, request) { () async throws(Fault) in
            try await server.begin(.createImage, request) { row, transaction throws(Fault) in
                try SnapshotIntent.settle(image, transaction)
                return ActionStart(
                    .imageSnapshotPending, work: SnapshotServer(server: row.id, image: image),
                    about: ["image": image])
            }
        }
        return await reply(image, request, hasLocation: true)
    }

    private static func createBackup(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("createBackup")
        let name = try body.need("name", .name)
        let type = try body.need("backup_type", .text)
        let rotation = try body.need("rotation", .integer(0...Int(Int32.max)))
        var metadata = try body.take("metadata", .pairs()) ?? [:]
        try body.end()
        try await checkQuota(metadata, request)
        try server.admit(.createBackup)
        guard !server.isVolumeBacked else {
            throw .badRequest("Backup is not supported for volume-backed instances.")
        }
        metadata["backup_type"] = type
        let image = try await SnapshotIntent.reserve(name, of: server, type: "backup", metadata, request)
        try await SnapshotIntent.keeping(image, request) { () async throws(Fault) in
            try await server.begin(.createBackup, request) { row, transaction throws(Fault) in
                try SnapshotIntent.settle(image, transaction)
                return ActionStart(
                    .imageBackup,
                    work: SnapshotServer(server: row.id, image: image, backup: type, rotation: rotation),
                    about: ["image": image])
            }
        }
        return await reply(image, request, hasLocation: rotation > 0)
    }

    /// Since 2.45 the body says which image, before that its address at Image, as the catalog has it.
    static func reply(_ image: String, _ request: Request, hasLocation: Bool) async -> Reply {
        if request.version >= "2.45" { return .bare { $0.put("image_id", image) } }
        guard hasLocation else { return .empty }
        let known = try? await request.compute.catalog.address(of: "image", requestID: request.id)
        var address = known ?? request.endpoint
        while address.hasSuffix("/") { address.removeLast() }
        return Reply.empty.header("Location", address + "/images/" + image)
    }

    /// Until 2.39 an image's metadata was limited like a server's.
    private static func checkQuota(_ metadata: [String: String], _ request: Request) async throws(Fault) {
        guard request.version < "2.39" else { return }
        let (quota, project) = (try await request.quota(), request.caller.projectID ?? "")
        try await request.database.transaction { transaction throws(Fault) in
            try quota.require(
                "metadata_items", used: 0, more: metadata.count, of: project, transaction,
                or: .forbidden("Image metadata limit exceeded"))
        }
    }
}
