// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The bytes of an image.
package enum ImageTransfer: Resource {
    package static let routes: [Route] = [
        .put(
            "/images/{image_id}/file", "Upload image data", of: SeenImage.find,
            allow: .rule("upload_image", ImageRules.member), upload, status: 204, payload: .stream),
        .get(
            "/images/{image_id}/file", "Download image data", of: SeenImage.find,
            allow: .rule("download_image", ImageRules.download), download),
    ]

    static func download(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let image = seen.image
        if image.status == .deactivated, !request.may("context_is_admin", on: Anything()) {
            throw .forbidden("The requested image has been deactivated. Image data download is forbidden.")
        }
        guard image.isReadable, !image.locations.isEmpty, let size = image.size else {
            return .empty.status(204)
        }
        let locations = try ImageReading.preferred(image, seen, request)
        let range = try ByteRange(request, size: size)
        let offset = range?.offset ?? 0
        let length = range?.length ?? size
        let body = try await request.image.read(image, locations, offset: offset, length: length)
        var reply = Reply.body(body, type: "application/octet-stream")
        if let checksum = image.checksum { reply = reply.header("Content-MD5", checksum) }
        guard range != nil else { return reply }
        return reply.header("Content-Range", "bytes \(offset)-\(offset + length - 1)/\(size)").status(206)
    }

    static func upload(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let upload = try ImageUpload(
            request, seen.image, as: .saving, into: try request.image.stores.chosen(request).id)
        let quotas = try await ImageQuotas.of(request)
        let signed = try await ImageSignature(seen.image)?.check(request.image)
        let remaining = try await upload.begin(quotas) { announced, transaction throws(Fault) in
            try quotas.requireUpload(announced, transaction)
        }
        try await upload.run(quotas, within: remaining) { draft throws(Fault) in
            if let signed { try await draft.inspect(signed) }
            return try await upload.inspect(draft)
        }
        return .empty
    }
}

/// One attempt to give an image its bytes. Whatever goes wrong, nothing is left of it and the image waits again.
struct ImageUpload: Sendable {
    typealias Check = @Sendable (any ImageDraft) async throws(Fault) -> Int?

    let request: Request
    let image: ImageRecord
    /// What the image is while the bytes arrive.
    let phase: ImageStatus
    /// Made up for this attempt: the mark in the image's row that it is this one's, and the name of its bytes.
    let name: String
    let store: String
    private let announced: Int?

    init(_ request: Request, _ image: ImageRecord, as phase: ImageStatus, into store: String) throws(Fault) {
        let type = (request.header("Content-Type") ?? "").prefix { $0 != ";" && $0 != " " }.lowercased()
        guard type == "application/octet-stream" else { throw .unsupportedMedia("Invalid content type \(type)") }
        if let text = request.header("X-OpenStack-Image-Size") {
            guard let size = Int(text), size >= 0 else {
                throw .badRequest("Invalid or missing image size in request headers.")
            }
            announced = size
        } else {
            announced = request.http.body.contentLength
        }
        self.request = request
        self.image = image
        self.phase = phase
        self.store = store
        name = "\(image.id).\(Hex.encode(request.ids.bytes(4)))"
    }

    /// Takes the image for this attempt: nobody else may write it now. Gives how many bytes the project has room for.
    func begin(
        _ quotas: ImageQuotas, _ requireLimits: @escaping @Sendable (Int?, Transaction) throws(Fault) -> Void
    ) async throws(Fault) -> Int? {
        let (id, phase, name, now, announced) = (image.id, phase, name, request.now, announced)
        return try await request.database.transaction { transaction throws(Fault) in
            let image = try ImageRecord.locked(id, transaction)
            guard image.status == .queued else {
                throw .conflict(
                    "Image status transition from \(image.status.rawValue) to \(phase.rawValue) is not allowed")
            }
            let formats = [("disk_format", image.diskFormat), ("container_format", image.containerFormat)]
            let missing = formats.filter { $0.1 == nil }.map(\.0)
            if phase == .saving, !missing.isEmpty {
                let noun = missing.count == 1 ? "Property" : "Properties"
                throw .badRequest("\(noun) \(missing.joined(separator: ", ")) must be set prior to saving data.")
            }
            try transaction.update(
                ImageRecord.self, set: "status = \(phase), location = \(name), updated_at = \(now)",
                where: "id = \(id)")
            try requireLimits(announced, transaction)
            let remaining = try quotas.remaining(transaction)
            if let remaining, let announced, announced > remaining { throw .storageQuota(announced, remaining) }
            return remaining
        }
    }

    /// Receives the bytes; `check` may refuse them, and tells their virtual size when it knows.
    func run(_ quotas: ImageQuotas, within remaining: Int?, _ check: Check) async throws(Fault) {
        do throws(Fault) {
            try await receive(quotas, remaining, check)
        } catch {
            await giveUp(error)
            throw error
        }
    }

    private func receive(_ quotas: ImageQuotas, _ remaining: Int?, _ check: Check) async throws(Fault) {
        let deposit = try await ImageDeposit.begin(name, of: image.id, in: store, size: announced, request.image)
        do throws(Fault) {
            let received = try await ImageIntake(service: request.image)
                .receive(request.http.body, into: deposit.draft, announced: announced, within: remaining)
            if let announced, announced != received.size {
                throw .badRequest("The image has \(received.size) bytes, but \(announced) were announced.")
            }
            let virtualSize = try await check(deposit.draft)
            try await deposit.draft.publish()
            try await settle(deposit, received, quotas, virtualSize: virtualSize)
        } catch {
            await deposit.abandon()
            throw error
        }
    }

    /// Staged bytes stay a deposit, found by its name; others become the image's.
    private func settle(
        _ deposit: ImageDeposit, _ received: ImageIntake.Received, _ quotas: ImageQuotas, virtualSize: Int?
    ) async throws(Fault) {
        let isStaged = phase != .saving
        let kept: SQL = isStaged ? "" : ", location = NULL, locations = \([deposit.location].json)"
        let change: SQL = """
            status = \(isStaged ? phase : .active), size = \(received.size), virtual_size = \(virtualSize), \
            checksum = \(received.md5), os_hash_algo = 'sha512', os_hash_value = \(received.sha512), \
            updated_at = \(request.now)\(sql: kept)
            """
        let mine = mine
        let id = image.id
        try await request.database.transaction { transaction throws(Fault) in
            // What others stored meanwhile counts: it is this one's turn to be refused.
            try quotas.requireRoom(received.size, transaction)
            guard try transaction.update(ImageRecord.self, set: change, where: mine) == 1 else {
                throw .gone(
                    "Image \(id) could not be found after upload. The image may have been deleted during the upload, "
                        + "cleaning up the chunks uploaded.")
            }
            if !isStaged { try deposit.keep(transaction) }
        }
    }

    /// The row as long as it is this attempt's.
    private var mine: SQL { "id = \(image.id) AND location = \(name) AND status = \(phase)" }

    private func giveUp(_ fault: Fault) async {
        request.log.warning("image upload failed", ["image_id": image.id, "error": fault.message])
        do throws(Fault) {
            try await request.database.update(ImageRecord.self, set: ImageRecord.backToQueued, where: mine)
        } catch {
            request.log.error("image upload not undone", ["image_id": image.id, "error": error.message])
        }
    }

    /// Compares what the bytes are with what they are said to be; gives the virtual size.
    func inspect(_ draft: any ImageDraft) async throws(Fault) -> Int? {
        let (disk, container, formats) = (image.diskFormat, image.containerFormat, request.image.options.formats)
        return try await draft.inspect { bytes throws(Fault) in
            try Inspection.virtualSize(of: bytes, disk: disk, container: container, formats)
        }
    }
}

extension ImageRecord {
    static let backToQueued = backToQueued(locations: [])

    static func backToQueued(locations: [ImageLocation]) -> SQL {
        """
        status = 'queued', size = NULL, virtual_size = NULL, checksum = NULL, os_hash_algo = NULL, \
        os_hash_value = NULL, location = NULL, locations = \(locations.json)
        """
    }
}
