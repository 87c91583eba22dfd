// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Bytes that are in a store already, made an image's by their location.
package enum ImageLocations: Resource {
    package static let routes: [Route] = [
        .post(
            "/images/{image_id}/locations", "Add location", of: SeenImage.find,
            allow: .rule("add_image_location", ImageRules.addLocation), add, status: 202),
        .get(
            "/images/{image_id}/locations", "List locations", of: SeenImage.find,
            allow: .rule("fetch_image_location", "rule:service_api"), index),
    ]

    package static let migrations: [Migration] = ImageLocationCheck.migrations

    static func index(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        .json(.array(seen.image.locations.map { $0.wire(request.image.stores) }))
    }

    static func add(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let room = request.image
        let id = seen.image.id
        let wish = try LocationWish(request)
        try seen.image.requireQueued()
        if !request.caller.roles.contains("service"), !(wish.url.hasPrefix("http") && room.stores.hasHTTP) {
            throw .forbidden("http store must be enabled to use location API by normal user.")
        }
        guard !wish.url.hasPrefix("http") || room.imports.filter.allows(wish.url) else {
            throw .badRequest("URI for add location does not pass filtering: \(wish.url)")
        }
        let (location, size) = try await room.resolve(wish.url)
        let hashes = room.storeOptions.hashesLocations
        // What is to be compared is read before anybody may boot from it.
        let status: ImageStatus = hashes && wish.hash != nil ? .importing : .active
        let now = request.now
        let quotas = ImageQuotas.bytes(of: seen.image.owner, room)
        let task = request.locationTask(id, wish, isOver: !hashes)
        try await request.database.transaction { transaction throws(Fault) in
            try ImageRecord.locked(id, transaction).requireQueued()
            try quotas.requireRoom(size, transaction)
            try task.insert(transaction, now: now)
            // While the bytes are read it is known what will be told of them.
            let algorithm = wish.hash?.algorithm ?? (hashes ? "sha512" : nil)
            let value = hashes ? nil : wish.hash?.value
            try transaction.update(
                ImageRecord.self,
                set: """
                    status = \(status), size = \(size), locations = \([location].json), \
                    os_hash_algo = \(algorithm), os_hash_value = \(value), updated_at = \(now)
                    """, where: "id = \(id)")
            guard hashes else { return }
            try transaction.insert(
                ImageLocationCheck(
                    imageID: id, algorithm: wish.hash?.algorithm ?? "sha512", expected: wish.hash?.value, tries: 0))
        }
        return .empty
    }
}

extension Request {
    /// What clients watch until the bytes behind a location are read.
    fileprivate func locationTask(_ imageID: String, _ wish: LocationWish, isOver: Bool) -> ImageTask {
        let validation: JSON =
            wish.hash.map { ["os_hash_algo": .string($0.algorithm), "os_hash_value": .string($0.value)] } ?? [:]
        return ImageTask(
            id: ids.uuid(), type: .locationImport, status: isOver ? .success : .processing, owner: caller.projectID,
            userID: caller.userID, requestID: id, imageID: imageID,
            input: ["image_id": .string(imageID), "loc_url": .string(wish.url), "validation_data": validation],
            result: isOver ? ["image_id": .string(imageID)] : .null, message: "",
            expiresAt: isOver ? now + image.imports.taskTimeToLive : nil, createdAt: now, updatedAt: now)
    }
}

extension ImageRecord {
    fileprivate func requireQueued() throws(Fault) {
        guard status == .queued else {
            throw .conflict("It's not allowed to add locations if image status is \(status.rawValue).")
        }
    }
}

/// A location as `POST /locations` asks for it.
private struct LocationWish {
    struct Hash {
        let algorithm: String
        let value: String
    }

    let url: String
    let hash: Hash?
    private static let sizes = ["md5": 16, "sha1": 20, "sha256": 32, "sha512": 64]

    init(_ request: Request) throws(Fault) {
        guard case .object(let body)? = request.json else { throw .badRequest("Body expected in request.") }
        guard let url = body["url"] else { throw Wording.glance.missing("url") }
        guard let text = url.string else {
            throw Wording.glance.invalid("url", url, "\(url.text()) is not of type 'string'")
        }
        self.url = text
        guard let given = body["validation_data"], !given.isNull else {
            hash = nil
            return
        }
        guard let members = given.object, members.keys.allSatisfy({ ["os_hash_algo", "os_hash_value"].contains($0) })
        else { throw Wording.glance.invalid("validation_data", given, "Additional properties are not allowed") }
        if members.isEmpty {
            hash = nil
            return
        }
        guard let value = members["os_hash_value"]?.string, let algorithm = members["os_hash_algo"]?.string else {
            throw Wording.glance.invalid(
                "validation_data", given, "'os_hash_algo' and 'os_hash_value' depend on one another")
        }
        guard let size = Self.sizes[algorithm] else {
            throw Wording.glance.invalid(
                "os_hash_algo", members["os_hash_algo"],
                "'\(algorithm)' is not one of ['sha1', 'sha256', 'sha512', 'md5']")
        }
        guard let bytes = Hex.decode(value) else {
            throw .badRequest("os_hash_value (\(value)) is not a valid hexadecimal value")
        }
        guard bytes.count == size else {
            throw .badRequest(
                "os_hash_value: (\(value)) is not the correct size for \(algorithm) (should be (\(size)) bytes)")
        }
        hash = Hash(algorithm: algorithm, value: value.lowercased())
    }
}

extension ImageStores {
    fileprivate var hasHTTP: Bool { entries.contains { $0.kind == .http } }
}

extension ImageService {
    /// The store that a client's URL leads to, and how many bytes are there; locations on our own disk, or with
    /// credentials of ours, are not for clients to name.
    func resolve(_ url: String, metadata: JSON = [:]) async throws(Fault) -> (ImageLocation, size: Int) {
        let scheme = url.prefix { $0 != ":" }
        guard !["file", "filesystem", "swift+config"].contains(scheme), url.contains("://"),
            let entry = await stores.owner(of: url)
        else { throw .badRequest("Invalid location") }
        let size: Int?
        do throws(Fault) { size = try await entry.store.size(url) } catch {
            log.info("a location could not be looked at", ["url": url, "error": error.message])
            size = nil
        }
        guard let size, size > 0 else { throw .badRequest("Invalid location") }
        return (ImageLocation(store: entry.id, url: url, metadata: metadata), size)
    }
}
