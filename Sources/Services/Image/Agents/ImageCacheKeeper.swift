// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Fills the image cache as downloads and the queue ask for it, and keeps it small and clean.
package struct ImageCacheKeeper: Sendable {
    private let room: ImageService

    package init(_ room: ImageService) { self.room = room }

    package func run() async {
        guard let cache = room.cache else { return }
        await withDiscardingTaskGroup { group in
            group.addTask { await look(after: cache) }
            while !Task.isCancelled {
                for fetch in cache.takeOrders() { group.addTask { await fetch.run(cache) } }
                await cache.orders.wait()
            }
        }
    }

    private func look(after cache: ImageCache) async {
        while !Task.isCancelled {
            await pass()
            await cache.queue.wait(atMost: cache.options.prefetcherWakes, cache.clock)
        }
    }

    /// Fetches what is queued, then prunes and cleans.
    package func pass() async {
        guard let cache = room.cache else { return }
        do throws(Fault) {
            for id in try await cache.queued() { try await prefetch(id, cache) }
            let pruned = try await cache.prune()
            if pruned.files > 0 {
                room.log.info("image cache pruned", ["images": pruned.files, "bytes": pruned.bytes])
            }
            try await cache.clean()
        } catch {
            room.log.warning("the image cache could not be looked after", ["error": error.message])
        }
    }

    /// An image that is gone leaves the queue; one that could not be fetched is tried again.
    private func prefetch(_ id: String, _ cache: ImageCache) async throws(Fault) {
        guard let image = try await room.database.first(ImageRecord.self, "id = \(id)"), image.status == .active,
            let size = image.size
        else {
            try await cache.dequeue(id)
            return
        }
        // Of an empty image there is nothing to fetch; it is cached like any other.
        let fetch =
            size > 0
            ? cache.prefetch(image, size: size, room.source(image, size))
            : cache.prefetch(image, size: size) { _ in .empty }
        await fetch?.run(cache)
    }
}

extension ImageService {
    /// The image's bytes from its stores, from some byte on.
    func source(_ image: ImageRecord, _ size: Int) -> ImageFetch.Source {
        { [self] offset async throws(Fault) in
            try await open(image, stores.ordered(image.locations), offset: offset, length: size - offset)
        }
    }

    /// An image that is gone leaves the cache and its queue.
    func uncache(_ id: String) async throws(Fault) {
        try await cache?.forget(id)
        try await cache?.dequeue(id)
    }

    private func has(_ store: any ImageStore, _ url: String, _ size: Int) async -> Bool {
        do throws(Fault) { return try await store.size(url) == size } catch { return false }
    }

    /// A part of an image, through the cache where it has or may have it.
    func read(
        _ image: ImageRecord, _ locations: [ImageLocation], offset: Int, length: Int
    ) async throws(Fault) -> HTTPResponse.Body {
        if let cache, cache.options.readsThrough, image.status == .active, let size = image.size, size > 0 {
            if let body = await cache.open(image, offset: offset, length: length) { return body }
            // Files on this machine are as near as the cache is.
            if offset == 0, length == size, let first = locations.first,
                let entry = await stores.entry(of: first), entry.kind != .file
            {
                // Where that store does not have it, the others are tried before the answer begins.
                guard await has(entry.store, first.url, size) else {
                    return try await open(image, locations, offset: offset, length: length)
                }
                if let reader = cache.follow(image, size: size, source(image, size)) { return reader.body }
            }
        }
        return try await open(image, locations, offset: offset, length: length)
    }
}
