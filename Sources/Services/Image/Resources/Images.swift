// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// An image as the database knows it. The bytes are in the stores, at `locations`.
package struct ImageRecord: Record {
    package static let table = "image_images"

    package let id: String
    package var name: String?
    package var owner: String?
    package var status: ImageStatus
    package var visibility: ImageVisibility
    package var diskFormat: String?
    package var containerFormat: String?
    package var size: Int?
    package var virtualSize: Int?
    package var checksum: String?
    package var osHashAlgo: String?
    package var osHashValue: String?
    package var minDisk: Int
    package var minRam: Int
    package var protected: Bool
    package var osHidden: Bool
    package var tags: [String]
    /// Free properties by name, in the order they came.
    package var properties: JSON
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    /// The name of the deposit that is being written or staged for it; a new one for each attempt to upload, and so the
    /// mark of that attempt.
    package var location: String?
    package var locations: [ImageLocation] = []
}

extension ImageRecord: Resource {
    package static let routes: [Route] = [
        .get("/images", "List images", of: OwnScope.from, allow: .rule("get_images", ImageRules.reader), index),
        .post(
            "/images", "Create image", of: ImageDraftRequest.from, allow: .rule("add_image", ImageRules.create),
            create),
        .get("/images/{image_id}", "Show image", of: SeenImage.find, allow: .rule("get_image", ImageRules.show), show),
        .patch(
            "/images/{image_id}", "Update image", of: SeenImage.find, allow: .rule("modify_image", ImageRules.member),
            update),
        .delete(
            "/images/{image_id}", "Delete image", of: SeenImage.find, allow: .rule("delete_image", ImageRules.member),
            delete),
        .delete(
            "/images", "Refuse to delete without an id", of: Anything.from, allow: .anyone("discovery"), deleteNothing),
    ]

    /// Tags and properties stand twice: in the image's row, which answers are written from, and in rows of their own,
    /// which lists are filtered by.
    package static let migrations: [Migration] =
        [
            """
            2026-11-21 image images
            CREATE TABLE image_images (
                id VARCHAR(36) PRIMARY KEY, name VARCHAR(255), owner VARCHAR(255), status VARCHAR(30) NOT NULL,
                visibility VARCHAR(30) NOT NULL, disk_format VARCHAR(20), container_format VARCHAR(20), size BIGINT,
                virtual_size BIGINT, checksum VARCHAR(32), os_hash_algo VARCHAR(64), os_hash_value VARCHAR(128),
                min_disk INTEGER NOT NULL, min_ram INTEGER NOT NULL, protected INTEGER NOT NULL,
                os_hidden INTEGER NOT NULL, tags TEXT NOT NULL, properties TEXT NOT NULL, created_at BIGINT NOT NULL,
                updated_at BIGINT NOT NULL, location VARCHAR(64));
            CREATE INDEX image_images_owner ON image_images (owner);
            CREATE INDEX image_images_visibility ON image_images (visibility);
            CREATE INDEX image_images_created_at ON image_images (created_at);
            CREATE TABLE image_tags (image_id VARCHAR(36) NOT NULL, value VARCHAR(255) NOT NULL,
                PRIMARY KEY (image_id, value));
            CREATE INDEX image_tags_value ON image_tags (value);
            CREATE TABLE image_properties (image_id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, value TEXT,
                PRIMARY KEY (image_id, name));
            CREATE INDEX image_properties_name ON image_properties (name)
            """
        ] + ImageDepositRecord.migrations
}

// MARK: - Handlers

extension ImageRecord {
    static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        try request.refuseEmptyID()
        let query = try ImageQuery(request)
        try await query.checkMarker()
        let found = try await request.database.all(
            ImageRecord.self, query.page.condition(query.condition, table: table))
        let images = found.filter { request.may("get_image", on: SeenImage($0, as: request.caller)) }
        return .list(
            "images", images.map { image in { image.details(&$0) } }, page: query.page, ids: found.map(\.id),
            extra: { $0.put("schema", "/v2/schemas/images") })
    }

    static func create(_ request: Request, _ draft: ImageDraftRequest) async throws(Fault) -> Reply {
        let image = draft.image
        try request.requireVisibility(image.visibility, on: draft)
        try image.requireQuotas(request.image.options)
        for name in image.properties.object?.keys ?? [] where !request.may(.create, property: name) {
            throw .forbidden("Attribute '\(name)' is reserved.")
        }
        let quotas = try await ImageQuotas.of(request)
        try await request.database.transaction { transaction throws(Fault) in
            try quotas.requireImage(transaction)
            // An id is not given again, not even that of an image that is gone.
            guard try transaction.count(DeletedImage.self, "id = \(image.id)") == 0 else {
                throw .conflict("Image ID \(image.id) already exists!")
            }
            try transaction.insert(image, or: .conflict("Image ID \(image.id) already exists!"))
            try image.saveWords(transaction)
        }
        return Reply.bare(image.details).header("Location", "\(request.root)/v2/images/\(image.id)")
            .header(
                "OpenStack-image-import-methods", request.image.imports.methods.map(\.rawValue).joined(separator: ","))
    }

    static func show(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply { .bare(seen.image.details) }

    static func update(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let patch = try ImagePatch(request)
        if patch.changes.isEmpty { return .bare(seen.image.details) }
        try patch.requireProperties(seen.image, request)
        for visibility in patch.visibilities { try request.requireVisibility(visibility, on: seen) }
        let isAdmin = request.may("context_is_admin", on: Anything())
        let now = request.now
        let room = request.image
        let wishes = try await LocationWishes(patch, seen, request)
        let quotas = ImageQuotas.bytes(of: seen.image.owner, room)
        let (image, doomed) = try await request.database.transaction { transaction throws(Fault) in
            var image = try ImageRecord.locked(seen.image.id, transaction)
            let copies = image.locations.count
            let gone = try patch.apply(to: &image, isAdmin: isAdmin, wishes, room.options.formats)
            try image.requireQuotas(room.options)
            // Each location holds the bytes once more.
            let more = image.locations.count - copies
            if more > 0 { try quotas.requireRoom((image.size ?? 0) * more, transaction) }
            image.updatedAt = now
            try image.save(transaction)
            return (image, try room.doom(gone, of: image.id, transaction))
        }
        try await room.clear(doomed)
        return .bare(image.details)
    }

    static func delete(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let id = seen.image.id
        let room = request.image
        let now = request.now
        if !seen.image.protected { try await room.requireUnused(seen.image) }
        let doomed = try await request.database.transaction { transaction throws(Fault) in
            let image = try ImageRecord.locked(id, transaction)
            guard !image.protected else { throw .forbidden("Image \(id) is protected and cannot be deleted.") }
            try transaction.delete(ImageRecord.self, "id = \(id)")
            try transaction.execute("DELETE FROM image_tags WHERE image_id = \(id)")
            try transaction.execute("DELETE FROM image_properties WHERE image_id = \(id)")
            try transaction.delete(ImageMember.self, "image_id = \(id)")
            let buried = try image.bury(delayed: room.options.delaysDeletion, now, transaction)
            var doomed = try room.doom(buried, of: id, transaction)
            // Uploads and imports that are under way clear up for themselves.
            if image.status == .uploading, image.checksum != nil, let staged = image.location {
                doomed.append(staged)
            }
            if image.importTask != nil { try room.queue.cancel(subject: id, in: transaction) }
            return doomed
        }
        try await room.clear(doomed)
        try await room.uncache(id)
        return .empty
    }
}

extension ImageRecord {
    static func deleteNothing(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try request.refuseEmptyID()
        throw Fault(405, "The method DELETE is not allowed for this resource.", headers: ["Allow": "GET, HEAD, POST"])
    }
}

extension Request {
    /// `/images/` is the image whose id is empty, which nobody has.
    fileprivate func refuseEmptyID() throws(Fault) {
        if http.path.hasSuffix("/") { throw .notFound("The resource could not be found.") }
    }
}

// MARK: - Rows

extension ImageRecord {
    /// The row as it is inside a transaction.
    static func locked(_ id: String, _ transaction: Transaction) throws(Fault) -> ImageRecord {
        try transaction.one(ImageRecord.self, "id = \(id)", or: .imageNotFound(id))
    }

    func save(_ transaction: Transaction) throws(Fault) {
        try transaction.replace(self, where: "id = \(id)", or: .imageNotFound(id))
        try saveWords(transaction)
    }

    /// Writes the rows that lists are filtered by.
    func saveWords(_ transaction: Transaction) throws(Fault) {
        try transaction.execute("DELETE FROM image_tags WHERE image_id = \(id)")
        try transaction.execute("DELETE FROM image_properties WHERE image_id = \(id)")
        for tag in tags {
            try transaction.execute("INSERT INTO image_tags (image_id, value) VALUES (\(id), \(tag))")
        }
        for (name, value) in properties.object ?? JSONObject() {
            try transaction.execute(
                "INSERT INTO image_properties (image_id, name, value) VALUES (\(id), \(name), \(value.string))")
        }
    }

    func requireQuotas(_ options: ImageOptions) throws(Fault) {
        if options.tagQuota >= 0, tags.count > options.tagQuota {
            throw .tooLarge(
                "The limit has been exceeded on the number of allowed image tags. Attempted: \(tags.count), "
                    + "Maximum: \(options.tagQuota)")
        }
        if options.locationQuota >= 0, locations.count > options.locationQuota {
            throw .tooLarge(
                "The limit has been exceeded on the number of allowed image locations. Attempted: \(locations.count), "
                    + "Maximum: \(options.locationQuota)")
        }
        let count = (properties.object?.keys ?? []).count { !$0.hasPrefix(ImportMarks.prefix) }
        if options.propertyQuota >= 0, count > options.propertyQuota {
            throw .tooLarge(
                "The limit has been exceeded on the number of allowed image properties. Attempted: \(count), "
                    + "Maximum: \(options.propertyQuota)")
        }
    }
}

// MARK: - Wire

extension ImageRecord {
    func details(_ view: inout View) {
        for (name, value) in properties.object ?? JSONObject() where view.request.may(.read, property: name) {
            view.put(named: name, value)
        }
        view.put("name", name)
        view.put("disk_format", diskFormat)
        view.put("container_format", containerFormat)
        view.put("visibility", visibility)
        view.put("size", size)
        view.put("virtual_size", virtualSize)
        view.put("status", status)
        view.put("checksum", isReadable ? checksum : nil)
        view.put("protected", protected)
        view.put("min_ram", minRam)
        view.put("min_disk", minDisk)
        view.put("owner", owner)
        view.put("os_hidden", osHidden)
        view.put("os_hash_algo", isReadable ? osHashAlgo : nil)
        view.put("os_hash_value", isReadable ? osHashValue : nil)
        view.put("id", id)
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
        view.put("tags", tags)
        view.put("self", "/v2/images/\(id)")
        view.put("file", "/v2/images/\(id)/file")
        view.put("schema", "/v2/schemas/image")
        place(&view)
    }

    /// Whether the image has its bytes: those that are only staged are not spoken of.
    var isReadable: Bool { status == .active || status == .deactivated }
}

extension Fault {
    static func imageNotFound(_ id: String) -> Fault { .notFound("No image found with ID \(id)") }
}
