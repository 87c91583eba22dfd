// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The data of a location that is still to be read and digested, and what it should be when the client said so. The row
/// outlives a sudden end.
package struct ImageLocationCheck: Record {
    package static let table = "image_location_checks"

    package let imageID: String
    package let algorithm: String
    package let expected: String?
    package let tries: Int

    static let migrations: [Migration] = [
        """
        2026-11-21 image location checks
        CREATE TABLE image_location_checks (
            image_id VARCHAR(36) PRIMARY KEY, algorithm VARCHAR(64) NOT NULL, expected VARCHAR(128),
            tries INTEGER NOT NULL)
        """
    ]
}

/// Digests what added locations lead to (`do_secure_hash`), and compares it where there is something to compare.
package struct ImageLocationHasher: Sendable {
    private let room: ImageService
    private static let interval = Duration.seconds(1)

    package init(_ room: ImageService) { self.room = room }

    package func run() async {
        await room.clock.every(Self.interval) { await pass() }
    }

    /// Tries each that waits once.
    package func pass() async {
        do throws(Fault) {
            for check in try await room.database.all(ImageLocationCheck.self) { try await work(check) }
        } catch {
            room.log.warning("added locations could not be checked", ["error": error.message])
        }
    }

    private func work(_ check: ImageLocationCheck) async throws(Fault) {
        let id = check.imageID
        guard let image = try await room.database.first(ImageRecord.self, "id = \(id)"), let size = image.size else {
            return try await end(id, .failure, "No image found with ID \(id)")
        }
        let found: ImageDigests.Result
        do throws(Fault) {
            let digests = ImageDigests(Digest.Algorithm(rawValue: check.algorithm) ?? .sha512, on: room.digesters)
            try await room.open(image, room.stores.ordered(image.locations), offset: 0, length: size)
                .forEachPiece { bytes async throws(Fault) in try await digests.add(bytes) }
            found = try await digests.finish()
        } catch {
            return try await failed(check, image, error)
        }
        if let expected = check.expected, expected != found.hash {
            room.log.warning("the data of an added location is not what was promised", ["image_id": id])
            return try await forget(
                image, "os_hash_value: (\(expected)) not matched with actual os_hash_value: (\(found.hash))")
        }
        let now = room.clock.now()
        _ = try await end(id, .success, "") { transaction throws(Fault) in
            try transaction.update(
                ImageRecord.self,
                set: """
                    status = CASE status WHEN 'importing' THEN 'active' ELSE status END, checksum = \(found.md5), \
                    os_hash_algo = \(check.algorithm), os_hash_value = \(found.hash), updated_at = \(now)
                    """, where: "id = \(id)")
        }
    }

    /// An image that nobody vouched for stays as it is, without a hash; another one waits for data again.
    private func failed(
        _ check: ImageLocationCheck, _ image: ImageRecord, _ fault: Fault
    ) async throws(Fault) {
        let id = check.imageID
        room.log.warning("an added location could not be read", ["image_id": id, "error": fault.message])
        if check.tries < room.storeOptions.httpRetries {
            try await room.database.update(
                ImageLocationCheck.self, set: "tries = \(check.tries + 1)", where: "image_id = \(id)")
        } else if check.expected != nil {
            try await forget(image, "Hash calculation failed for image \(id) data")
        } else {
            _ = try await end(id, .success, "Hash calculation failed for image \(id) data") {
                transaction throws(Fault) in
                try transaction.update(
                    ImageRecord.self, set: "os_hash_algo = NULL", where: "id = \(id) AND os_hash_value IS NULL")
            }
        }
    }

    /// The image waits for data again. A location of a store that is read only is left, as nothing can be undone there.
    private func forget(_ image: ImageRecord, _ why: String) async throws(Fault) {
        let room = room
        let kept = image.locations.filter { room.stores[$0.store]?.store.isReadOnly == true }
        let gone = image.locations.filter { !kept.contains($0) }
        let doomed = try await end(image.id, .failure, why) { transaction throws(Fault) in
            try transaction.update(
                ImageRecord.self, set: ImageRecord.backToQueued(locations: kept),
                where: "id = \(image.id) AND status = 'importing'")
            return try room.doom(gone, of: image.id, transaction)
        }
        try await room.clear(doomed)
    }

    /// Nothing is left to read for the image: its task says so.
    private func end<Value: Sendable>(
        _ id: String, _ status: ImageTask.Status, _ message: String,
        _ change: @escaping @Sendable (Transaction) throws(Fault) -> Value = { _ throws(Fault) in () }
    ) async throws(Fault) -> Value {
        let (now, lives) = (room.clock.now(), room.imports.taskTimeToLive)
        return try await room.database.transaction { transaction throws(Fault) in
            try transaction.delete(ImageLocationCheck.self, "image_id = \(id)")
            let tasks = try transaction.all(
                ImageTask.self, "image_id = \(id) AND type = 'location_import' AND status = 'processing'")
            for task in tasks {
                try ImageTask.end(
                    task.id, status, result: status == .success ? ["image_id": .string(id)] : .null,
                    message: message, now: now, lives: lives, transaction)
            }
            return try change(transaction)
        }
    }
}
