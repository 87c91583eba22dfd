// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The older calls on the cache and its queue, there with cache management only.
package enum OldCacheCalls: Resource {
    package static let routes: [Route] = [
        .get("/cached_images", "List cached images, older call", of: Anything.from, allow: rule, cached),
        .delete(
            "/cached_images", "Delete all cached images, older call", of: Anything.from, allow: rule, forgetAll,
            status: 200),
        .delete(
            "/cached_images/{image_id}", "Delete cached image, older call", of: Anything.from, allow: rule, forget,
            status: 200),
        .get("/queued_images", "List queued images, older call", of: Anything.from, allow: rule, queued),
        .put(
            "/queued_images/{image_id}", "Queue image for caching, older call", of: Anything.from, allow: rule,
            enqueue, status: 200),
        .delete(
            "/queued_images", "Delete all queued images, older call", of: Anything.from, allow: rule, dequeueAll,
            status: 200),
        .delete(
            "/queued_images/{image_id}", "Delete queued image, older call", of: Anything.from, allow: rule, dequeue,
            status: 200),
    ]

    private static var rule: Rule<Anything> { .rule("manage_image_cache", ImageRules.admin) }

    static func cached(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        .json(["cached_images": .array(try await request.managedCache.cached().map(\.wire))])
    }

    static func forgetAll(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        .json(["num_deleted": .integer(Int64(try await request.managedCache.forgetAll()))])
    }

    static func forget(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try await request.managedCache.forget(request["image_id"])
        return .json(.null)
    }

    static func queued(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        .json(["queued_images": .array(try await request.managedCache.queued().map(JSON.string))])
    }

    /// What is no image that can be cached leaves the queue by itself.
    static func enqueue(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try await request.managedCache.enqueue(try ImageValues.id(.string(request["image_id"])))
        return .json(.null)
    }

    static func dequeueAll(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        .json(["num_deleted": .integer(Int64(try await request.managedCache.dequeueAll()))])
    }

    static func dequeue(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try await request.managedCache.dequeue(request["image_id"])
        return .json(.null)
    }
}

extension Request {
    fileprivate var managedCache: ImageCache {
        get throws(Fault) {
            guard let cache = image.cache, cache.options.hasOldCalls else {
                throw .notFound("The resource could not be found.")
            }
            return cache
        }
    }
}
