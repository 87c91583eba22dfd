// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Removes the bytes of deleted images when their delay is over.
package struct ImageScrubber: Sendable {
    private let service: ImageService

    package init(_ service: ImageService) { self.service = service }

    package func run() async {
        await service.clock.every(service.options.scrubberWakes) { await pass() }
    }

    /// Ends each whose time has come.
    package func pass() async {
        do throws(Fault) {
            let due = service.clock.now() - service.options.scrubTime
            let waiting = try await service.database.all(
                DeletedImage.self, "status = 'pending_delete' AND deleted_at <= \(due) ORDER BY deleted_at LIMIT 1000")
            for gone in waiting { try await scrub(gone) }
        } catch {
            service.log.warning("the image scrubber could not work", ["error": error.message])
        }
    }

    private func scrub(_ gone: DeletedImage) async throws(Fault) {
        let room = service
        let doomed = try await room.database.transaction { transaction throws(Fault) -> [String] in
            var row = try transaction.one(DeletedImage.self, "id = \(gone.id)", or: .imageNotFound(gone.id))
            guard row.status == .pending else { return [] }
            let image = try? JSON.decode(ImageRecord.self, from: row.image)
            row.status = .deleted
            row.image = .null
            try transaction.replace(row, where: "id = \(row.id)", or: .imageNotFound(row.id))
            return try room.doom(image?.locations ?? [], of: row.id, transaction)
        }
        try await room.clear(doomed)
        room.log.info("image scrubbed", ["image_id": gone.id])
    }
}
