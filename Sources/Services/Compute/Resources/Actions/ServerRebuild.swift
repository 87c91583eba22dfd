// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// `rebuild`: the same server, made anew from an image.
enum ServerRebuild: Resource {
    static let routes: [Route] = [
        .action(
            ServerActions.path, "rebuild", "Rebuild a server", of: Server.visible, allow: .member("servers:rebuild"),
            rebuild)
    ]

    private static func rebuild(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let draft = try RebuildDraft(request, server)
        try server.refuseIfTrusted("rebuild")
        try server.refuseIfLocked(request)
        try server.admit(.rebuild)
        let key = try await key(draft, request)
        guard let image = try await request.compute.images.find(draft.image, requestID: request.id, as: request.caller)
        else { throw .badRequest("Cannot find image for rebuild") }
        let isVolumeBacked = server.isVolumeBacked
        if isVolumeBacked {
            guard image.status == "active" else { throw .badRequest("Image \(image.id) is not active.") }
            guard image.minRAM <= server.flavor.memoryMiB else {
                throw .badRequest("Flavor's memory is too small for requested image.")
            }
            try await checkVolumes(draft, image, server, request)
        } else {
            try image.admits(server.flavor)
        }
        let reimages = isVolumeBacked && request.version >= "2.93"
        let changes = try changes(draft, server, image, key, request)
        let isOther = server.imageID != draft.image && !isVolumeBacked
        let quota = try await request.quota()
        let admit = { @Sendable (row: Server, transaction: Transaction) throws(Fault) in
            if let metadata = draft.metadata {
                let most = try quota.options.limit("metadata_items", row.projectID, transaction)
                try quota.require(
                    "metadata_items", used: 0, more: metadata.count, of: row.projectID, transaction,
                    or: .forbidden("Maximum number of metadata items exceeds \(most)"))
            }
            try draft.files.admit(quota, row.projectID, transaction)
            try draft.files.give(to: row.id, transaction)
        }
        if reimages {
            try await server.begin(.rebuild, request) { row, transaction throws(Fault) in
                try admit(row, transaction)
                return ActionStart(
                    .rebuilding, also: changes,
                    work: ReimageServer(server: row.id, image: draft.image, wasStopped: row.vmState == .stopped))
            }
            return try await reply(server.id, draft, request)
        }
        try await server.begin(.rebuild, request) { row, transaction throws(Fault) in
            try admit(row, transaction)
            return ActionStart(
                .rebuilding, also: changes,
                work: RebuildServer(
                    server: row.id, oldImage: isOther ? row.imageID : nil, keepsEphemeral: draft.keepsEphemeral,
                    wasStopped: row.vmState == .stopped))
        }
        return try await reply(server.id, draft, request)
    }

    /// What stands against making a root disk anew that is a volume: until 2.93 only the image it has will do.
    private static func checkVolumes(
        _ draft: RebuildDraft, _ image: ImageClient.Image, _ server: Server, _ request: Request
    ) async throws(Fault) {
        if let certificates = draft.certificates, request.compute.options.signatures.trusted(certificates) != nil {
            throw .badRequest(
                "Image signature certificate validation failed for certificate: None. Image certificate validation is "
                    + "not supported for volume-backed servers.")
        }
        let storage = request.compute.storage
        for device in try await BlockDevice.of(server.id, request.database) {
            guard let id = device.volumeID else { continue }
            guard let volume = try await storage.volume(id, requestID: request.id) else {
                throw .badRequest("Volume \(id) could not be found.")
            }
            if device.isRoot, request.version < "2.93", volume.imageID != draft.image {
                throw .badRequest(
                    "Image \(draft.image) is unacceptable: Unable to rebuild with a different image for a "
                        + "volume-backed server.")
            }
            guard !device.isRoot || volume.size >= image.minDisk else {
                throw .badRequest(
                    "Volume is smaller than the minimum size specified in image metadata. Volume size is "
                        + "\(volume.size << 30) bytes, minimum size is \(image.minDisk << 30) bytes.")
            }
            // After a rebuild that failed the root may be held for no host: then it is tried again.
            let isHeld = device.isRoot && device.attachmentID != nil && device.connection == nil
            guard volume.status == "in-use" || isHeld && volume.status == "reserved" else {
                throw .badRequest(
                    "Invalid volume: volume '\(id)' status must be 'in-use'. Currently in '\(volume.status)' status")
            }
        }
    }

    /// What the row says from now on: a rebuild that fails does not take it back, as upstream's does not.
    private static func changes(
        _ draft: RebuildDraft, _ server: Server, _ image: ImageClient.Image, _ key: Keypair?, _ request: Request
    ) throws(Fault) -> SQL {
        // No image of its own: that is how clients know a server on a volume.
        let imageID = server.isVolumeBacked ? server.imageID : image.id
        var changes: [SQL] = [
            "image_id = \(imageID)", "image_properties = \(try JSON.column(image.guestProperties))", "progress = 0",
            "admin_password = \(draft.password)",
        ]
        var scheduling = server.scheduling
        scheduling.imageFormat = image.diskFormat
        changes.append("scheduling = \(try JSON.column(scheduling))")
        if let name = draft.name { changes.append("name = \(name)") }
        if let text = draft.description { changes.append("description = \(text)") }
        if let metadata = draft.metadata { changes.append("metadata = \(try JSON.column(metadata))") }
        if draft.key != nil { changes.append("key_name = \(key?.name), key_public = \(key?.publicKey)") }
        if let userData = draft.userData { changes.append("user_data = \(userData)") }
        if let hostname = draft.hostname { changes.append("hostname = \(hostname)") }
        if let config = draft.diskConfig { changes.append("disk_config = \(config)") }
        if let address = draft.accessIP4 { changes.append("access_ip4 = \(address)") }
        if let address = draft.accessIP6 { changes.append("access_ip6 = \(address)") }
        if let certificates = draft.certificates {
            var text: String?
            let trusted = request.compute.options.signatures.trusted(certificates)
            if let certificates = trusted { text = try JSON.column(certificates) }
            changes.append("trusted_certificates = \(text)")
        }
        return changes.joined(", ")
    }

    private static func key(_ draft: RebuildDraft, _ request: Request) async throws(Fault) -> Keypair? {
        guard let name = draft.key ?? nil else { return nil }
        return try await request.database.one(
            Keypair.self, "user_id = \(request.caller.userID) AND name = \(name)",
            or: .badRequest("Invalid key_name provided."))
    }

    private static func reply(_ id: String, _ draft: RebuildDraft, _ request: Request) async throws(Fault) -> Reply {
        let server = try await request.database.one(Server.self, "id = \(id)", or: .serverNotFound(id))
        let groups = try await ServerGroup.holding(id, request.database)
        let sights = try await HostSights.all(request, of: [server.host])
        let showsPassword = request.compute.options.life.showsPasswords
        return .object("server") { view in
            server.details(&view, zones: sights, isUpdate: true, hidesUserData: true)
            if view.version < "2.75" { view.put("key_name", server.keyName, since: "2.54") }
            view.put("server_groups", groups, since: "2.71")
            if showsPassword { view.put("adminPass", draft.password) }
            view.put("user_data", server.userData, since: "2.57")
        }.header("Location", request.endpoint + "/servers/" + id)
    }
}

// MARK: - Wire

/// A rebuild as asked for: what is not named stays.
struct RebuildDraft: Sendable {
    let image: String
    let password: String
    let name: String?
    let description: String??
    let metadata: [String: String]?
    let key: String??
    let userData: String??
    let hostname: String?
    let certificates: [String]??
    let keepsEphemeral: Bool
    let diskConfig: String?
    let accessIP4: String?
    let accessIP6: String?
    let files: InjectedFiles

    init(_ request: Request, _ server: Server) throws(Fault) {
        var body = try request.body("rebuild")
        image = try body.need("imageRef", .imageReference)
        password = try body.take("adminPass", .text(0...255)) ?? ServerDraft.password(request.ids)
        name = try body.take("name", .name)
        description = try body.patch("description", .description, since: "2.19")
        metadata = try body.take("metadata", .pairs())
        key = try body.patch("key_name", .text(1...255), since: "2.54")
        userData = try body.patch("user_data", .userData, since: "2.57")
        hostname = try body.take("hostname", request.version >= "2.94" ? .fqdn : .hostname, since: "2.90")
        certificates = try body.patch("trusted_image_certificates", .certificates, since: "2.63")
        keepsEphemeral = try body.take("preserve_ephemeral", .bool) ?? false
        diskConfig = try body.take("OS-DCF:diskConfig", .oneOf("AUTO", "MANUAL"))
        accessIP4 = try RebuildDraft.address("accessIPv4", 4, &body)
        accessIP6 = try RebuildDraft.address("accessIPv6", 6, &body)
        files = try InjectedFiles(&body, request)
        body.ignore("auto_disk_config")
        try body.end()
        if certificates != nil {
            let rule = "servers:rebuild:trusted_certs"
            guard request.may(rule, on: server) else {
                throw request.index.envelope.refusal(request.index.rulePrefix + rule)
            }
        }
    }

    private static func address(_ name: String, _ version: Int, _ body: inout Body) throws(Fault) -> String? {
        guard let text = try body.take(name, .text(0...45)) else { return nil }
        return try ServerCreate.address(text, version: version, &body, name)
    }
}

extension Format where Value == String {
    /// An image's id.
    static var imageReference: Format {
        text(0...255).map { text throws(Misfit) in
            guard Hex.isUUID(text) else { throw Misfit("'\(text)' is not a 'uuid'") }
            return text
        }
    }

    /// User data: base64, up to 64 KiB of it.
    static var userData: Format {
        text(0...65_535).map { text throws(Misfit) in
            guard Base64.decode(text) != nil else { throw Misfit("'\(text.prefix(40))' is not a 'base64'") }
            return text
        }
    }
}

extension Format where Value == [String] {
    /// Names of certificates that signatures must lead to: 1 to 50, each once.
    static var certificates: Format {
        Format<[String]>.list(.text(1...255), 1...50).map { names throws(Misfit) in
            guard Set(names).count == names.count else { throw Misfit("\(names) has non-unique elements") }
            return names
        }
    }
}
