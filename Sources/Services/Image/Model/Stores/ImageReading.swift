// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Which of an image's locations its bytes are read from.
enum ImageReading {
    /// The order they are tried in: by the stores' weight, or first those that `prefer` names.
    static func preferred(
        _ image: ImageRecord, _ seen: SeenImage, _ request: Request
    ) throws(Fault) -> [ImageLocation] {
        let stores = request.image.stores
        let names = (request.query("prefer") ?? "").split(separator: ",").map { String($0).trimmed }
            .filter { !$0.isEmpty }
        guard !names.isEmpty else { return stores.ordered(image.locations) }
        guard request.may("download_from_store", on: seen) else {
            throw request.index.envelope.refusal("download_from_store")
        }
        guard stores.isMulti else {
            throw .badRequest(
                "Store selection for download is not available when multiple backends are not enabled.")
        }
        if let unknown = names.first(where: { stores[$0] == nil }) {
            throw .badRequest("Store '\(unknown)' is not configured.")
        }
        let isPreferred: (ImageLocation) -> Bool = { names.contains($0.store) }
        return image.locations.filter(isPreferred) + image.locations.filter { !isPreferred($0) }
    }
}

extension ImageService {
    /// A part of an image from the first of the locations that has it.
    package func open(
        _ image: ImageRecord, _ locations: [ImageLocation], offset: Int, length: Int
    ) async throws(Fault) -> HTTPResponse.Body {
        var last = Fault.notFound("Image data not found.")
        for location in locations {
            guard let entry = await stores.entry(of: location) else { continue }
            do throws(Fault) {
                return try await entry.store.open(location.url, offset: offset, length: length)
            } catch {
                log.warning(
                    "image data not readable", ["image_id": image.id, "store": entry.id, "error": error.message])
                last = error
            }
        }
        throw last
    }

    /// Refuses when somebody builds on the bytes of an image, in one store or any.
    package func requireUnused(_ image: ImageRecord, in store: String? = nil) async throws(Fault) {
        for location in image.locations where store == nil || location.store == store {
            do throws(Fault) {
                try await stores.entry(of: location)?.store.requireUnused(location.url)
            } catch {
                guard error.status == 409 else { continue }
                throw .conflict(
                    "Image \(image.id) could not be deleted because it is in use: \(error.message)")
            }
        }
    }
}

extension HTTPResponse.Body {
    /// Hands the bytes on in pieces, one after the other.
    package func forEachPiece(
        _ take: @escaping @Sendable ([UInt8]) async throws(Fault) -> Void
    ) async throws(Fault) {
        switch self {
        case .empty, .upgrade: return
        case .bytes(let bytes): try await take(bytes)
        case .file(let file, let offset, let length):
            var done = 0
            while done < length {
                let bytes = try file.read(at: offset + done, count: min(1 << 20, length - done))
                guard !bytes.isEmpty else { throw .unavailable("The image's file ended early.") }
                try await take(bytes)
                done += bytes.count
            }
        case .stream(_, let produce):
            try await produce(ResponseWriter { bytes async throws(Fault) in try await take(bytes) })
        }
    }
}
