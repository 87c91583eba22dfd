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
        while !Task.isCancelled {
            await pass()
            guard (try? await room.clock.sleep(Self.interval)) != nil else { return }
        }
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
            try await room.database.delete(ImageLocationCheck.self, "image_id = \(id)")
            return
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
            return try await forget(check, image)
        }
        let now = room.clock.now()
        try await room.database.transaction { transaction throws(Fault) in
            try transaction.delete(ImageLocationCheck.self, "image_id = \(id)")
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
            try await forget(check, image)
        } else {
            try await room.database.delete(ImageLocationCheck.self, "image_id = \(id)")
        }
    }

    private func forget(_ check: ImageLocationCheck, _ image: ImageRecord) async throws(Fault) {
        let room = room
        let doomed = try await room.database.transaction { transaction throws(Fault) in
            try transaction.delete(ImageLocationCheck.self, "image_id = \(image.id)")
            try transaction.update(
                ImageRecord.self, set: ImageRecord.backToQueued, where: "id = \(image.id) AND status = 'importing'")
            return try room.doom(image.locations, of: image.id, transaction)
        }
        try await room.clear(doomed)
    }
}
