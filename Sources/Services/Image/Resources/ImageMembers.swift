// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A project that an image is shared with, and what it thinks of that.
package struct ImageMember: Record {
    package static let table = "image_members"
    package enum Status: String, Codable, Sendable, JSONValue, CaseIterable { case pending, accepted, rejected }

    let imageID: String
    let memberID: String
    var status: Status
    let createdAt: Timestamp
    var updatedAt: Timestamp
}

extension ImageMember: Resource {
    package static let routes: [Route] = [
        .get(
            "/images/{image_id}/members", "List image members", of: shared,
            allow: .rule("get_members", ImageRules.sharedReader), index),
        .post(
            "/images/{image_id}/members", "Create image member", of: shared,
            allow: .rule("add_member", ImageRules.member), create, status: 200),
        .get(
            "/images/{image_id}/members/{member_id}", "Show image member", of: sharedOrHidden,
            allow: .rule("get_member", ImageRules.sharedReader), show),
        .put(
            "/images/{image_id}/members/{member_id}", "Update image member", of: shared,
            allow: .rule("modify_member", ImageRules.sharedMember), update),
        .delete(
            "/images/{image_id}/members/{member_id}", "Delete image member", of: shared,
            allow: .rule("delete_member", ImageRules.member), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-21 image members
        CREATE TABLE image_members (image_id VARCHAR(36) NOT NULL, member_id VARCHAR(255) NOT NULL,
            status VARCHAR(20) NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            PRIMARY KEY (image_id, member_id));
        CREATE INDEX image_members_member ON image_members (member_id)
        """
    ]
}

// MARK: - Targets

extension ImageMember {
    /// The image of the path, when it is one that has members.
    static func shared(_ request: Request) async throws(Fault) -> SeenImage {
        let seen = try await SeenImage.find(request)
        guard seen.image.visibility == .shared else { throw .forbidden("Only shared images have members.") }
        return seen
    }

    /// The same, without telling what kind of image it is.
    static func sharedOrHidden(_ request: Request) async throws(Fault) -> SeenImage {
        let seen = try await SeenImage.find(request)
        guard seen.image.visibility == .shared else { throw .notFound("Only shared images have members.") }
        return seen
    }
}

// MARK: - Handlers

extension ImageMember {
    static func index(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        var condition: SQL = "image_id = \(seen.image.id)"
        // A member sees itself; the others are the owner's to know.
        if let member = seen.member { condition += " AND member_id = \(member)" }
        let members = try await request.database.all(ImageMember.self, condition + " ORDER BY created_at, member_id")
        return .list("members", members.map { $0.details }, extra: { $0.put("schema", "/v2/schemas/members") })
    }

    static func create(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        guard let json = request.json else { throw .badRequest("Body expected in request.") }
        guard case .object(let body) = json else {
            throw .badRequest("Expected a member in the form: {\"member\": \"image_id\"}")
        }
        guard let given = body["member"] else { throw .badRequest("Member to be added not specified") }
        guard let memberID = given.string, memberID.unicodeScalars.count <= 255 else {
            throw .badRequest("Invalid input for member: \(given.text()) is not a project's id")
        }
        guard !memberID.isEmpty else { throw .badRequest("Member can't be empty") }
        let imageID = seen.image.id
        let quota = request.image.options.memberQuota
        let member = ImageMember(
            imageID: imageID, memberID: memberID, status: .pending, createdAt: request.now, updatedAt: request.now)
        try await request.database.transaction { transaction throws(Fault) in
            let count = try transaction.count(ImageMember.self, "image_id = \(imageID)")
            if quota >= 0, count + 1 > quota {
                throw .tooLarge(
                    "Image member limit exceeded for image \(imageID): The limit has been exceeded on the number of "
                        + "allowed image members for this image. Attempted: \(count + 1), Maximum: \(quota)")
            }
            try transaction.insert(
                member, or: .conflict("Member \(memberID) is duplicated for image \(imageID)"))
        }
        return .bare(member.details)
    }

    static func show(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        .bare(try await find(request, seen).details)
    }

    static func update(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        guard let json = request.json else { throw .badRequest("Body expected in request.") }
        guard case .object(let body) = json else {
            throw .badRequest("Expected a status in the form: {\"status\": \"status\"}")
        }
        guard let given = body["status"] else { throw .badRequest("Status not specified") }
        guard let status = given.string.flatMap(Status.init) else {
            throw .badRequest(
                "Incorrect request: Status must be \"pending\", \"accepted\" or \"rejected\", not \(given.text())")
        }
        var member = try await find(request, seen)
        member.status = status
        member.updatedAt = request.now
        try await request.database.replace(
            member, where: "image_id = \(member.imageID) AND member_id = \(member.memberID)",
            or: .memberNotFound(member.memberID, member.imageID))
        return .bare(member.details)
    }

    static func delete(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let member = request["member_id"]
        let image = seen.image.id
        try await request.database.delete(
            ImageMember.self, "image_id = \(image) AND member_id = \(member)", or: .memberNotFound(member, image))
        return .empty
    }

    private static func find(_ request: Request, _ seen: SeenImage) async throws(Fault) -> ImageMember {
        let member = request["member_id"]
        let image = seen.image.id
        if let own = seen.member, own != member { throw .memberNotFound(member, image) }
        return try await request.database.one(
            ImageMember.self, "image_id = \(image) AND member_id = \(member)", or: .memberNotFound(member, image))
    }
}

// MARK: - Wire

extension ImageMember {
    func details(_ view: inout View) {
        view.put("member_id", memberID)
        view.put("image_id", imageID)
        view.put("status", status)
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
        view.put("schema", "/v2/schemas/member")
    }
}

extension Fault {
    fileprivate static func memberNotFound(_ member: String, _ image: String) -> Fault {
        .notFound("\(member) not found in the member list of the image \(image).")
    }
}
