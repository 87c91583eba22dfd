// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Snapshots of volumes that Block storage cannot make by itself and asks Compute for. No driver of this cloud keeps
/// volumes as files that a guest must be asked to snapshot: what is asked for is refused as upstream refuses a volume
/// that cannot be snapshotted so.
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
        _ = try details.need("snapshot_id", .text(1...255))
        _ = try details.need("type", .oneOf("qcow2"))
        _ = try details.need("new_file", .text(1...255))
        _ = try details.option("id", .text(1...255))
        try details.end()
        try body.end()
        throw try await refusal(volume, request)
    }

    private static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let details = request.query("delete_info").flatMap { try? JSON.parse(Array($0.utf8), limits: .trusted) }
        guard let volume = details?["volume_id"]?.string else {
            throw .badRequest("'delete_info' with the member 'volume_id' is needed")
        }
        throw try await refusal(volume, request)
    }

    private static func refusal(_ volume: String, _ request: Request) async throws(Fault) -> Fault {
        let device = try await request.database.first(BlockDevice.self, "volume_id = \(volume)")
        guard device != nil else { return .badRequest("No volume Block Device Mapping with id \(volume).") }
        return .badRequest("Invalid volume: volume \(volume) cannot be snapshotted through its guest.")
    }
}
