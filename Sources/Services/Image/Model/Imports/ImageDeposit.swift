// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Bytes in a store that no image counts on: still being written or staged, or to be removed. The row is there before
/// the first byte and until the last one is gone, so that a sudden end at any point leaves nothing behind for ever.
package struct ImageDepositRecord: Record {
    package static let table = "image_deposits"

    /// Made up for each attempt.
    package let name: String
    package let imageID: String
    package let store: String
    package let url: String
    /// Nobody wants it any more: whoever comes by removes it.
    package let isDoomed: Bool
    package let createdAt: Timestamp

    static let migrations: [Migration] = [
        """
        2026-11-21 image stores
        ALTER TABLE image_images ADD COLUMN locations TEXT NOT NULL DEFAULT '[]';
        CREATE TABLE image_deposits (
            name VARCHAR(64) PRIMARY KEY, image_id VARCHAR(36) NOT NULL, store VARCHAR(255) NOT NULL,
            url TEXT NOT NULL, is_doomed INTEGER NOT NULL, created_at BIGINT NOT NULL);
        CREATE INDEX image_deposits_image_id ON image_deposits (image_id)
        """
    ]
}

/// One attempt to put bytes into one store.
package struct ImageDeposit: Sendable {
    package let name: String
    package let location: ImageLocation
    package let draft: any ImageDraft
    private let service: ImageService

    /// Begins a draft and notes it.
    package static func begin(
        _ name: String, of imageID: String, in store: String, size: Int?, _ service: ImageService
    ) async throws(Fault) -> ImageDeposit {
        guard let backend = service.stores.backend(store) else { throw .noStore(store) }
        guard !backend.isReadOnly else { throw .imageStoreReadOnly }
        let draft = try await backend.create(name, size: size)
        let record = ImageDepositRecord(
            name: name, imageID: imageID, store: store, url: draft.location, isDoomed: false,
            createdAt: service.clock.now())
        do throws(Fault) { try await service.database.insert(record) } catch {
            await draft.discard()
            throw error
        }
        return ImageDeposit(
            name: name, location: ImageLocation(store: store, url: draft.location), draft: draft, service: service)
    }

    /// To be called in the transaction that makes an image count on the bytes.
    package func keep(_ transaction: Transaction) throws(Fault) {
        try transaction.delete(ImageDepositRecord.self, "name = \(name)")
    }

    /// Leaves nothing: now, or later when the store does not let it now.
    package func abandon() async {
        await draft.discard()
        await service.remove(deposit: name, location)
    }
}

// MARK: - Removing

extension ImageService {
    /// In the transaction that takes bytes away from an image: they are to go. Gives the names to `clear` afterwards.
    package func doom(
        _ locations: [ImageLocation], of imageID: String, _ transaction: Transaction
    ) throws(Fault) -> [String] {
        try locations.mapping { location throws(Fault) in
            let name = "\(imageID).\(Hex.encode(ids.bytes(4)))"
            try transaction.insert(
                ImageDepositRecord(
                    name: name, imageID: imageID, store: location.store, url: location.url, isDoomed: true,
                    createdAt: clock.now()))
            return name
        }
    }

    /// Removes what was doomed, as far as the stores allow now; the janitor tries the rest again.
    package func clear(_ names: [String]) async throws(Fault) {
        for record in try await database.all(ImageDepositRecord.self, "name IN \(names)") {
            await remove(deposit: record.name, ImageLocation(store: record.store, url: record.url))
        }
    }

    /// Removes the bytes of a deposit and then its row; what cannot go now is doomed.
    package func remove(deposit name: String, _ location: ImageLocation) async {
        do throws(Fault) {
            try await delete(location)
            try await database.delete(ImageDepositRecord.self, "name = \(name)")
        } catch {
            log.warning("image data is left behind", ["location": location.url, "error": error.message])
            do throws(Fault) {
                try await database.update(
                    ImageDepositRecord.self, set: "is_doomed = \(true)", where: "name = \(name)")
            } catch {
                log.error("image data is not noted as left behind", ["deposit": name, "error": error.message])
            }
        }
    }

    /// A store that gives bytes only (http) keeps them: an image's end is not theirs.
    private func delete(_ location: ImageLocation) async throws(Fault) {
        if location.store == ImageStores.stagingID { return try await stores.staging.delete(location.url) }
        guard let entry = await stores.entry(of: location) else {
            log.warning("no store knows the image data", ["location": location.url])
            return
        }
        if !entry.store.isReadOnly { try await entry.store.delete(location.url) }
    }
}

extension Fault {
    static func noStore(_ id: String) -> Fault {
        .conflict("The selected store \(id) is not available on this node.")
    }
}
