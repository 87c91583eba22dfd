// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// An image that the caller may know of, with the project it is shared with when that is the caller's.
package struct SeenImage: PolicyTarget {
    package let image: ImageRecord
    /// The caller's project when the image is shared with it.
    package let member: String?

    init(_ image: ImageRecord, member: String?) {
        self.image = image
        self.member = member
    }

    /// As lists find it: a shared image of another project got there by its member row.
    init(_ image: ImageRecord, as caller: Caller) {
        self.image = image
        member = image.visibility == .shared && image.owner != caller.projectID ? caller.projectID : nil
    }

    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id", "owner": image.owner.map(JSON.string)
        case "visibility": .string(image.visibility.rawValue)
        case "member_id": member.map(JSON.string)
        case "id", "image_id": .string(image.id)
        case "name": image.name.map(JSON.string)
        case "status": .string(image.status.rawValue)
        case "disk_format": image.diskFormat.map(JSON.string)
        case "container_format": image.containerFormat.map(JSON.string)
        case "protected": .bool(image.protected)
        case "os_hidden": .bool(image.osHidden)
        default: image.properties[name]
        }
    }

    /// The image of the path; 404 when it is not there for the caller.
    package static func find(_ request: Request) async throws(Fault) -> SeenImage {
        let id = request["image_id"]
        let seen = try await lookUp(id, request)
        guard let seen, request.may("get_image", on: seen) else { throw .imageNotFound(id) }
        return seen
    }

    private static func lookUp(_ id: String, _ request: Request) async throws(Fault) -> SeenImage? {
        guard let image = try await request.database.first(ImageRecord.self, "id = \(id)") else { return nil }
        let project = request.caller.projectID
        if image.visibility == .public || image.visibility == .community || image.owner == nil || image.owner == project
        {
            return SeenImage(image, member: nil)
        }
        if image.visibility == .shared, let project,
            try await request.database.count(ImageMember.self, "image_id = \(id) AND member_id = \(project)") > 0
        {
            return SeenImage(image, member: project)
        }
        return request.may("context_is_admin", on: Anything()) ? SeenImage(image, member: nil) : nil
    }
}

/// An image as asked for by `POST /images`.
package struct ImageDraftRequest: Asked {
    let image: ImageRecord

    package init(_ request: Request) throws(Fault) {
        guard let json = request.json else { throw .badRequest("Body expected in request.") }
        guard case .object(let body) = json else {
            throw Wording.glance.invalid("image", json, "\(json.text()) is not of type 'object'")
        }
        var image = ImageRecord.new(request, id: try body["id"].map { id throws(Fault) in try ImageValues.id(id) })
        for (name, value) in body where name != "id" {
            try image.refuseForeign(name)
            try image.set(name, value, request.image.options.formats)
        }
        if image.owner != request.caller.projectID, !request.may("context_is_admin", on: Anything()) {
            throw .forbidden("You are not permitted to create images owned by '\(image.owner ?? "None")'")
        }
        self.image = image
    }

    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id", "owner": image.owner.map(JSON.string)
        case "visibility": .string(image.visibility.rawValue)
        default: nil
        }
    }
}

// MARK: - Setting members

extension ImageRecord {
    /// An image of the caller's project that waits for its bytes.
    static func new(_ request: Request, id: String? = nil) -> ImageRecord {
        ImageRecord(
            id: id ?? request.ids.uuid(), name: nil, owner: request.caller.projectID, status: .queued,
            visibility: .shared, diskFormat: nil, containerFormat: nil, size: nil, virtualSize: nil, checksum: nil,
            osHashAlgo: nil, osHashValue: nil, minDisk: 0, minRam: 0, protected: false, osHidden: false, tags: [],
            properties: .object(JSONObject()), createdAt: request.now, updatedAt: request.now, location: nil)
    }

    /// Refuses names that are the service's own.
    func refuseForeign(_ name: String) throws(Fault) {
        if ImageValues.readOnly.contains(name) || ImageValues.links.contains(name) || name == "id" {
            throw .forbidden("Attribute '\(name)' is read-only.")
        }
        if ImageValues.isReserved(name) { throw .forbidden("Attribute '\(name)' is reserved.") }
        if name == "locations" {
            throw .forbidden("It's not allowed to add locations if locations are invisible.")
        }
    }

    /// Sets a member or a free property, in the format it must have.
    mutating func set(_ name: String, _ value: JSON, _ formats: ImageFormats) throws(Fault) {
        switch name {
        case "name": self.name = try ImageValues.orNull(name, value, .text(0...255))
        case "owner": owner = try ImageValues.orNull(name, value, .text(0...255))
        case "visibility": visibility = try ImageValues.read(name, value, .choice(ImageVisibility.self))
        case "disk_format":
            diskFormat = try ImageValues.word(name, value, of: formats.disks)
        case "container_format":
            containerFormat = try ImageValues.word(name, value, of: formats.containers)
        case "min_disk": minDisk = try ImageValues.amount(name, value)
        case "min_ram": minRam = try ImageValues.amount(name, value)
        case "protected": protected = try ImageValues.read(name, value, .bool)
        case "os_hidden": osHidden = try ImageValues.read(name, value, .bool)
        case "tags": tags = try ImageValues.tags(value)
        default:
            var all = properties.object ?? JSONObject()
            all[name] = try ImageValues.property(name, value)
            properties = .object(all)
        }
    }
}

extension Request {
    /// Only some may show an image to everybody.
    func requireVisibility(_ visibility: ImageVisibility, on target: some PolicyTarget) throws(Fault) {
        let rule: String
        switch visibility {
        case .public: rule = "publicize_image"
        case .community: rule = "communitize_image"
        case .private, .shared: return
        }
        guard may(rule, on: target) else { throw index.envelope.refusal(rule) }
    }
}
