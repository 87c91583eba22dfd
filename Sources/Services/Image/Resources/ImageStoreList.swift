// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The stores as clients see them, and taking an image out of one.
package enum ImageStoreList: Resource {
    package static let routes: [Route] = [
        .get("/info/stores", "List stores", of: Anything.from, allow: .anyone("discovery"), index),
        .get(
            "/info/stores/detail", "List stores with details", of: Anything.from,
            allow: .rule("stores_info_detail", ImageRules.admin + " or rule:service_api"), details),
        .delete(
            "/stores/{store_id}/{image_id}", "Delete image data from a store", of: SeenImage.find,
            allow: .rule("delete_image_location", ImageRules.admin), delete),
    ]

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let stores = try several(request)
        return .list("stores", stores.entries.map { entry in { entry.summary(&$0, stores) } })
    }

    static func details(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let stores = try several(request)
        var items: [(inout View) -> Void] = []
        for entry in stores.entries {
            let properties = try await entry.store.properties()
            items.append { view in
                entry.summary(&view, stores)
                view.put("type", entry.kind.rawValue)
                view.put("weight", entry.weight)
                view.put("properties", properties)
            }
        }
        return .list("stores", items)
    }

    static func delete(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let room = request.image
        guard room.stores.isMulti else { throw .notFound("The resource could not be found.") }
        let (id, store) = (seen.image.id, request["store_id"])
        guard room.stores[store] != nil else { throw .noStore(store) }
        guard request.may("get_image_location", on: seen) else {
            throw request.index.envelope.refusal("get_image_location")
        }
        try await room.requireUnused(seen.image, in: store)
        let now = request.now
        let doomed = try await request.database.transaction { transaction throws(Fault) in
            var image = try ImageRecord.locked(id, transaction)
            guard image.status == .active else {
                throw .conflict(
                    "It's not allowed to remove image data from store if image status is not 'active'")
            }
            guard image.locations.count > 1 else {
                throw .forbidden(
                    "Cannot delete image data from the only store containing it. Consider deleting the image instead.")
            }
            guard let index = image.locations.firstIndex(where: { $0.store == store }) else {
                throw .notFound("Image \(id) is not stored in store \(store).")
            }
            let gone = image.locations.remove(at: index)
            try transaction.update(
                ImageRecord.self, set: "locations = \(image.locations.json), updated_at = \(now)",
                where: "id = \(id)")
            return try room.doom([gone], of: id, transaction)
        }
        try await room.clear(doomed)
        return .empty
    }

    private static func several(_ request: Request) throws(Fault) -> ImageStores {
        let stores = request.image.stores
        guard stores.isMulti else { throw .notFound("Multi backend is not supported at this site.") }
        return stores
    }
}

// MARK: - Wire

extension ImageStores.Entry {
    /// Upstream says "true" as text.
    func summary(_ view: inout View, _ stores: ImageStores) {
        view.put("id", id)
        if let description { view.put("description", description) }
        if id == stores.standard.id { view.put("default", "true") }
        if store.isReadOnly { view.put("read-only", "true") }
    }
}

extension ImageRecord {
    /// Where the bytes are, as far as the operator lets clients know.
    func place(_ view: inout View) {
        let room = view.request.image
        let options = room.storeOptions
        guard options.showsLocations || options.showsDirectURL || room.stores.isMulti else { return }
        let isSeen = view.may("get_image_location", on: SeenImage(self, as: view.request.caller))
        let seen = isSeen ? locations : []
        if options.showsLocations { view.put("locations", JSON.array(seen.map { $0.wire(room.stores) })) }
        if options.showsDirectURL, let best = room.stores.ordered(seen).first { view.put("direct_url", best.url) }
        guard room.stores.isMulti else { return }
        let names = seen.map(\.store).filter { !$0.isEmpty }
        if !names.isEmpty { view.put("stores", names.joined(separator: ",")) }
    }
}

extension ImageLocation {
    /// `{"url": ..., "metadata": {"store": ...}}`.
    func wire(_ stores: ImageStores) -> JSON {
        var members = metadata.object ?? JSONObject()
        if stores.isMulti, !store.isEmpty { members["store"] = .string(store) }
        return ["url": .string(url), "metadata": .object(members)]
    }
}

extension [ImageLocation] {
    /// As the image's row holds them.
    package var json: JSON {
        .array(map { ["store": .string($0.store), "url": .string($0.url), "metadata": $0.metadata] })
    }
}
