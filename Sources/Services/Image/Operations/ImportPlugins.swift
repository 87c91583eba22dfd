// SPDX-License-Identifier: Apache-2.0
internal import Kernel

// What operators have done with imported bytes before they go to the stores.
extension ImportImage {
    func work(_ at: Int, _ site: ImageImportSite) async throws(Fault) {
        switch plugins[at] {
        case .noOp: site.room.log.debug("import plugin no_op", ["image_id": subject])
        case .metadata: try await inject(site)
        case .decompression: try await decompress(at, site)
        case .conversion: try await convert(at, site)
        }
    }

    private func inject(_ site: ImageImportSite) async throws(Fault) {
        guard !injected.isEmpty else { return }
        try await site.change(self) { image, _ throws(Fault) in
            for (name, value) in injected.sorted(by: { $0.key < $1.key })
            where !name.hasPrefix(ImportMarks.prefix) {
                image.mark(name, value)
            }
        }
    }

    /// Images whose container format is `compressed` are meant to be.
    private func decompress(_ at: Int, _ site: ImageImportSite) async throws(Fault) {
        let image = try await site.image(self)
        guard image.containerFormat != "compressed", !image.wasWorked(at) else { return }
        let limit = site.room.options.sizeCap
        try await rework(image, at, site, format: nil) { workshop, source, name async throws(Fault) in
            try await workshop.decompress(source, into: name, limit: limit)
        }
    }

    /// What is a format of its own by its first bytes is not converted to another under a false name.
    private func convert(_ at: Int, _ site: ImageImportSite) async throws(Fault) {
        let image = try await site.image(self)
        guard !image.wasWorked(at), let from = image.diskFormat else { return }
        let (target, formats) = (site.room.imports.outputFormat, site.room.options.formats)
        let staged = try await site.staged(image)
        let staging = site.room.stores.staging
        let virtualSize = try await staging.inspect(staged) { bytes throws(Fault) in
            try Inspection(bytes).convertible(from, formats)
        }
        if from == "iso" || from == target { return }
        try await rework(image, at, site, format: target) { workshop, source, name async throws(Fault) in
            try await workshop.convert(source, from: from, to: target, into: name)
            let location = workshop.location(name)
            _ = try await staging.inspect(location) { bytes throws(Fault) in
                try Inspection(bytes).convertible(target, formats)
            }
            return true
        }
        try await site.change(self) { image, _ throws(Fault) in image.virtualSize = virtualSize }
    }

    /// Makes other staged bytes of the staged ones, and lets them take their place.
    private func rework(
        _ image: ImageRecord, _ at: Int, _ site: ImageImportSite, format: String?,
        _ make: (any ImageWorkshop, _ source: String, _ name: String) async throws(Fault) -> Bool
    ) async throws(Fault) {
        let room = site.room
        guard let workshop = room.ports.workshop else {
            throw .unavailable("This node has no programs to work on images with.")
        }
        let source = try await site.staged(image)
        try await site.clearStaging(of: subject, but: image.location)
        let name = "\(subject).\(Hex.encode(room.ids.bytes(4)))p\(at)"
        let location = ImageLocation(store: ImageStores.stagingID, url: workshop.location(name))
        try await room.database.insert(
            ImageDepositRecord(
                name: name, imageID: subject, store: location.store, url: location.url, isDoomed: false,
                createdAt: room.clock.now()))
        do throws(Fault) {
            guard try await make(workshop, source, name) else {
                return await room.remove(deposit: name, location)
            }
            let received = try await ImageIntake.Received(of: location.url, in: room.stores.staging)
            try await site.change(self) { image, _ throws(Fault) in
                image.location = name
                image.take(received)
                if let format {
                    image.diskFormat = format
                    image.containerFormat = "bare"
                }
            }
        } catch {
            await room.remove(deposit: name, location)
            throw error
        }
        try await site.clearStaging(of: subject, but: name)
    }
}

extension ImageRecord {
    /// Whether a plugin has been at the staged bytes already: their name says so.
    fileprivate func wasWorked(_ at: Int) -> Bool {
        guard let mark = location?.split(separator: "p").dropFirst().last, let last = Int(mark) else { return false }
        return last >= at
    }
}

extension Inspection {
    /// The virtual size when the bytes are what a program may be told they are. A disk with a partition table is raw.
    fileprivate func convertible(_ declared: String, _ formats: ImageFormats) throws(Fault) -> Int? {
        let virtualSize = try virtualSize(declared: declared, formats)
        let format = try single(declared)
        let plain: (String) -> String = { $0 == "gpt" ? "raw" : $0 }
        guard plain(format.name) == plain(declared) else {
            throw .unsupportedMedia(
                format.name == "iso" ? "Image has disallowed configuration" : "Image format mismatch")
        }
        if let kind = format.kind, !formats.vmdkKinds.contains(kind) {
            throw .unsupportedMedia("Invalid VMDK create-type specified")
        }
        return virtualSize
    }
}

extension ImageIntake.Received {
    /// The size and the digests of what is at a location.
    fileprivate init(of location: String, in store: any ImageStore) async throws(Fault) {
        guard let size = try await store.size(location) else { throw .gone("Staged image data is gone.") }
        let digester = Digester()
        try await store.open(location, offset: 0, length: size).forEachPiece { bytes async throws(Fault) in
            if Task.isCancelled { throw .gone("The import was cancelled.") }
            await digester.add(bytes)
        }
        let (md5, sha512) = await digester.finish()
        self.init(size: size, md5: md5, sha512: sha512)
    }
}

/// Both digests of bytes that come in pieces.
private actor Digester {
    private let md5 = Digest(.md5)
    private let sha512 = Digest(.sha512)

    func add(_ bytes: [UInt8]) {
        md5.update(bytes)
        sha512.update(bytes)
    }

    func finish() -> (String, String) { (Hex.encode(md5.finish()), Hex.encode(sha512.finish())) }
}
