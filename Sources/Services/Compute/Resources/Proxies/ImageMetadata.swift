// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Properties of images, as Compute told of them; Image answers, in the caller's name. Gone since 2.39.
enum ImageMetadata: Resource {
    static let routes: [Route] = [
        .get(path, "List an image's metadata", of: Anything.from, allow: .anyone("images"), index, until: "2.39"),
        .post(
            path, "Add metadata to an image", of: Anything.from, allow: .anyone("images"), create, status: 200,
            until: "2.39"),
        .put(path, "Replace an image's metadata", of: Anything.from, allow: .anyone("images"), replace, until: "2.39"),
        .get(
            item, "Show a metadata item of an image", of: Anything.from, allow: .anyone("images"), show, until: "2.39"),
        .put(item, "Set a metadata item of an image", of: Anything.from, allow: .anyone("images"), set, until: "2.39"),
        .delete(
            item, "Delete a metadata item of an image", of: Anything.from, allow: .anyone("images"), delete,
            until: "2.39"),
    ]

    private static let path = "/images/{image_id}/metadata"
    private static let item = "/images/{image_id}/metadata/{key}"

    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let properties = ImageClient.properties(of: try await ImageProxy.find(request))
        return .bare { $0.put("metadata", properties) }
    }

    private static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let key = request["key"]
        guard let value = ImageClient.properties(of: try await ImageProxy.find(request))[key] else {
            throw .notFound("The resource could not be found.")
        }
        return .bare { $0.put("meta", [key: value]) }
    }

    private static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body()
        let added = try body.need("metadata", .pairs())
        try body.end()
        let changed = try await change(request) { $0.merge(added) { $1 } }
        return .bare { $0.put("metadata", changed) }
    }

    private static func replace(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body()
        let wanted = try body.need("metadata", .pairs())
        try body.end()
        let changed = try await change(request) { $0 = wanted }
        return .bare { $0.put("metadata", changed) }
    }

    private static func set(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let key = request["key"]
        var body = try request.body()
        let meta = try body.need("meta", .pairs())
        try body.end()
        guard meta.count == 1, let value = meta[key] else { throw .badRequest("Request body and URI mismatch") }
        _ = try await change(request) { $0[key] = value }
        return .bare { $0.put("meta", meta) }
    }

    private static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let key = request["key"]
        _ = try await change(request) { properties throws(Fault) in
            guard properties.removeValue(forKey: key) != nil else { throw .notFound("Invalid metadata key") }
        }
        return .empty
    }

    /// Reads the properties, changes them, and sends what became different.
    private static func change(
        _ request: Request, _ deed: (inout [String: String]) throws(Fault) -> Void
    ) async throws(Fault) -> [String: String] {
        let old = ImageClient.properties(of: try await ImageProxy.find(request))
        var new = old
        try deed(&new)
        let limit = request.compute.options.quota.metadataItems
        if limit >= 0, new.count > limit, new.count > old.count { throw .forbidden("Image metadata limit exceeded") }
        var patch: [JSON] = []
        for (key, value) in new.sorted(by: { $0.key < $1.key }) where old[key] != value {
            patch.append([
                "op": old[key] == nil ? "add" : "replace", "path": .string("/" + pointer(key)), "value": .string(value),
            ])
        }
        for key in old.keys.sorted() where new[key] == nil {
            patch.append(["op": "remove", "path": .string("/" + pointer(key))])
        }
        guard !patch.isEmpty else { return new }
        _ = try await request.compute.images.document(
            "PATCH", "/images/" + request["image_id"], body: .array(patch),
            type: "application/openstack-images-v2.1-json-patch", requestID: request.id, as: request.caller)
        return new
    }

    private static func pointer(_ key: String) -> String {
        key.replacing("~", with: "~0").replacing("/", with: "~1")
    }
}
