// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Brings images to a host of an aggregate before guests need them, and tells how far the aggregate is.
struct CacheImages: Operation {
    static let kind = "compute.cache-images"

    let host: String
    let images: [String]

    var subject: String { "cache " + host }

    var steps: [Step<ComputeSite>] { [Step("cache", attempts: 2, budget: .seconds(6900), pace: .long, do: keep)] }
    var deadline: Duration { .seconds(14_400) }

    private func keep(_ site: ComputeSite) async throws(Fault) {
        var (cached, failed): ([String], [String]) = ([], [])
        let keeper = try site.room.hosts.find(host) as? any ImageKeeping
        for image in images {
            guard let keeper else {
                failed.append(image)
                continue
            }
            do throws(Fault) {
                try await keeper.keep(try await site.imageSource(of: image, for: nil, isVerified: true))
                cached.append(image)
            } catch {
                site.room.log.warning(
                    "an image was not cached", ["host": host, "image": image, "error": error.message])
                failed.append(image)
            }
        }
        try await report(cached, failed, site)
    }

    private func report(_ cached: [String], _ failed: [String], _ site: ComputeSite) async throws(Fault) {
        let (notices, requestID, host) = (site.room.notices, site.requestID, host)
        try await site.database.transaction { transaction throws(Fault) in
            try ImageCaching.finish(host, cached, failed, requestID, notices, transaction)
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        site.room.log.warning("images were not cached", ["host": host, "error": fault.message])
        try await report([], images, site)
    }
}

/// Which hosts of an aggregate still have to get the images of one request.
struct ImageCaching: Record {
    static let table = "compute_image_cachings"

    let requestID: String
    let aggregateID: Int
    let total: Int
    var pending: [String]

    static let migration: Migration = """
        2026-11-30 compute image cachings
        CREATE TABLE compute_image_cachings (
            request_id VARCHAR(64) NOT NULL PRIMARY KEY, aggregate_id INTEGER NOT NULL, total INTEGER NOT NULL,
            pending TEXT NOT NULL)
        """

    /// Begins; hosts that are down are passed over, as upstream passes them over.
    static func begin(
        _ aggregate: Aggregate, down: [String], _ requestID: String, _ notices: Notices, _ transaction: Transaction
    ) throws(Fault) {
        try transaction.insert(
            ImageCaching(
                requestID: requestID, aggregateID: aggregate.id, total: aggregate.hosts.count,
                pending: aggregate.hosts),
            or: .conflict("The request \(requestID) was used before."))
        try notices.tell("aggregate.cache_images.start", .conductor, aggregate.payload, transaction)
        for host in down { try finish(host, [], [], requestID, notices, transaction) }
    }

    static func finish(
        _ host: String, _ cached: [String], _ failed: [String], _ requestID: String, _ notices: Notices,
        _ transaction: Transaction
    ) throws(Fault) {
        guard var caching = try transaction.first(ImageCaching.self, "request_id = \(requestID)"),
            caching.pending.contains(host)
        else { return }
        caching.pending.removeAll { $0 == host }
        let aggregate = try transaction.first(Aggregate.self, "id = \(caching.aggregateID)")
        if let aggregate {
            let index = caching.total - caching.pending.count
            try notices.tell(
                "aggregate.cache_images.progress", .conductor,
                NoticePayload.object(
                    "AggregateCachePayload", "1.0",
                    [
                        "id": NoticePayload.number(aggregate.id), "uuid": .string(aggregate.uuid),
                        "name": .string(aggregate.name), "host": .string(host),
                        "images_cached": NoticePayload.texts(cached), "images_failed": NoticePayload.texts(failed),
                        "index": NoticePayload.number(index), "total": NoticePayload.number(caching.total),
                    ]), transaction)
        }
        guard caching.pending.isEmpty else {
            return try transaction.replace(
                caching, where: "request_id = \(requestID)", or: .internalError("the caching went"))
        }
        try transaction.delete(ImageCaching.self, "request_id = \(requestID)")
        if let aggregate {
            try notices.tell("aggregate.cache_images.end", .conductor, aggregate.payload, transaction)
        }
    }
}
