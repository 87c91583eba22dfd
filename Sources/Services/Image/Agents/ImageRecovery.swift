// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension ImageService {
    /// To be called once after the tables are there and before the first request: undoes what a sudden end left.
    /// Uploads that were under way begin again from `queued`; bytes that no image counts on are removed, by the janitor
    /// where a store does not answer now.
    package func recover() async throws(Fault) {
        try await adoptSingleLocations()
        let queued = try await database.update(
            ImageRecord.self, set: ImageRecord.backToQueued,
            where: """
                (status = 'saving' OR (status = 'uploading' AND checksum IS NULL) \
                OR (status = 'importing' AND id NOT IN \
                (SELECT image_id FROM image_tasks \
                WHERE image_id IS NOT NULL AND status IN ('pending', 'processing')))) \
                AND id NOT IN (SELECT image_id FROM image_location_checks)
                """)
        try await database.update(
            ImageDepositRecord.self, set: "is_doomed = \(true)",
            where: """
                is_doomed = \(false) AND name NOT IN \
                (SELECT location FROM image_images WHERE status IN ('uploading', 'importing') AND location IS NOT NULL)
                """)
        var removed = try await stores.staging.sweep().count
        removed += try await cache?.medium.sweep().count ?? 0
        for entry in stores.entries { removed += try await entry.store.sweep().count }
        if queued > 0 || removed > 0 {
            log.info("images recovered", ["queued_again": queued, "files_removed": removed])
        }
    }

    /// Images of before there were several stores had one location, the name of a file in the only one.
    private func adoptSingleLocations() async throws(Fault) {
        guard let file = stores.entries.first(where: { $0.kind == .file }) else { return }
        let old = try await database.all(
            ImageRecord.self,
            "status IN ('active', 'deactivated') AND location IS NOT NULL AND locations = '[]'")
        for image in old {
            let locations: JSON = [["store": .string(file.id), "url": .string(image.location ?? ""), "metadata": [:]]]
            try await database.update(
                ImageRecord.self, set: "locations = \(locations), location = NULL", where: "id = \(image.id)")
        }
        // What was only staged stood there as well, and is asked for again.
        try await database.update(
            ImageRecord.self, set: ImageRecord.backToQueued,
            where: "status = 'uploading' AND location NOT IN (SELECT name FROM image_deposits)")
    }
}

/// Removes what stores did not let go when it was deleted: one was away, or somebody still built on the bytes.
package struct ImageJanitor: Sendable {
    private let service: ImageService
    private static let interval = Duration.seconds(60)

    package init(_ service: ImageService) { self.service = service }

    package func run() async {
        await service.clock.every(Self.interval) { await pass() }
    }

    /// Tries each once.
    package func pass() async {
        do throws(Fault) {
            let doomed = try await service.database.all(ImageDepositRecord.self, "is_doomed = \(true)")
            for record in doomed {
                await service.remove(
                    deposit: record.name, ImageLocation(store: record.store, url: record.url))
            }
        } catch {
            service.log.warning("the image janitor could not read", ["error": error.message])
        }
    }
}
