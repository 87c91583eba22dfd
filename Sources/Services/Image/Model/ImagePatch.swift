// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A JSON patch on an image, in either of the drafts that Glance speaks.
struct ImagePatch: Sendable {
    enum Deed: String, CaseIterable { case add, remove, replace }

    struct Change: Sendable {
        let deed: Deed
        let name: String
        let value: JSON
        /// The place in the list, where the path has a second step; `locations` only.
        var position: String?
    }

    let changes: [Change]
    /// Draft 4 (v2.0) refuses to add what is there; draft 10 (v2.1) replaces it.
    let isOldDraft: Bool

    static let mediaTypes = [
        "application/openstack-images-v2.0-json-patch", "application/openstack-images-v2.1-json-patch",
    ]
    private static let deeds = "add, remove, replace"

    init(_ request: Request) throws(Fault) {
        let type = (request.header("Content-Type") ?? "").prefix { $0 != ";" && $0 != " " }.lowercased()
        guard ImagePatch.mediaTypes.contains(type) else {
            let allowed = ImagePatch.mediaTypes.joined(separator: ", ")
            var fault = Fault.unsupportedMedia("Image PATCH expects Content-Type one of: \(allowed)")
            fault.headers["Accept-Patch"] = allowed
            throw fault
        }
        isOldDraft = type == ImagePatch.mediaTypes[0]
        guard let json = request.json else { throw .badRequest("Body expected in request.") }
        guard case .array(let items) = json else {
            throw .badRequest("Request body must be a JSON array of operation objects.")
        }
        let isOld = isOldDraft
        changes = try items.mapping { item throws(Fault) in
            guard case .object(let members) = item else { throw .badRequest("Operations must be JSON objects.") }
            return try ImagePatch.change(members, isOld)
        }
    }

    /// Every visibility the patch would give the image.
    var visibilities: [ImageVisibility] {
        changes.compactMap { $0.name == "visibility" ? $0.value.string.flatMap(ImageVisibility.init) : nil }
    }

    // MARK: Reading

    private static func change(_ members: JSONObject, _ isOld: Bool) throws(Fault) -> Change {
        let (deed, path) = isOld ? try oldHead(members) : try head(members)
        let (name, position) = try pointer(path)
        if name == "locations", (position == nil) != (deed == .replace) {
            throw .badRequest("Invalid JSON pointer for this resource: '\(path)'")
        }
        var value = JSON.null
        if deed != .remove {
            guard let given = members["value"] else {
                throw .badRequest("Operation \"\(deed.rawValue)\" requires a member named \"value\".")
            }
            value = given
        }
        if ImageValues.readOnly.contains(name) || name == "id" {
            throw .forbidden("Attribute '\(name)' is read-only.")
        }
        if ImageValues.isReserved(name) { throw .forbidden("Attribute '\(name)' is reserved.") }
        return Change(deed: deed, name: name, value: value, position: position)
    }

    private static func head(_ members: JSONObject) throws(Fault) -> (Deed, String) {
        guard let op = members["op"] else {
            throw .badRequest("Unable to find `op` in JSON Schema change. It must be one of the following: \(deeds).")
        }
        guard let deed = op.string.flatMap(Deed.init) else {
            throw .badRequest(
                "Invalid operation: `\(op.string ?? op.text())`. It must be one of the following: \(deeds).")
        }
        guard let path = members["path"] else { throw .badRequest("Unable to find 'path' in JSON Schema change") }
        guard let text = path.string else { throw .badRequest("Pointer `\(path.text())` is not of type 'string'.") }
        return (deed, text)
    }

    private static func oldHead(_ members: JSONObject) throws(Fault) -> (Deed, String) {
        let named = Deed.allCases.filter { members[$0.rawValue] != nil }
        guard named.count < 2 else {
            throw .badRequest(
                "Operation objects must contain only one member named \"add\", \"remove\", or \"replace\".")
        }
        guard let deed = named.first else {
            throw .badRequest(
                "Operation objects must contain exactly one member named \"add\", \"remove\", or \"replace\".")
        }
        guard let path = members[deed.rawValue]?.string else {
            throw .badRequest("Pointer `\(members[deed.rawValue]?.text() ?? "")` is not of type 'string'.")
        }
        return (deed, path)
    }

    /// The member a JSON pointer names; Glance takes pointers of one step, and of two into the locations.
    private static func pointer(_ text: String) throws(Fault) -> (name: String, position: String?) {
        guard text.hasPrefix("/") else { throw .badRequest("Pointer `\(text)` does not start with \"/\".") }
        let parts = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        if parts.dropFirst().dropLast().contains(where: { $0.allSatisfy(\.isWhitespace) }) || text.hasPrefix("//") {
            throw .badRequest("Pointer `\(text)` contains adjacent \"/\".")
        }
        if text.count > 1, text.hasSuffix("/") { throw .badRequest("Pointer `\(text)` end with \"/\".") }
        var name = ""
        var letters = (parts.first ?? "").makeIterator()
        while let letter = letters.next() {
            guard letter == "~" else {
                name.append(letter)
                continue
            }
            switch letters.next() {
            case "0": name.append("~")
            case "1": name.append("/")
            default:
                throw .badRequest("Pointer `\(text)` contains \"~\" not part of a recognized escape sequence.")
            }
        }
        let isLocation = parts.count == 2 && parts[0] == "locations"
        guard parts.count == 1 || isLocation else {
            throw .badRequest("Invalid JSON pointer for this resource: '\(text)'")
        }
        return (name.trimmed, isLocation ? String(parts[1]) : nil)
    }
}

// MARK: - Applying

extension ImagePatch {
    /// Refuses changes of properties that an operator protects. What a caller may not see is not there for it.
    func requireProperties(_ image: ImageRecord, _ request: Request) throws(Fault) {
        guard request.image.options.protection != nil else { return }
        for change in changes where !ImageValues.base.contains(change.name) && change.name != "locations" {
            let isThere = image.properties[change.name] != nil && request.may(.read, property: change.name)
            if !isThere, change.deed != .add { throw .conflict("Property \(change.name) does not exist.") }
            let action: PropertyProtection.Action =
                change.deed == .remove ? .delete : isThere ? .update : .create
            guard request.may(action, property: change.name) else {
                throw .forbidden("Attribute '\(change.name)' is reserved.")
            }
        }
    }

    /// Gives the locations that the image had and has no more.
    func apply(
        to image: inout ImageRecord, isAdmin: Bool, _ wishes: LocationWishes, _ formats: ImageFormats
    ) throws(Fault) -> [ImageLocation] {
        var gone: [ImageLocation] = []
        for (number, change) in changes.enumerated() {
            if change.name == "locations" {
                gone += try wishes.apply(number, change, to: &image)
                continue
            }
            switch change.deed {
            case .remove: try remove(change.name, from: &image)
            case .add, .replace: try set(change, in: &image, isAdmin, formats)
            }
        }
        return gone
    }

    private func set(
        _ change: Change, in image: inout ImageRecord, _ isAdmin: Bool, _ formats: ImageFormats
    ) throws(Fault) {
        let name = change.name
        let isBase = ImageValues.base.contains(name)
        let isThere = isBase || image.properties[name] != nil
        if change.deed == .replace, !isThere { throw .conflict("Property \(name) does not exist.") }
        if change.deed == .add, isThere, isOldDraft { throw .conflict("Property \(name) already present.") }
        if name == "owner", !isAdmin { throw .forbidden("Owner can't be updated by non admin.") }
        if name == "disk_format" || name == "container_format", image.status != .queued, image.status != .importing {
            throw .forbidden("Attribute \(name) can be only replaced for a queued image.")
        }
        if ImageValues.links.contains(name) { throw .forbidden("Attribute '\(name)' is read-only.") }
        try image.set(name, change.value, formats)
    }

    private func remove(_ name: String, from image: inout ImageRecord) throws(Fault) {
        if ImageValues.base.contains(name) { throw .forbidden("Property \(name) may not be removed.") }
        var all = image.properties.object ?? JSONObject()
        guard all.removeValue(forKey: name) != nil else { throw .conflict("Property \(name) does not exist.") }
        image.properties = .object(all)
    }
}

extension String {
    /// Without blanks at either end.
    var trimmed: String {
        let head = drop(while: \.isWhitespace)
        return String(head.reversed().drop(while: \.isWhitespace).reversed())
    }
}
