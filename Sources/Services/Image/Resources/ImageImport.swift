// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Bringing bytes in by two calls: staged first, then imported.
package enum ImageImport: Resource {
    static let methods = ["glance-direct"]

    package static let routes: [Route] = [
        .put(
            "/images/{image_id}/stage", "Stage image data", of: SeenImage.find,
            allow: .rule("modify_image", ImageRules.member), stage, status: 204, payload: .stream),
        .post(
            "/images/{image_id}/import", "Import image", of: SeenImage.find,
            allow: .rule("modify_image", ImageRules.member), bringIn, status: 202),
        .get(
            "/images/{image_id}/tasks", "List tasks of an image", of: SeenImage.find,
            allow: .rule("get_image", ImageRules.show), tasks),
    ]

    static func stage(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let upload = try ImageUpload(request, seen.image, as: .uploading, into: ImageStores.stagingID)
        try await upload.begin()
        try await upload.run { _, _ throws(Fault) in nil }
        return .empty
    }

    /// As upstream does, the request is accepted first; bytes that turn out wrong are dropped and the image waits
    /// again.
    static func bringIn(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        try checkBody(request)
        let id = seen.image.id
        let now = request.now
        let image = try await request.database.transaction { transaction throws(Fault) in
            let image = try ImageRecord.locked(id, transaction)
            try image.requireImportable()
            try transaction.update(
                ImageRecord.self, set: "status = 'importing', updated_at = \(now)", where: "id = \(id)")
            return image
        }
        let staged = image.location ?? ""
        do throws(Fault) {
            try await store(image, staged, request)
        } catch {
            request.log.warning("image import failed", ["image_id": id, "error": error.message])
            try await request.database.update(
                ImageRecord.self, set: ImageRecord.backToQueued, where: "id = \(id) AND status = 'importing'")
        }
        try await request.image.clear([staged])
        return .empty
    }

    /// Copies what is staged to the store that images go to.
    private static func store(_ image: ImageRecord, _ name: String, _ request: Request) async throws(Fault) {
        let room = request.image
        let staged = try await request.database.one(
            ImageDepositRecord.self, "name = \(name)", or: .conflict("Staged image data of \(image.id) is gone."))
        let virtualSize = try await inspect(image, staged.url, room)
        let deposit = try await ImageDeposit.begin(
            "\(image.id).\(Hex.encode(request.ids.bytes(4)))", of: image.id, in: room.stores.standard.id,
            size: image.size, room)
        let now = request.now
        do throws(Fault) {
            try await room.stores.staging.open(staged.url, offset: 0, length: image.size ?? 0)
                .forEachPiece { bytes async throws(Fault) in try await deposit.draft.append(bytes) }
            try await deposit.draft.publish()
            try await request.database.transaction { transaction throws(Fault) in
                let changed = try transaction.update(
                    ImageRecord.self,
                    set: """
                        status = 'active', virtual_size = \(virtualSize), updated_at = \(now), location = NULL, \
                        locations = \([deposit.location].json)
                        """, where: "id = \(image.id) AND status = 'importing'")
                guard changed == 1 else { throw .gone("Image \(image.id) is gone.") }
                try deposit.keep(transaction)
            }
        } catch {
            await deposit.abandon()
            throw error
        }
    }

    static func tasks(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply { .list("tasks", []) }

    private static func inspect(
        _ image: ImageRecord, _ staged: String, _ room: ImageService
    ) async throws(Fault) -> Int? {
        guard image.containerFormat == "bare", let format = image.diskFormat else { return nil }
        return try await room.stores.staging.inspect(staged) { bytes throws(Fault) in
            try Inspection(bytes).virtualSize(declared: format)
        }
    }

    private static func checkBody(_ request: Request) throws(Fault) {
        guard let body = request.json else { throw .badRequest("Body expected in request.") }
        guard let method = body["method"] else { throw .badRequest("Import request requires a 'method' field.") }
        guard let name = method["name"] else { throw .badRequest("Import request requires a 'name' field.") }
        guard let text = name.string, methods.contains(text) else {
            throw .badRequest("Unknown import method name '\(name.string ?? name.text())'.")
        }
        for flag in ["all_stores_must_succeed", "all_stores"] {
            guard let value = body[flag] else { continue }
            guard value.bool != nil else { throw .badRequest("'\(flag)' must be boolean value only") }
        }
        if body["all_stores_must_succeed"]?.bool == false {
            throw .badRequest("All_stores_must_succeed can only be set with enabled_backends")
        }
    }
}

extension ImageRecord {
    fileprivate func requireImportable() throws(Fault) {
        if status == .active || status == .deactivated {
            throw .conflict("Image with status active cannot be target for import")
        }
        // Bytes that are still arriving have no checksum yet.
        guard status == .uploading, checksum != nil else {
            throw .conflict("Image needs to be staged before 'glance-direct' method can be used")
        }
        if containerFormat == nil { throw .conflict("'container_format' needs to be set before import") }
        if diskFormat == nil { throw .conflict("'disk_format' needs to be set before import") }
    }
}
