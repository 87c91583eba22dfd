// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an import works with.
package struct ImageImportSite: Sendable {
    package let room: ImageService
    package let context: OperationContext

    /// The image as it is, while the task has it.
    func image(_ operation: ImportImage) async throws(Fault) -> ImageRecord {
        let image = try await room.database.first(ImageRecord.self, "id = \(operation.subject)")
        return try Self.held(image, operation)
    }

    /// Changes the image, while the task has it.
    func change<Answer: Sendable>(
        _ operation: ImportImage,
        _ deed: @escaping @Sendable (inout ImageRecord, Transaction) throws(Fault) -> Answer
    ) async throws(Fault) -> Answer {
        let now = room.clock.now()
        return try await room.database.transaction { transaction throws(Fault) in
            let found = try transaction.first(ImageRecord.self, "id = \(operation.subject)")
            var image = try Self.held(found, operation)
            let answer = try deed(&image, transaction)
            image.updatedAt = now
            try image.save(transaction)
            return answer
        }
    }

    private static func held(_ image: ImageRecord?, _ operation: ImportImage) throws(Fault) -> ImageRecord {
        guard let image else { throw .gone("Image has been deleted, aborting import.") }
        guard image.importTask == operation.taskID else {
            throw .gone("The image \(image.id) is no longer this task's; aborting.")
        }
        return image
    }

    /// Tells how far it is, in the task as well.
    func report(_ operation: ImportImage, copied: Int, of size: Int?) async {
        let message = "Copied \(copied >> 20) MiB"
        let share = size.map { $0 > 0 ? Double(copied) / Double($0) : 1 } ?? 0
        await context.report(share, message)
        _ = try? await room.database.update(
            ImageTask.self, set: "message = \(message), updated_at = \(room.clock.now())",
            where: "id = \(operation.taskID) AND status = 'processing'")
    }

    /// Removes staged bytes of earlier tries.
    func clearStaging(of imageID: String, but name: String?) async throws(Fault) {
        let old = try await room.database.all(
            ImageDepositRecord.self,
            "image_id = \(imageID) AND store = \(ImageStores.stagingID) AND name <> \(name ?? "")")
        for record in old {
            await room.remove(deposit: record.name, ImageLocation(store: record.store, url: record.url))
        }
    }

    /// Where the image's staged bytes are.
    func staged(_ image: ImageRecord) async throws(Fault) -> String {
        let record = try await room.database.first(ImageDepositRecord.self, "name = \(image.location ?? "")")
        guard let record else { throw .gone("Staged image data of \(image.id) is gone.") }
        return record.url
    }
}
