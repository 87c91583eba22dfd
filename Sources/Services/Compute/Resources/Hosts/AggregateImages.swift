// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Images that an aggregate's hosts are to have before servers boot from them.
enum AggregateImages: Resource {
    static let routes: [Route] = [
        .post(
            "/os-aggregates/{aggregate_id}/images", "Cache images on an aggregate's hosts", of: Anything.from,
            allow: .adminOnly("/compute:aggregates:images"), cache, status: 202, since: "2.81")
    ]

    static let migrations: [Migration] = [ImageCaching.migration]

    private static func cache(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        guard let id = Int(request["aggregate_id"]) else {
            throw .badRequest("Invalid input received: id must be an integer")
        }
        var body = try request.body()
        guard let items = try body.takeObjects("cache") else { throw request.index.wording.missing("cache") }
        try body.end()
        guard !items.isEmpty else { throw body.refuse("cache", [], "[] is too short") }
        let images = try items.mapping { item throws(Fault) in
            var item = item
            let id = try item.need("id", .uuid)
            try item.end()
            return id
        }
        guard Set(images).count == images.count else { throw .badRequest("Duplicate images in request") }
        let room = request.compute
        for image in images {
            guard try await room.images.find(image, requestID: request.id, as: request.caller) != nil else {
                throw .badRequest("Image \(image) could not be found.")
            }
        }
        let (requestID, down) = (request.id, request.now - room.options.serviceDownTime)
        try await request.database.transaction { transaction throws(Fault) in
            let aggregate = try transaction.one(
                Aggregate.self, "id = \(id)", or: .notFound("Aggregate \(id) could not be found."))
            guard !aggregate.hosts.isEmpty else { return }
            let hosts = try transaction.all(
                ComputeHost.self, "name IN \(aggregate.hosts) AND deleted_at IS NULL AND is_forced_down = 0")
            let up = hosts.filter { $0.reportedAt >= down }.map(\.name)
            try ImageCaching.begin(
                aggregate, down: aggregate.hosts.filter { !up.contains($0) }, requestID, room.notices, transaction)
            for host in up {
                try room.queue.enqueue(
                    CacheImages(host: host, images: images), requestID: requestID, in: transaction)
            }
        }
        return .empty
    }
}
