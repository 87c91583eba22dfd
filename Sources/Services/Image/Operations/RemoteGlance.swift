// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// An image of another image service, which `glance-download` takes with what is known of it.
struct RemoteGlance {
    /// Which one, of which service.
    struct Image: Codable, Sendable {
        let region: String
        let interface: String
        let id: String
    }

    /// Where its bytes are, how to ask for them, and what else it says of itself.
    struct File: Sendable {
        let url: String
        let headers: [(String, String)]
        let size: Int
        let document: JSON
    }

    private let operation: ImportImage
    private let room: ImageService

    init(_ operation: ImportImage, _ room: ImageService) {
        self.operation = operation
        self.room = room
    }

    func find(_ image: Image, _ requestID: String) async throws(Fault) -> File {
        guard let token = await room.tokens.token(of: operation.taskID) else {
            throw .gone("The service was restarted meanwhile and no longer has the token that the import needs.")
        }
        let id = image.id
        let endpoint = try await ImageEndpoints(room, requestID).find(image.region, image.interface)
        let address = "\(endpoint)/v2/images/\(id)"
        let filter = room.imports.filter
        guard filter.allows(address) else {
            throw .badRequest("Processed URI for glance-download does not pass filtering: \(address)/file")
        }
        let headers = [("X-Auth-Token", token)]
        let bytes = try await room.remote.open(address, headers: headers) { filter.allows($0) }
            .collect(limit: 4 << 20)
        let document: JSON
        do { document = try JSON.parse(bytes) } catch {
            throw .badRequest("\(address) answered something that is not JSON: \(error.message)")
        }
        let status = document["status"]?.string ?? "None"
        guard status == "active" else {
            throw .badRequest("Source image status should be active instead of \(status)")
        }
        guard let size = document["size"]?.integer else {
            throw .badRequest("Size attribute of remote image \(id) could not be determined.")
        }
        return File(url: address + "/file", headers: headers, size: size, document: document)
    }
}

extension ImageRecord {
    /// Takes over another image's formats and those of its properties whose names begin in certain ways.
    mutating func take(_ source: JSON, _ beginnings: [String], _ formats: ImageFormats) throws(Fault) {
        for name in ["disk_format", "container_format"] {
            if let value = source[name] { try set(name, value, formats) }
        }
        for (name, value) in source.object ?? JSONObject()
        where beginnings.contains(where: { name.hasPrefix($0) }) && !name.hasPrefix(ImportMarks.prefix) {
            guard !ImageValues.base.contains(name), value.string != nil else { continue }
            try set(name, value, formats)
        }
    }
}
