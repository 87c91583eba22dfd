// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a patch says of an image's locations, with the stores' word on each URL that is new to the image.
struct LocationWishes: Sendable {
    /// One location as a client gives it.
    private struct Wish: Sendable {
        let url: String
        let metadata: JSON
        let proof: [String: String]
        /// What the store knows of it; nil when the image has it already.
        var found: (location: ImageLocation, size: Int)?
    }

    /// By the number of the change in the patch.
    private var wishes: [Int: [Wish]] = [:]

    init(_ patch: ImagePatch, _ seen: SeenImage, _ request: Request) async throws(Fault) {
        for (number, change) in patch.changes.enumerated() where change.name == "locations" {
            if change.deed == .replace, change.value.array?.isEmpty ?? change.value.isNull {
                throw .forbidden("Cannot set locations to empty list.")
            }
            let rule = change.deed == .remove ? "delete_image_location" : "set_image_location"
            guard request.may(rule, on: seen) else { throw request.index.envelope.refusal(rule) }
            guard request.image.storeOptions.showsLocations else {
                let verb = change.deed == .replace ? "update" : change.deed.rawValue
                throw .forbidden("It's not allowed to \(verb) locations if locations are invisible.")
            }
            try Self.requireStatus(seen.image, change.deed)
            if change.deed == .remove {
                if let index = Self.position(change, count: seen.image.locations.count) {
                    let location = seen.image.locations[index]
                    try await request.image.stores.entry(of: location)?.store.requireUnused(location.url)
                }
                continue
            }
            wishes[number] = try await Self.read(change, seen.image, request.image)
        }
    }

    // MARK: Reading

    private static func read(
        _ change: ImagePatch.Change, _ image: ImageRecord, _ room: ImageService
    ) async throws(Fault) -> [Wish] {
        let items = change.deed == .add ? [change.value] : change.value.array
        guard let items else {
            throw Wording.glance.invalid(
                "locations", change.value, "\(change.value.text()) is not of type 'array'")
        }
        var wishes = try items.mapping { item throws(Fault) in try wish(item) }
        if change.deed == .replace, image.locations.map(\.url).sorted() == wishes.map(\.url).sorted() { return wishes }
        for index in wishes.indices {
            wishes[index].found = try await room.resolve(wishes[index].url, metadata: wishes[index].metadata)
        }
        return wishes
    }

    private static func wish(_ item: JSON) throws(Fault) -> Wish {
        guard let members = item.object, let url = members["url"]?.string, url.unicodeScalars.count <= 255,
            var metadata = members["metadata"]?.object
        else {
            throw Wording.glance.invalid(
                "locations", item, "a location has a 'url' of at most 255 characters and 'metadata', an object")
        }
        // The store is known by the URL.
        metadata.removeValue(forKey: "store")
        var proof: [String: String] = [:]
        if let given = members["validation_data"] {
            let allowed = ["checksum", "os_hash_algo", "os_hash_value"]
            guard let values = given.object, values.keys.allSatisfy(allowed.contains),
                values["os_hash_algo"] != nil, values["os_hash_value"] != nil,
                values["checksum"]?.string?.utf8.count ?? 32 == 32
            else {
                throw Wording.glance.invalid(
                    "validation_data", given, "it has 'os_hash_algo', 'os_hash_value' and perhaps a 'checksum'")
            }
            for (name, value) in values {
                guard let text = value.string, text.utf8.count <= 128 else {
                    throw Wording.glance.invalid(name, value, "\(value.text()) is not of type 'string'")
                }
                proof[name] = text
            }
        }
        return Wish(url: url, metadata: .object(metadata), proof: proof)
    }

    // MARK: Applying

    /// Gives the locations that are the image's no more.
    func apply(
        _ number: Int, _ change: ImagePatch.Change, to image: inout ImageRecord
    ) throws(Fault) -> [ImageLocation] {
        try Self.requireStatus(image, change.deed)
        let wishes = wishes[number] ?? []
        switch change.deed {
        case .remove: return [try Self.remove(change, from: &image)]
        case .add:
            let proof = try Self.proof(of: wishes, image)
            guard let index = Self.position(change, count: image.locations.count) else {
                throw .badRequest("Invalid position for adding a location.")
            }
            for wish in wishes { try Self.insert(wish, at: index, in: &image) }
            try image.activate(proof)
        case .replace:
            let proof = try Self.proof(of: wishes, image)
            try Self.replace(wishes, in: &image)
            try image.activate(proof)
        }
        return []
    }

    private static func requireStatus(_ image: ImageRecord, _ deed: ImagePatch.Deed) throws(Fault) {
        guard image.status != .active, deed == .remove || image.status != .queued else { return }
        throw .conflict(
            "It's not allowed to \(deed.rawValue) locations if image status is \(image.status.rawValue).")
    }

    private static func remove(_ change: ImagePatch.Change, from image: inout ImageRecord) throws(Fault)
        -> ImageLocation
    {
        guard image.locations.count != 1 else { throw .forbidden("Cannot remove last location in the image.") }
        guard let index = position(change, count: image.locations.count) else {
            throw .badRequest("Invalid position for removing a location.")
        }
        return image.locations.remove(at: index)
    }

    private static func insert(_ wish: Wish, at index: Int, in image: inout ImageRecord) throws(Fault) {
        guard let found = wish.found else { throw .badRequest("Invalid location") }
        guard !image.locations.contains(where: { $0.url == wish.url && $0.metadata == wish.metadata }) else {
            throw .badRequest("The location \(wish.url) already exists")
        }
        image.locations.insert(found.location, at: index)
        if image.size ?? 0 == 0 { image.size = found.size }
    }

    /// The same URLs again change their order and metadata; others are taken only by an image that has none.
    private static func replace(_ wishes: [Wish], in image: inout ImageRecord) throws(Fault) {
        let had = image.locations
        guard had.map(\.url).sorted() == wishes.map(\.url).sorted() else {
            guard had.isEmpty else {
                let urls = had.map(\.url).joined(separator: ", ")
                throw .badRequest("Original locations is not empty: \(urls)")
            }
            for wish in wishes { try insert(wish, at: image.locations.count, in: &image) }
            return
        }
        image.locations = wishes.map { wish in
            let store = had.first { $0.url == wish.url }?.store ?? ""
            return ImageLocation(store: store, url: wish.url, metadata: wish.metadata)
        }
    }

    /// `-` is the end; when adding any number is a place, at most the end.
    private static func position(_ change: ImagePatch.Change, count: Int) -> Int? {
        let adds = change.deed == .add
        guard let text = change.position else { return nil }
        if text == "-" { return adds ? count : count > 0 ? count - 1 : nil }
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        let index = Int(text) ?? Int.max
        return adds ? min(index, count) : index < count ? index : nil
    }

    // MARK: Checksum and hash

    private static let algorithm = "sha512"

    /// What clients say of the data: it may repeat what is known, and tell what is not while the image waits.
    private static func proof(of wishes: [Wish], _ image: ImageRecord) throws(Fault) -> [String: String] {
        var told: [String: String] = [:]
        for (name, value) in wishes.flatMap(\.proof) {
            guard told[name] ?? value == value else { throw .conflict("Conflicting values for \(name)") }
            told[name] = value
        }
        let known = [
            "checksum": image.checksum, "os_hash_algo": image.osHashAlgo, "os_hash_value": image.osHashValue,
        ]
        var fresh: [String: String] = [:]
        for name in told.keys.sorted() where told[name] != known[name] ?? nil {
            guard known[name] ?? nil == nil else { throw .conflict("\(name) is already set with a different value") }
            fresh[name] = told[name]
        }
        if fresh.isEmpty { return [:] }
        guard image.status == .queued else {
            let names = fresh.keys.sorted().joined(separator: ", ")
            throw .conflict("New value(s) for \(names) may only be provided when image status is 'queued'")
        }
        if let checksum = fresh["checksum"] { try requireHex("checksum", checksum, 16, "md5") }
        guard fresh["os_hash_algo"] == algorithm else {
            throw .conflict("os_hash_algo must be \(algorithm), not \(fresh["os_hash_algo"] ?? "None")")
        }
        try requireHex("os_hash_value", fresh["os_hash_value"] ?? "", 64, algorithm)
        return fresh
    }

    private static func requireHex(_ name: String, _ text: String, _ size: Int, _ what: String) throws(Fault) {
        guard let bytes = Hex.decode(text) else {
            throw .conflict("\(name) (\(text)) is not a valid hexadecimal value")
        }
        guard bytes.count == size else {
            throw .conflict("\(name) (\(text)) is not the correct size for \(what) (should be \(size) bytes)")
        }
    }
}

extension ImageRecord {
    /// An image that waited for data has it now.
    fileprivate mutating func activate(_ proof: [String: String]) throws(Fault) {
        guard status == .queued else { return }
        let formats = [("disk_format", diskFormat), ("container_format", containerFormat)]
        let missing = formats.filter { $0.1 == nil }.map(\.0)
        guard missing.isEmpty else {
            let noun = missing.count == 1 ? "Property" : "Properties"
            throw .badRequest("\(noun) \(missing.joined(separator: ", ")) must be set prior to saving data.")
        }
        checksum = proof["checksum"] ?? checksum
        osHashAlgo = proof["os_hash_algo"] ?? osHashAlgo
        osHashValue = proof["os_hash_value"]?.lowercased() ?? osHashValue
        status = .active
    }
}
