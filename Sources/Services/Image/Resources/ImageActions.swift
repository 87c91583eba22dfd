// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Closing an image to downloads, and opening it again.
package enum ImageActions: Resource {
    package static let routes: [Route] = [
        .post(
            "/images/{image_id}/actions/deactivate", "Deactivate image", of: SeenImage.find,
            allow: .rule("deactivate", ImageRules.member), deactivate, status: 204),
        .post(
            "/images/{image_id}/actions/reactivate", "Reactivate image", of: SeenImage.find,
            allow: .rule("reactivate", ImageRules.member), reactivate, status: 204),
    ]

    static func deactivate(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        try await turn(request, seen, from: .active, to: .deactivated, "deactivate")
    }

    static func reactivate(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        try await turn(request, seen, from: .deactivated, to: .active, "reactivate")
    }

    private static func turn(
        _ request: Request, _ seen: SeenImage, from: ImageStatus, to: ImageStatus, _ verb: String
    ) async throws(Fault) -> Reply {
        let id = seen.image.id
        let now = request.now
        try await request.database.transaction { transaction throws(Fault) in
            let image = try ImageRecord.locked(id, transaction)
            if image.status == to { return }
            guard image.status == from else {
                throw .forbidden("Not allowed to \(verb) image in status '\(image.status.rawValue)'")
            }
            try transaction.update(ImageRecord.self, set: "status = \(to), updated_at = \(now)", where: "id = \(id)")
        }
        return .empty
    }
}
