// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Bringing bytes in without uploading them to the image itself: staged before, or fetched from elsewhere.
package enum ImageImport: Resource {
    package static let routes: [Route] = [
        .put(
            "/images/{image_id}/stage", "Stage image data", of: SeenImage.find,
            allow: .rule("modify_image", ImageRules.member), stage, status: 204, payload: .stream),
        .post(
            "/images/{image_id}/import", "Import image", of: SeenImage.find,
            allow: .rule("get_image", ImageRules.show), bringIn, status: 202),
        .get("/info/import", "Show import methods", of: Anything.from, allow: .anyone("discovery"), methods),
    ]

    static func methods(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        .object("import-methods") {
            $0.put("description", "Import methods available.")
            $0.put("type", "array")
            $0.put("value", request.image.imports.methods.map(\.rawValue))
        }
    }

    static func stage(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let upload = try ImageUpload(request, seen.image, as: .uploading, into: ImageStores.stagingID)
        let quotas = try await ImageQuotas.of(request)
        let remaining = try await upload.begin(quotas) { announced, transaction throws(Fault) in
            try quotas.requireStaging(announced, transaction)
        }
        try await upload.run(quotas, within: remaining) { _ throws(Fault) in nil }
        return .empty
    }

    /// Accepted first, as upstream does; what becomes of it is told by the image and by its task.
    static func bringIn(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let draft = try ImportDraft(request)
        try draft.requireStatus(seen.image)
        // Copying is no change of the image to its owner, and may be allowed to others.
        try request.require(draft.method == .copyImage ? "copy_image" : "modify_image", on: seen)
        try await draft.begin(request, seen.image)
        return .empty
    }
}
