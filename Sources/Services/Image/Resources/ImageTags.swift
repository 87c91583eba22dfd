// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tags one at a time; all of them at once are a member of the image.
package enum ImageTags: Resource {
    package static let routes: [Route] = [
        .put(
            "/images/{image_id}/tags/{tag}", "Add image tag", of: SeenImage.find,
            allow: .rule("modify_image", ImageRules.member), add, status: 204),
        .delete(
            "/images/{image_id}/tags/{tag}", "Delete image tag", of: SeenImage.find,
            allow: .rule("modify_image", ImageRules.member), remove),
    ]

    static func add(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let tag = request["tag"]
        _ = try ImageValues.tags([.string(tag)])
        try await change(request, seen) { image throws(Fault) in
            if !image.tags.contains(tag) { image.tags.append(tag) }
        }
        return .empty
    }

    static func remove(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let tag = request["tag"]
        try await change(request, seen) { image throws(Fault) in
            guard let place = image.tags.firstIndex(of: tag) else {
                throw .notFound("The resource could not be found.")
            }
            image.tags.remove(at: place)
        }
        return .empty
    }

    private static func change(
        _ request: Request, _ seen: SeenImage, _ deed: @escaping @Sendable (inout ImageRecord) throws(Fault) -> Void
    ) async throws(Fault) {
        let now = request.now
        let options = request.image.options
        try await request.database.transaction { transaction throws(Fault) in
            var image = try ImageRecord.locked(seen.image.id, transaction)
            try deed(&image)
            try image.requireQuotas(options)
            image.updatedAt = now
            try image.save(transaction)
        }
    }
}
