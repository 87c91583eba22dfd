// SPDX-License-Identifier: Apache-2.0
internal import Kernel
internal import Synchronization

/// An image that the cache of a machine has.
struct CachedImage: Record {
    static let table = "image_cached"

    let imageID: String
    let node: String
    let url: String
    let size: Int
    /// The image's hash when its bytes were fetched.
    let hash: String?
    let checksum: String?
    let hits: Int
    let lastAccessed: Timestamp
    let lastModified: Timestamp

    static let migrations: [Migration] = [
        """
        2026-11-21 image cache
        CREATE TABLE image_cached (
            image_id VARCHAR(36) NOT NULL, node VARCHAR(255) NOT NULL, url TEXT NOT NULL, size BIGINT NOT NULL,
            hash VARCHAR(128), checksum VARCHAR(32), hits INTEGER NOT NULL,
            last_accessed BIGINT NOT NULL, last_modified BIGINT NOT NULL,
            PRIMARY KEY (image_id, node));
        CREATE TABLE image_cache_queue (
            image_id VARCHAR(36) NOT NULL, node VARCHAR(255) NOT NULL, queued_at BIGINT NOT NULL,
            PRIMARY KEY (image_id, node))
        """
    ]
}

/// An image that somebody wants to be in the cache.
struct CacheWish: Record {
    static let table = "image_cache_queue"

    let imageID: String
    let node: String
    let queuedAt: Timestamp
}

/// The images that this machine keeps copies of. Bytes are named anew for each fetch; a row says which of them count.
final class ImageCache: Sendable {
    let medium: any ImageCacheMedium
    let options: ImageCacheOptions
    let database: Database
    let clock: any WallClock
    let log: Log
    let digesters: BlockingPool
    private let ids: any Identifiers
    private let fetches = Mutex<(running: [String: ImageFetch], ordered: [ImageFetch])>(([:], []))
    /// Rung when a fetch is ordered.
    let orders = Wake()
    /// Rung when an image is queued.
    let queue = Wake()

    init(_ medium: any ImageCacheMedium, _ ports: ImagePorts, _ parts: ImageCacheParts) {
        self.medium = medium
        options = ports.cacheOptions
        database = parts.database
        clock = parts.clock
        ids = parts.ids
        log = parts.log
        digesters = parts.digesters
    }

    private var node: String { options.node }
    private var mine: SQL { "node = \(node)" }

    // MARK: Serving

    /// What is cached of an image, when it is still the image's. Trouble of the cache is no trouble of the client's.
    func open(_ image: ImageRecord, offset: Int, length: Int) async -> HTTPResponse.Body? {
        do throws(Fault) {
            guard let entry = try await database.first(CachedImage.self, "image_id = \(image.id) AND \(sql: mine)")
            else { return nil }
            guard entry.size == image.size, entry.hash == image.osHashValue else {
                try await forget(image.id)
                return nil
            }
            let body: HTTPResponse.Body
            do throws(Fault) { body = try await medium.open(entry.url, offset: offset, length: length) } catch {
                log.warning("cached image not readable", ["image_id": image.id, "error": error.message])
                try await forget(image.id)
                return nil
            }
            try await database.update(
                CachedImage.self, set: "hits = hits + 1, last_accessed = \(clock.now())",
                where: "image_id = \(image.id) AND \(sql: mine)")
            return body
        } catch {
            log.warning("the image cache could not be read", ["error": error.message])
            return nil
        }
    }

    /// Follows the fetch of an image that is under way, or orders one; nil when that came to nothing just now.
    func follow(_ image: ImageRecord, size: Int, _ source: @escaping ImageFetch.Source) -> ImageFetchReader? {
        let fresh = begin(image, size: size, isPrefetch: false, source)
        // A fetch that nobody reads would end at once.
        let reader = fresh.join()
        let running = fetches.withLock { fetches -> ImageFetch? in
            if let running = fetches.running[image.id] { return running }
            fetches.running[image.id] = fresh
            fetches.ordered.append(fresh)
            return nil
        }
        if let running { return running.join() }
        orders.signal()
        return reader
    }

    /// A fetch for its own sake, which the caller is to run; nil when one is under way.
    func prefetch(_ image: ImageRecord, size: Int, _ source: @escaping ImageFetch.Source) -> ImageFetch? {
        let fresh = begin(image, size: size, isPrefetch: true, source)
        return fetches.withLock { fetches in
            guard fetches.running[image.id] == nil else { return nil }
            fetches.running[image.id] = fresh
            return fresh
        }
    }

    private func begin(
        _ image: ImageRecord, size: Int, isPrefetch: Bool, _ source: @escaping ImageFetch.Source
    ) -> ImageFetch {
        ImageFetch(
            image, size: size, name: "\(image.id).\(Hex.encode(ids.bytes(4)))", isPrefetch: isPrefetch,
            now: clock.now(), source: source)
    }

    func takeOrders() -> [ImageFetch] {
        fetches.withLock { fetches in
            defer { fetches.ordered = [] }
            return fetches.ordered
        }
    }

    func ended(_ fetch: ImageFetch) {
        fetches.withLock { fetches in
            if fetches.running[fetch.image.id] === fetch { fetches.running[fetch.image.id] = nil }
        }
    }

    /// Whole and compared: from now on it counts, if the image is still there.
    func admit(_ fetch: ImageFetch, _ url: String) async throws(Fault) {
        let (id, node, now) = (fetch.image.id, node, clock.now())
        let old = try await database.transaction { transaction throws(Fault) in
            guard let image = try transaction.first(ImageRecord.self, "id = \(id)"), image.status == .active,
                image.size == fetch.size, image.osHashValue == fetch.image.osHashValue
            else { throw .gone("Image \(id) is gone.") }
            let old = try transaction.first(CachedImage.self, "image_id = \(id) AND node = \(node)")
            try transaction.delete(CachedImage.self, "image_id = \(id) AND node = \(node)")
            try transaction.delete(CacheWish.self, "image_id = \(id) AND node = \(node)")
            try transaction.insert(
                CachedImage(
                    imageID: id, node: node, url: url, size: fetch.size, hash: image.osHashValue,
                    checksum: image.checksum, hits: 0, lastAccessed: now, lastModified: now))
            return old
        }
        if let old { await remove(old.url) }
    }

    func remove(_ url: String) async {
        do throws(Fault) { try await medium.delete(url) } catch {
            log.warning("cached image data is left behind", ["location": url, "error": error.message])
        }
    }

    // MARK: Managing

    func cached() async throws(Fault) -> [CachedImage] {
        try await database.all(CachedImage.self, "\(sql: mine) ORDER BY image_id")
    }

    func queued() async throws(Fault) -> [String] {
        try await database.all(CacheWish.self, "\(sql: mine) ORDER BY queued_at, image_id").map(\.imageID)
    }

    /// Unless it is there, on its way or queued already.
    func enqueue(_ id: String) async throws(Fault) {
        let (node, now) = (node, clock.now())
        guard fetches.withLock({ $0.running[id] }) == nil else { return }
        try await database.transaction { transaction throws(Fault) in
            let condition: SQL = "image_id = \(id) AND node = \(node)"
            guard try transaction.count(CachedImage.self, condition) == 0,
                try transaction.count(CacheWish.self, condition) == 0
            else { return }
            try transaction.insert(CacheWish(imageID: id, node: node, queuedAt: now))
        }
        queue.signal()
    }

    /// Takes an image out of the cache; gives whether it was there.
    @discardableResult
    func forget(_ id: String) async throws(Fault) -> Bool {
        let condition: SQL = "image_id = \(id) AND \(sql: mine)"
        guard let entry = try await database.first(CachedImage.self, condition) else { return false }
        try await database.delete(CachedImage.self, "image_id = \(id) AND url = \(entry.url) AND \(sql: mine)")
        await remove(entry.url)
        return true
    }

    @discardableResult
    func dequeue(_ id: String) async throws(Fault) -> Bool {
        try await database.delete(CacheWish.self, "image_id = \(id) AND \(sql: mine)") > 0
    }

    func forgetAll() async throws(Fault) -> Int {
        var count = 0
        for entry in try await cached() where try await forget(entry.imageID) { count += 1 }
        return count
    }

    func dequeueAll() async throws(Fault) -> Int { try await database.delete(CacheWish.self, mine) }

    func nodes(of id: String) async throws(Fault) -> [String] {
        try await database.all(CachedImage.self, "image_id = \(id) ORDER BY node").map(\.node)
    }

    /// Removes what was read longest ago until the rest fits.
    func prune() async throws(Fault) -> (files: Int, bytes: Int) {
        let entries = try await database.all(CachedImage.self, "\(sql: mine) ORDER BY last_accessed, image_id")
        var total = entries.reduce(0) { $0 + $1.size }
        var pruned = (files: 0, bytes: 0)
        for entry in entries where total > options.maxSize {
            guard try await forget(entry.imageID) else { continue }
            total -= entry.size
            pruned = (pruned.files + 1, pruned.bytes + entry.size)
        }
        return pruned
    }

    /// Removes rows without bytes or image, bytes without a row, and gives up fetches that stall.
    func clean() async throws(Fault) {
        let due = clock.now() - options.stallTime
        for fetch in fetches.withLock({ Array($0.running.values) }) where fetch.movedAt < due {
            fetch.giveUp(.unavailable("The fetch into the image cache stalled."))
            ended(fetch)
        }
        // In this order: what is whole is a fetch's until it is a row's.
        let files = try await medium.contents().filter(ImageCache.isOwn)
        let moving = fetches.withLock { $0.running.values.compactMap(\.location) }
        let entries = try await cached()
        let kept = Set(moving + entries.map(\.url))
        for file in files where !kept.contains(file) { await remove(file) }
        for entry in entries {
            let isThere = try await medium.size(entry.url) == entry.size
            let isWanted = try await database.count(ImageRecord.self, "id = \(entry.imageID)") > 0
            if !isThere || !isWanted { try await forget(entry.imageID) }
        }
    }

    /// `<image>.<8 digits>`: other files in the folder are not the cache's.
    private static func isOwn(_ location: String) -> Bool {
        let name = Array((location.split(separator: "/").last ?? "").utf8)
        return name.count == 45 && name[36] == UInt8(ascii: ".")
    }
}

/// What the cache shares with its room.
struct ImageCacheParts {
    let database: Database
    let clock: any WallClock
    let ids: any Identifiers
    let log: Log
    let digesters: BlockingPool
}
