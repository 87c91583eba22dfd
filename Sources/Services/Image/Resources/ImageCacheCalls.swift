// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What the cache of this machine has and what it is to have.
package enum ImageCacheCalls: Resource {
    package static let migrations: [Migration] = CachedImage.migrations

    package static let routes: [Route] = [
        .get("/cache", "List cached images", of: Anything.from, allow: .rule("cache_list", ImageRules.admin), state),
        .delete("/cache", "Clear cache", of: Anything.from, allow: .rule("cache_delete", ImageRules.admin), clear),
        .get(
            "/cache/nodes/{image_id}", "List nodes that cache an image", of: SeenImage.find,
            allow: .rule("list_cached_nodes", ImageRules.admin), nodes),
        .post(
            "/cache/clean", "Clean cache", of: Anything.from, allow: .rule("cache_clean", ImageRules.admin), clean,
            status: 200),
        .post(
            "/cache/prune", "Prune cache", of: Anything.from, allow: .rule("cache_prune", ImageRules.admin), prune,
            status: 200),
        .put(
            "/cache/{image_id}", "Queue image for caching", of: SeenImage.find,
            allow: .rule("cache_image", ImageRules.admin), queue, status: 202),
        .delete(
            "/cache/{image_id}", "Delete cached image", of: Anything.from,
            allow: .rule("cache_delete", ImageRules.admin), delete),
    ]

    static func state(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let cache = try request.imageCache
        let cached = try await cache.cached()
        let queued = try await cache.queued()
        return .json(["cached_images": .array(cached.map(\.wire)), "queued_images": .array(queued.map(JSON.string))])
    }

    static func clear(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let cache = try request.imageCache
        let target = (request.header("x-image-cache-clear-target") ?? "").lowercased()
        guard ["", "cache", "queue"].contains(target) else {
            throw .badRequest("If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.")
        }
        if target != "queue" { _ = try await cache.forgetAll() }
        if target != "cache" { _ = try await cache.dequeueAll() }
        return .empty
    }

    static func queue(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let cache = try request.imageCache
        guard seen.image.status == .active else {
            throw .badRequest("Only images with status active can be targeted for queueing")
        }
        try await cache.enqueue(seen.image.id)
        return .empty
    }

    /// Also of an image that is gone, as long as the cache knows it.
    static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let cache = try request.imageCache
        let id = request["image_id"]
        let wasCached = try await cache.forget(id)
        let wasQueued = try await cache.dequeue(id)
        if !wasCached, !wasQueued, try await request.database.count(ImageRecord.self, "id = \(id)") == 0 {
            throw .notFound("Image \(id) not found.")
        }
        return .empty
    }

    static func nodes(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        .json(.array(try await request.imageCache.nodes(of: seen.image.id).map(JSON.string)))
    }

    static func clean(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try await request.imageCache.clean()
        return .empty
    }

    static func prune(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let pruned = try await request.imageCache.prune()
        return .json([
            "total_files_pruned": .integer(Int64(pruned.files)), "total_bytes_pruned": .integer(Int64(pruned.bytes)),
        ])
    }
}

extension CachedImage {
    var wire: JSON {
        [
            "image_id": .string(imageID), "hits": .integer(Int64(hits)), "size": .integer(Int64(size)),
            "checksum": checksum.map(JSON.string) ?? .null,
            "last_accessed": .double(Double(lastAccessed.microseconds) / 1e6),
            "last_modified": .double(Double(lastModified.microseconds) / 1e6),
        ]
    }
}

extension Request {
    fileprivate var imageCache: ImageCache {
        get throws(Fault) {
            guard let cache = image.cache else { throw .notFound("Caching via API is not supported at this site.") }
            return cache
        }
    }
}
