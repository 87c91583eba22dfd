// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension ImageClient {
    /// Reserves an image; its bytes come later. One of that id that is there already is taken for it.
    /// - Parameter caller: whose image it becomes; nil is the service itself.
    package func create(_ image: JSONObject, requestID: String, as caller: Caller? = nil) async throws(Fault) {
        do throws(Fault) {
            try await client(caller).call("POST", "/images", body: .object(image), requestID: requestID)
        } catch {
            guard error.status == 409, let id = image["id"]?.string, try await find(id, requestID: requestID) != nil
            else { throw error }
        }
    }

    /// Lets another project use an image.
    package func share(
        _ id: String, with project: String, requestID: String, as caller: Caller? = nil
    ) async throws(Fault) {
        do throws(Fault) {
            try await client(caller).call(
                "POST", "/images/\(id)/members", body: ["member": .string(project)], requestID: requestID)
        } catch {
            if error.status != 409 { throw error }
        }
    }

    /// Gives an image properties.
    package func set(_ properties: [String: String], of id: String, requestID: String) async throws(Fault) {
        let changes = properties.sorted { $0.key < $1.key }.map { name, value -> JSON in
            ["op": "add", "path": .string("/" + name), "value": .string(value)]
        }
        try await client(nil).call(
            "PATCH", "/images/\(id)", body: .array(changes), type: "application/openstack-images-v2.1-json-patch",
            requestID: requestID)
    }

    /// Deletes an image; one that is gone is fine.
    package func delete(_ id: String, requestID: String, as caller: Caller? = nil) async throws(Fault) {
        do throws(Fault) {
            try await client(caller).call("DELETE", "/images/\(id)", requestID: requestID)
        } catch {
            if error.status != 404 { throw error }
        }
    }

    /// The ids of images with these properties, the newest first.
    package func list(
        _ properties: [(String, String)], requestID: String
    ) async throws(Fault) -> [String] {
        let query = properties + [("sort_key", "created_at"), ("sort_dir", "desc"), ("limit", "1000")]
        let answer = try await client(nil).call("GET", "/images", query: query, requestID: requestID)
        return (answer["images"]?.array ?? []).compactMap { $0["id"]?.string }
    }

    /// Gives a reserved image its bytes; they are read as fast as Image takes them.
    package func upload(
        _ id: String, size: Int, requestID: String,
        _ read: @escaping @Sendable (_ at: Int, _ count: Int) async throws(Fault) -> [UInt8]
    ) async throws(Fault) {
        let body = HTTPBody(contentLength: size, source: Bytes(size: size, read))
        let response = await client(nil).upload("PUT", "/images/\(id)/file", body, requestID: requestID)
        guard response.status < 400 else {
            let message = ServiceClient.message((try? await ServiceClient.collect(response)) ?? [])
            throw Fault(response.status, "image \(id): \(message ?? "its data was refused (\(response.status))")")
        }
    }

    /// Bytes that are somewhere else, in pieces of a megabyte.
    private actor Bytes: BodySource {
        private let size: Int
        private let piece: @Sendable (Int, Int) async throws(Fault) -> [UInt8]
        private var at = 0

        init(size: Int, _ piece: @escaping @Sendable (Int, Int) async throws(Fault) -> [UInt8]) {
            self.size = size
            self.piece = piece
        }

        func read() async throws(Fault) -> [UInt8]? {
            guard at < size else { return nil }
            let bytes = try await piece(at, min(1 << 20, size - at))
            guard !bytes.isEmpty else { throw .unavailable("the image's bytes ended early") }
            at += bytes.count
            return bytes
        }
    }
}

extension ServiceClient {
    /// Sends bytes that are no document.
    func upload(_ method: String, _ path: String, _ body: HTTPBody, requestID: String) async -> HTTPResponse {
        var headers = HTTPHeaders()
        headers.add("Content-Type", "application/octet-stream")
        return await send(method, path, headers, body, requestID: requestID)
    }
}
