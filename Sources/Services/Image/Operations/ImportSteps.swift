// SPDX-License-Identifier: Apache-2.0
internal import Kernel

// MARK: - Fetching

extension ImportImage {
    /// Brings the bytes to the staging store, unless they are there.
    func fetch(_ site: ImageImportSite) async throws(Fault) {
        let image = try await site.image(self)
        guard image.checksum == nil || image.location == nil else { return }
        guard method != .glanceDirect else { throw .gone("Staged image data of \(image.id) is gone.") }
        let room = site.room
        try await site.clearStaging(of: image.id, but: nil)
        var found: RemoteGlance.File?
        if let remote { found = try await RemoteGlance(self, room).find(remote, site.context.requestID) }
        let url = found?.url ?? self.url ?? ""
        let filter = room.imports.filter
        guard filter.allows(url) else {
            throw .badRequest("URI for \(method.rawValue) does not pass filtering: \(url)")
        }
        let body = try await room.remote.open(url, headers: found?.headers ?? []) { filter.allows($0) }
        try await stage(body, found?.size ?? body.contentLength, found?.document, site)
    }

    private func stage(_ body: HTTPBody, _ expected: Int?, _ source: JSON?, _ site: ImageImportSite) async throws(Fault)
    {
        let room = site.room
        let deposit = try await ImageDeposit.begin(
            "\(subject).\(Hex.encode(room.ids.bytes(4)))", of: subject, in: ImageStores.stagingID, size: expected, room)
        do throws(Fault) {
            let received = try await ImageIntake(service: room)
                .receive(body, into: deposit.draft, announced: expected)
            if let expected, expected != received.size {
                throw .badRequest(
                    "Task \(taskID) failed because downloaded data size \(received.size) is different from expected "
                        + "\(expected)")
            }
            try await deposit.draft.publish()
            let (beginnings, formats) = (room.imports.copiedProperties, room.options.formats)
            try await site.change(self) { image, _ throws(Fault) in
                if let source { try image.take(source, beginnings, formats) }
                image.location = deposit.name
                image.take(received)
            }
        } catch {
            await deposit.abandon()
            throw error
        }
    }

    // MARK: - Looking

    /// The bytes are what they are said to be, and signed when a signature is given.
    func inspect(_ site: ImageImportSite) async throws(Fault) {
        let image = try await site.image(self)
        let staged = try await site.staged(image)
        let staging = site.room.stores.staging
        if let size = try await staging.size(staged), size != image.size {
            throw .badRequest("The staged data of image \(image.id) has \(size) bytes, not \(image.size ?? 0).")
        }
        let quotas = ImageQuotas.bytes(of: image.owner, site.room)
        let size = image.size ?? 0
        try await site.room.database.transaction { transaction throws(Fault) in
            try quotas.requireRoom(size, transaction)
        }
        if let signature = try ImageSignature(image) {
            try await staging.inspect(staged, try await signature.check(site.room))
        }
        let (disk, container, formats) = (image.diskFormat, image.containerFormat, site.room.options.formats)
        let virtualSize = try await staging.inspect(staged) { bytes throws(Fault) in
            try Inspection.virtualSize(of: bytes, disk: disk, container: container, formats)
        }
        try await site.change(self) { image, _ throws(Fault) in image.virtualSize = virtualSize }
    }

    // MARK: - Storing

    /// Copies the bytes to one store, unless they are there. A store that fails is passed over when one is enough.
    func store(_ at: Int, _ site: ImageImportSite) async throws(Fault) {
        let id = stores[at]
        do throws(Fault) {
            try await copy(to: id, isLast: at == stores.count - 1, site)
        } catch {
            // A cancelled import is over, whatever is enough.
            guard !mustAllSucceed, !Task.isCancelled, error.status != 410 else { throw error }
            site.room.log.warning(
                "image import to a store failed", ["image_id": subject, "store": id, "error": error.message])
            try await site.change(self) { image, _ throws(Fault) in
                image.mark(ImportMarks.failed, add: [id])
                image.mark(ImportMarks.importing, remove: [id])
            }
        }
    }

    private func copy(to id: String, isLast: Bool, _ site: ImageImportSite) async throws(Fault) {
        let room = site.room
        let image = try await site.image(self)
        guard !image.locations.contains(where: { $0.store == id }) else { return }
        let size = image.size ?? 0
        let source = try await source(image, size, site)
        let deposit = try await ImageDeposit.begin(
            "\(subject).\(Hex.encode(room.ids.bytes(4)))", of: subject, in: id, size: size, room)
        do throws(Fault) {
            let copied = try await pour(source, into: deposit.draft, size, site)
            guard copied == size else {
                throw .badRequest("The data of image \(subject) has \(copied) bytes, not \(size).")
            }
            try await deposit.draft.publish()
            let quotas = ImageQuotas.bytes(of: image.owner, room)
            let activates = method != .copyImage && (!mustAllSucceed || isLast)
            try await site.change(self) { image, transaction throws(Fault) in
                try quotas.requireRoom(size, transaction)
                image.locations.append(deposit.location)
                image.mark(ImportMarks.importing, remove: [id])
                image.mark(ImportMarks.failed, remove: [id])
                if activates, image.status == .importing { image.status = .active }
                try deposit.keep(transaction)
            }
        } catch {
            await deposit.abandon()
            throw error
        }
    }

    private func source(
        _ image: ImageRecord, _ size: Int, _ site: ImageImportSite
    ) async throws(Fault) -> HTTPResponse.Body {
        let room = site.room
        guard method == .copyImage else {
            return try await room.stores.staging.open(try await site.staged(image), offset: 0, length: size)
        }
        let from = image.locations.filter { !stores.contains($0.store) }
        let standard = room.stores.standard.id
        let sorted = from.filter { $0.store == standard } + from.filter { $0.store != standard }
        return try await room.open(image, sorted, offset: 0, length: size)
    }

    private func pour(
        _ source: HTTPResponse.Body, into draft: any ImageDraft, _ size: Int, _ site: ImageImportSite
    ) async throws(Fault) -> Int {
        let count = Tally()
        let room = site.room
        let start = room.clock.now()
        try await source.forEachPiece { bytes async throws(Fault) in
            if Task.isCancelled { throw .gone("The import was cancelled.") }
            try await draft.append(bytes)
            let (copied, isDue) = await count.add(bytes.count, at: room.clock.now(), since: start)
            if isDue { await site.report(self, copied: copied, of: size) }
        }
        return await count.sum
    }
}

/// How much was copied, and when that was last told.
private actor Tally {
    private(set) var sum = 0
    private var told: Timestamp?

    func add(_ count: Int, at now: Timestamp, since start: Timestamp) -> (Int, isDue: Bool) {
        sum += count
        guard now >= (told ?? start) + .seconds(5) else { return (sum, false) }
        told = now
        return (sum, true)
    }
}

extension ImageRecord {
    mutating func take(_ received: ImageIntake.Received) {
        size = received.size
        checksum = received.md5
        osHashAlgo = "sha512"
        osHashValue = received.sha512
    }
}
