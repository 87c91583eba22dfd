// SPDX-License-Identifier: Apache-2.0
internal import Clients
internal import Kernel

/// An import as asked for by `POST /images/{id}/import`.
struct ImportDraft: Sendable {
    let method: ImportMethod
    private let asked: JSON
    private let url: String?
    private let isEverywhere: Bool
    private let mustAllSucceed: Bool

    init(_ request: Request) throws(Fault) {
        guard let body = request.json else { throw .badRequest("Body expected in request.") }
        guard let asked = body["method"] else { throw .badRequest("Import request requires a 'method' field.") }
        guard let name = asked["name"] else { throw .badRequest("Import request requires a 'name' field.") }
        guard let method = name.string.flatMap(ImportMethod.init), request.image.imports.methods.contains(method)
        else { throw .badRequest("Unknown import method name '\(name.string ?? name.text())'.") }
        self.method = method
        self.asked = body
        url = asked["uri"]?.string
        mustAllSucceed = try ImportDraft.flag("all_stores_must_succeed", body) ?? true
        isEverywhere = try ImportDraft.flag("all_stores", body) ?? false
    }

    private static func flag(_ name: String, _ body: JSON) throws(Fault) -> Bool? {
        guard let value = body[name] else { return nil }
        guard let flag = value.bool else { throw .badRequest("'\(name)' must be boolean value only") }
        return flag
    }

    /// In upstream's order: a client hears of the first of these.
    func requireStatus(_ image: ImageRecord) throws(Fault) {
        if image.status == .active, method != .copyImage {
            throw .conflict("Image with status active cannot be target for import")
        }
        if image.status != .active, method == .copyImage {
            throw .conflict("Only images with status active can be targeted for copying")
        }
        if image.status != .queued, method == .webDownload || method == .glanceDownload {
            throw .conflict("Image needs to be in 'queued' state to use '\(method.rawValue)' method")
        }
        // Bytes that are still arriving have no checksum yet.
        if method == .glanceDirect, image.status != .uploading || image.checksum == nil {
            throw .conflict("Image needs to be staged before 'glance-direct' method can be used")
        }
        if image.containerFormat == nil { throw .conflict("'container_format' needs to be set before import") }
        if image.diskFormat == nil { throw .conflict("'disk_format' needs to be set before import") }
    }

    // MARK: Beginning

    /// Gives the image to a task and queues the work, or finds that nothing is to be done.
    func begin(_ request: Request, _ seen: ImageRecord) async throws(Fault) {
        let room = request.image
        let remote = try remoteImage()
        let stores = try chosen(request, seen)
        if stores.isEmpty { return }
        if !mustAllSucceed, !room.stores.isMulti {
            throw .badRequest("All_stores_must_succeed can only be set with enabled_backends \(url ?? "None")")
        }
        if method == .webDownload, !room.imports.filter.allows(url ?? "") {
            throw .badRequest("URI for web-download does not pass filtering: \(url ?? "None")")
        }
        let quotas = try await ImageQuotas.of(request)
        let task = ImageTask(
            id: request.ids.uuid(), type: .apiImageImport, status: .pending, owner: request.caller.projectID,
            userID: request.caller.userID, requestID: request.id, imageID: seen.id, input: input(seen, stores, room),
            result: .null, message: "", expiresAt: nil, createdAt: request.now, updatedAt: request.now)
        let operation = ImportImage(
            subject: seen.id, taskID: task.id, method: method, url: url, remote: remote,
            plugins: method == .copyImage ? [] : room.imports.plugins,
            injected: room.imports.injection(request.caller), stores: stores, mustAllSucceed: mustAllSucceed)
        if remote != nil { await room.tokens.keep(request.header("X-Auth-Token") ?? "", for: task.id) }
        try await room.begin(operation, task, request.id) { image, transaction throws(Fault) in
            try requireStatus(image)
            try quotas.requireImport(image, method, transaction)
        }
    }

    private func input(_ image: ImageRecord, _ stores: [String], _ room: ImageService) -> JSON {
        let named: [JSON] = room.stores.isMulti ? stores.map(JSON.string) : [.null]
        return ["image_id": .string(image.id), "import_req": asked, "backend": .array(named)]
    }

    private func remoteImage() throws(Fault) -> RemoteGlance.Image? {
        guard method == .glanceDownload else { return nil }
        let method = asked["method"] ?? [:]
        for name in ["glance_region", "glance_image_id"] where method[name] == nil {
            throw .badRequest("'\(name)' needs to be set for glance-download import method")
        }
        let id = method["glance_image_id"]?.string ?? ""
        guard Hex.isUUID(id) else { throw .badRequest("Remote image id does not look like a UUID: \(id)") }
        return RemoteGlance.Image(
            region: method["glance_region"]?.string ?? "",
            interface: method["glance_service_interface"]?.string ?? "public", id: id)
    }

    /// The stores the bytes are to go to.
    private func chosen(_ request: Request, _ image: ImageRecord) throws(Fault) -> [String] {
        let stores = request.image.stores
        let header = request.header("x-image-meta-store")
        guard stores.isMulti else { return [stores.standard.id] }
        var names: [String]
        if isEverywhere {
            guard asked["stores"] == nil, header == nil else {
                throw .badRequest(
                    "All_stores parameter can't be used with x-image-meta-store header or stores parameter")
            }
            names = stores.entries.filter { !$0.store.isReadOnly }.map(\.id)
        } else if let list = asked["stores"] {
            guard header == nil else {
                throw .badRequest("Stores parameter and x-image-meta-store header can't be both specified")
            }
            guard let items = list.array, !items.isEmpty, items.allSatisfy({ $0.string != nil }) else {
                throw .badRequest("'stores' must be a list of store identifiers")
            }
            names = items.compactMap(\.string)
        } else {
            names = [header ?? stores.standard.id]
        }
        var once = Set<String>()
        names = names.filter { once.insert($0).inserted }
        for name in names where stores[name] == nil { throw .conflict("Unknown scheme '\(name)' found in URI") }
        guard method == .copyImage else { return names }
        let present = Set(image.locations.map(\.store))
        if isEverywhere { return names.filter { !present.contains($0) } }
        if let name = names.first(where: { present.contains($0) }) {
            throw .badRequest("Image is already present at store '\(name)'")
        }
        return names
    }
}

extension ImportOptions {
    /// What the plugin sets on imports of this caller.
    func injection(_ caller: Caller) -> [String: String] {
        caller.roles.contains(where: { rolesIgnored.contains($0) }) ? [:] : injected
    }
}

// MARK: - Queueing

extension ImageService {
    /// In one transaction: the image is the task's, the task is there, and the work is queued.
    func begin(
        _ operation: ImportImage, _ task: ImageTask, _ requestID: String,
        _ check: @escaping @Sendable (ImageRecord, Transaction) throws(Fault) -> Void
    ) async throws(Fault) {
        let now = clock.now()
        try await database.transaction { [stores, queue] transaction throws(Fault) in
            var image = try ImageRecord.locked(operation.subject, transaction)
            try check(image, transaction)
            if let other = image.importTask,
                let holder = try transaction.first(ImageTask.self, "id = \(other)"), !holder.isOver
            {
                throw .conflict("Image has active task")
            }
            image.mark(ImportMarks.task, task.id)
            let named = stores.isMulti ? operation.stores : []
            image.mark(ImportMarks.importing, add: named)
            image.mark(ImportMarks.failed, remove: named)
            if operation.method != .copyImage { image.status = .importing }
            image.updatedAt = now
            try image.save(transaction)
            try task.insert(transaction, now: now)
            try queue.enqueue(operation, requestID: requestID, in: transaction)
        }
    }
}

/// Where other image services are, by Identity's catalog.
struct ImageEndpoints {
    private let identity: ServiceClient?
    private let requestID: String

    init(_ room: ImageService, _ requestID: String) {
        identity = room.ports.transport.map {
            ServiceClient("identity", base: "/v3", over: $0, as: room.ports.caller)
        }
        self.requestID = requestID
    }

    func find(_ region: String, _ interface: String) async throws(Fault) -> String {
        let services = try await identity?.call("GET", "/services", query: [("type", "image")], requestID: requestID)
        for service in services?["services"]?.array ?? [] {
            let query = [
                ("service_id", service["id"]?.string ?? ""), ("region_id", region), ("interface", interface),
            ]
            let found = try await identity?.call("GET", "/endpoints", query: query, requestID: requestID)
            if var url = found?["endpoints"]?.array?.first?["url"]?.string {
                while url.hasSuffix("/") { url.removeLast() }
                return url
            }
        }
        throw .badRequest("There is no \(interface) endpoint of an image service in region \(region).")
    }
}
