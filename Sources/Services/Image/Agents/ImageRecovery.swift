// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension ImageService {
    /// To be called once after the tables are there and before the first request: undoes what a sudden end left.
    /// Uploads that were under way begin again from `queued`; bytes that no image speaks of are removed.
    package func recover() async throws(Fault) {
        let queued = try await database.update(
            ImageRecord.self, set: ImageRecord.backToQueued,
            where: "status IN ('saving', 'importing') OR (status = 'uploading' AND checksum IS NULL)")
        let kept = try await database.rows("SELECT location FROM image_images WHERE location IS NOT NULL")
        let removed = try await store.sweep(keeping: Set(kept.compactMap { $0.text("location") }))
        if queued > 0 || !removed.isEmpty {
            log.info("images recovered", ["queued_again": queued, "files_removed": removed.count])
        }
    }
}
