// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Brings bytes into an image: fetched into the staging store, worked on there, looked at, and copied to the stores.
/// Each step finds out what of it was done before a sudden end.
package struct ImportImage: Operation {
    package static let kind = "image.import"

    /// The image.
    package let subject: String
    let taskID: String
    let method: ImportMethod
    /// Where `web-download` reads.
    let url: String?
    /// What `glance-download` takes.
    let remote: RemoteGlance.Image?
    let plugins: [ImportPlugin]
    /// What `inject_image_metadata` sets, decided by the caller's roles when the import was asked for.
    let injected: [String: String]
    let stores: [String]
    let mustAllSucceed: Bool

    package var deadline: Duration { .seconds(7 * 86400) }
    private var patience: Duration { .seconds(86400) }

    package var steps: [Step<ImageImportSite>] {
        var steps = [Step("begin", do: begin)]
        if method != .copyImage {
            steps.append(Step("fetch", budget: patience, pace: .long, do: fetch))
            for at in plugins.indices {
                steps.append(
                    Step("plugin \(at) \(plugins[at].rawValue)", attempts: 1, budget: patience, pace: .long) {
                        site async throws(Fault) in try await work(at, site)
                    })
            }
            steps.append(Step("inspect", attempts: 1, budget: patience, pace: .long, do: inspect))
        }
        for at in stores.indices {
            steps.append(
                Step("store \(at)", budget: patience, pace: .long) { site async throws(Fault) in
                    try await store(at, site)
                })
        }
        steps.append(Step("finish", do: finish))
        return steps
    }

    private func begin(_ site: ImageImportSite) async throws(Fault) {
        _ = try await site.image(self)
        try await site.room.database.update(
            ImageTask.self, set: "status = 'processing', updated_at = \(site.room.clock.now())",
            where: "id = \(taskID) AND status = 'pending'")
    }

    private func finish(_ site: ImageImportSite) async throws(Fault) {
        let room = site.room
        let doomed = try await site.change(self) { image, transaction throws(Fault) -> [String] in
            // Cloud users may deactivate an image whose other stores are still being filled.
            guard image.isReadable else { throw .badRequest("None of the uploads finished!") }
            let staged = image.location
            image.location = nil
            image.mark(ImportMarks.task, nil)
            try ImageTask.end(
                taskID, .success, result: ["image_id": .string(image.id)], message: "", now: room.clock.now(),
                lives: room.imports.taskTimeToLive, transaction)
            return staged.map { [$0] } ?? []
        }
        try await room.clear(doomed)
        await room.tokens.forget(taskID)
    }

    /// Takes back what was done, and says in the image which stores it failed for.
    package func failed(_ site: ImageImportSite, _ fault: Fault, step: String) async throws(Fault) {
        let room = site.room
        let now = room.clock.now()
        let doomed = try await room.database.transaction { transaction throws(Fault) -> [String] in
            try ImageTask.end(
                taskID, .failure, message: fault.message, now: now, lives: room.imports.taskTimeToLive, transaction)
            guard var image = try transaction.first(ImageRecord.self, "id = \(subject)"),
                image.importTask == taskID
            else { return [] }
            image.mark(ImportMarks.task, nil)
            image.mark(ImportMarks.importing, remove: stores)
            image.mark(ImportMarks.failed, add: room.stores.isMulti ? failedStores(step) : [])
            let gone: [ImageLocation]
            if method == .copyImage {
                gone = image.locations.filter { stores.contains($0.store) }
                image.locations.removeAll { stores.contains($0.store) }
            } else {
                gone = image.forgetBytes()
            }
            image.updatedAt = now
            try image.save(transaction)
            return try room.doom(gone, of: image.id, transaction)
        }
        room.log.warning("image import failed", ["image_id": subject, "step": step, "error": fault.message])
        try await room.clear(doomed)
        try await site.clearStaging(of: subject, but: nil)
        await room.tokens.forget(taskID)
    }

    /// Without bytes no store could be filled; else it is the one whose step it was.
    private func failedStores(_ step: String) -> [String] {
        guard step.hasPrefix("store "), let at = Int(step.dropFirst("store ".count)), stores.indices.contains(at) else {
            return step == "finish" ? [] : stores
        }
        return [stores[at]]
    }
}

/// The operations of the room, for the worker that runs them.
package enum ImageKinds {
    package static func all(_ room: ImageService) -> [OperationKind] {
        let site: ImportImage.SiteMaker = { context async throws(Fault) in
            ImageImportSite(room: room, context: context)
        }
        return [.of(ImportImage.self, site: site)]
    }
}
