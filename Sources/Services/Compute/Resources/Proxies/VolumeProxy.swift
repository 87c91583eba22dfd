// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Volumes and their snapshots as Compute told of them before Block storage did; that answers, in the caller's name.
/// Gone since 2.36.
enum VolumeProxy: Resource {
    static let routes: [Route] = [
        .get(
            "/os-volumes", "List volumes", of: OwnScope.from, allow: .reader("os-volumes:list"), volumes,
            until: "2.36"),
        .get(
            "/os-volumes/detail", "List volumes with details", of: OwnScope.from, allow: .reader("os-volumes:detail"),
            volumes, until: "2.36"),
        .post(
            "/os-volumes", "Create a volume", of: OwnScope.from, allow: .member("os-volumes:create"), create,
            status: 200, until: "2.36"),
        .get(
            "/os-volumes/{id}", "Show a volume", of: OwnScope.from, allow: .reader("os-volumes:show"), show,
            until: "2.36"),
        .delete(
            "/os-volumes/{id}", "Delete a volume", of: OwnScope.from, allow: .member("os-volumes:delete"), delete,
            status: 202, until: "2.36"),
        .get(
            "/os-snapshots", "List snapshots of volumes", of: OwnScope.from,
            allow: .reader("os-volumes:snapshots:list"),
            snapshots, until: "2.36"),
        .get(
            "/os-snapshots/detail", "List snapshots with details", of: OwnScope.from,
            allow: .reader("os-volumes:snapshots:detail"), snapshots, until: "2.36"),
        .post(
            "/os-snapshots", "Create a snapshot of a volume", of: OwnScope.from,
            allow: .member("os-volumes:snapshots:create"), createSnapshot, status: 200, until: "2.36"),
        .get(
            "/os-snapshots/{id}", "Show a snapshot", of: OwnScope.from, allow: .reader("os-volumes:snapshots:show"),
            showSnapshot, until: "2.36"),
        .delete(
            "/os-snapshots/{id}", "Delete a snapshot", of: OwnScope.from,
            allow: .member("os-volumes:snapshots:delete"), deleteSnapshot, status: 202, until: "2.36"),
    ]

    private static func storage(
        _ method: String, _ path: String, _ request: Request, _ body: JSON? = nil
    ) async throws(Fault) -> JSON {
        try await request.compute.storage.acting(as: request.caller)
            .document(method, path, body, requestID: request.id)
    }

    private static func found(
        _ kind: String, _ id: String, _ deed: () async throws(Fault) -> JSON
    ) async throws(Fault) -> JSON {
        do throws(Fault) { return try await deed() } catch {
            throw error.status == 404 ? .notFound("\(kind) \(id) could not be found.") : error
        }
    }

    private static func page(_ items: [JSON], _ request: Request) -> [JSON] {
        let offset = request.query("offset").flatMap { Int($0) } ?? 0
        let limit = request.query("limit").flatMap { Int($0) } ?? request.compute.options.maxLimit
        return Array(items.dropFirst(max(0, offset)).prefix(max(0, limit)))
    }
}

// MARK: - Volumes

extension VolumeProxy {
    private static func volumes(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let all = try await storage("GET", "/volumes/detail", request)["volumes"]?.array ?? []
        return .list("volumes", page(all, request).map { volume in { write(volume, &$0) } })
    }

    private static func show(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        let answer = try await found("Volume", id) { () async throws(Fault) in
            try await storage("GET", "/volumes/\(id)", request)
        }
        return .object("volume") { write(answer["volume"] ?? .null, &$0) }
    }

    private static func create(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        var body = try request.body("volume")
        var members = JSONObject()
        members["name"] = try body.take("display_name", .text(0...255)).map(JSON.string)
        members["description"] = try body.take("display_description", .text).map(JSON.string)
        members["volume_type"] = try body.take("volume_type", .text(0...255)).map(JSON.string)
        members["metadata"] = try body.take("metadata", .object).map(JSON.object)
        members["snapshot_id"] = try body.take("snapshot_id", .text(0...255)).map(JSON.string)
        members["availability_zone"] = try body.take("availability_zone", .text(0...255)).map(JSON.string)
        members["size"] = try body.take("size", .integer(1...Int(Int32.max))).map { .integer(Int64($0)) }
        try body.end()
        let wanted = JSON.object(members)
        do throws(Fault) {
            let made = try await storage("POST", "/volumes", request, ["volume": wanted])["volume"] ?? .null
            let place = request.endpoint + "/os-volumes/" + (made["id"]?.string ?? "")
            return Reply.object("volume") { write(made, &$0) }.header("Location", place)
        } catch {
            throw error.status == 413 ? .forbidden(error.message) : error
        }
    }

    private static func delete(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        _ = try await found("Volume", id) { () async throws(Fault) in
            try await storage("DELETE", "/volumes/\(id)", request)
        }
        return .empty
    }

    private static func write(_ volume: JSON, _ view: inout View) {
        view.put("id", volume["id"] ?? "")
        view.put("status", volume["status"] ?? "")
        view.put("size", volume["size"] ?? 0)
        view.put("availabilityZone", volume["availability_zone"] ?? .null)
        view.put("createdAt", volume["created_at"] ?? .null)
        view.put("attachments", JSON.array([attachment(of: volume)]))
        view.put("displayName", volume["name"] ?? .null)
        view.put("displayDescription", volume["description"] ?? .null)
        view.put("volumeType", volume["volume_type"] ?? .null)
        view.put("snapshotId", volume["snapshot_id"] ?? .null)
        view.put("metadata", volume["metadata"] ?? [:])
    }
}

extension VolumeProxy {
    /// Compute knew of one attachment only; of none it tells with an empty object.
    private static func attachment(of volume: JSON) -> JSON {
        guard let hold = volume["attachments"]?.array?.first else { return [:] }
        var members: JSONObject = [
            "id": volume["id"] ?? "", "volumeId": volume["id"] ?? "", "serverId": hold["server_id"] ?? "",
        ]
        if let device = hold["device"], !device.isNull { members["device"] = device }
        return .object(members)
    }
}

// MARK: - Snapshots

extension VolumeProxy {
    private static func snapshots(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let all = try await storage("GET", "/snapshots/detail", request)["snapshots"]?.array ?? []
        return .list("snapshots", page(all, request).map { snapshot in { writeSnapshot(snapshot, &$0) } })
    }

    private static func showSnapshot(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        let answer = try await found("Snapshot", id) { () async throws(Fault) in
            try await storage("GET", "/snapshots/\(id)", request)
        }
        return .object("snapshot") { writeSnapshot(answer["snapshot"] ?? .null, &$0) }
    }

    private static func createSnapshot(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        var body = try request.body("snapshot")
        var members: JSONObject = ["volume_id": .string(try body.need("volume_id", .text(0...255)))]
        members["name"] = try body.take("display_name", .text(0...255)).map(JSON.string)
        members["description"] = try body.take("display_description", .text).map(JSON.string)
        if try body.take("force", .bool) == true { members["force"] = true }
        try body.end()
        let wanted = JSON.object(members)
        let made = try await storage("POST", "/snapshots", request, ["snapshot": wanted])["snapshot"] ?? .null
        return .object("snapshot") { writeSnapshot(made, &$0) }
    }

    private static func deleteSnapshot(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        _ = try await found("Snapshot", id) { () async throws(Fault) in
            try await storage("DELETE", "/snapshots/\(id)", request)
        }
        return .empty
    }

    private static func writeSnapshot(_ snapshot: JSON, _ view: inout View) {
        view.put("id", snapshot["id"] ?? "")
        view.put("volumeId", snapshot["volume_id"] ?? "")
        view.put("status", snapshot["status"] ?? "")
        view.put("size", snapshot["size"] ?? 0)
        view.put("createdAt", snapshot["created_at"] ?? .null)
        view.put("displayName", snapshot["name"] ?? .null)
        view.put("displayDescription", snapshot["description"] ?? .null)
    }
}
