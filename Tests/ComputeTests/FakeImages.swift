// SPDX-License-Identifier: Apache-2.0
import Kernel
import Synchronization

/// Image's API as far as Compute calls it: one image that everybody may boot from, and those that servers become.
final class FakeImages: Service {
    static let id = "11111111-1111-4111-8111-111111111111"
    /// Another one that is like it.
    static let other = "11111111-1111-4111-8111-222222222222"

    static let index = ServiceIndex(
        type: "image", name: "glance", title: "Image", port: 9292, mount: "/image", base: "/v2",
        versions: .none, envelope: .plain, wording: .nova, resources: [Routes.self])

    struct State {
        var images: [String: JSONObject] = [:]
        /// How many bytes each image was given.
        var bytes: [String: Int] = [:]
        /// The order in which they were made, the newest last.
        var order: [String] = []
        /// Creations are answered with this status while it is set.
        var refusal: Int?
        /// Uploads that fail before one works.
        var brokenUploads = 0
    }

    let state: Mutex<State>

    init() {
        let tiny: JSONObject = [
            "id": .string(FakeImages.id), "name": "tiny", "status": "active", "disk_format": "qcow2",
            "size": 4096, "virtual_size": 1_048_576, "min_disk": 0, "min_ram": 64, "checksum": "c",
            "hw_disk_bus": "virtio",
        ]
        var other = tiny
        other["id"] = .string(FakeImages.other)
        other["hw_rescue_bus"] = "virtio"
        state = Mutex(State(images: [FakeImages.id: tiny, FakeImages.other: other]))
    }

    /// Those that servers became, the oldest first.
    var made: [JSONObject] { state.withLock { state in state.order.compactMap { state.images[$0] } } }

    func remove(_ id: String) { state.withLock { $0.images[id] = nil } }

    enum Routes: Resource {
        static let routes: [Route] = [
            .open("GET", "/images", "List images") { request async throws(Fault) in
                let all = request.images.made.reversed().filter { image in
                    ["image_type", "backup_type", "instance_uuid"].allSatisfy { name in
                        request.query(name).map { image[name]?.string == $0 } ?? true
                    }
                }
                return .json(["images": .array(all.map(JSON.object))])
            },
            .open("POST", "/images", "Create an image", status: 201) { request async throws(Fault) in
                try request.images.create(request.json?.object ?? [:])
            },
            .open("GET", "/images/{id}", "Show an image") { request async throws(Fault) in
                guard let image = request.images.state.withLock({ $0.images[request["id"]] }) else {
                    throw .notFound("No such image.")
                }
                return .json(.object(image))
            },
            .open("PATCH", "/images/{id}", "Update an image") { request async throws(Fault) in
                let id = request["id"]
                return try request.images.state.withLock { state throws(Fault) in
                    guard var image = state.images[id] else { throw Fault.notFound("No such image.") }
                    for change in request.json?.array ?? [] {
                        image[String((change["path"]?.string ?? "/").dropFirst())] = change["value"]
                    }
                    state.images[id] = image
                    return .json(.object(image))
                }
            },
            .open("DELETE", "/images/{id}", "Delete an image", status: 204) { request async throws(Fault) in
                let id = request["id"]
                let found = request.images.state.withLock { $0.images[id] }
                guard let found else { throw .notFound("No such image.") }
                guard found["protected"] != true else {
                    throw .forbidden("Image \(id) is protected and cannot be deleted.")
                }
                request.images.state.withLock { $0.images[id] = nil }
                return .empty
            },
            .open("POST", "/images/{id}/members", "Share an image", status: 200) { _ in .json([:]) },
            .open("GET", "/images/{id}/file", "Download an image") { _ in
                .body(.bytes([UInt8](repeating: 7, count: 4096)), type: "application/octet-stream")
            },
            .open("PUT", "/images/{id}/file", "Upload an image", status: 204, payload: .stream) {
                request async throws(Fault) in
                try await request.images.fill(request["id"], request.http.body)
                return .empty
            },
        ]
    }
}

extension FakeImages {
    fileprivate func create(_ draft: JSONObject) throws(Fault) -> Reply {
        let id = draft["id"]?.string ?? ""
        try state.withLock { state throws(Fault) in
            if let refusal = state.refusal { throw Fault(refusal, "images are refused") }
            guard state.images[id] == nil else { throw .conflict("Image ID already exists!") }
            var image = draft
            image["status"] = "queued"
            state.images[id] = image
            state.order.append(id)
        }
        return .json(.object(draft))
    }

    fileprivate func fill(_ id: String, _ body: HTTPBody) async throws(Fault) {
        var count = 0
        while let bytes = try await body.read() { count += bytes.count }
        let size = count
        try state.withLock { state throws(Fault) in
            guard state.images[id] != nil else { throw .notFound("No such image.") }
            guard state.brokenUploads == 0 else {
                state.brokenUploads -= 1
                throw .unavailable("the store is out of order")
            }
            state.images[id]?["status"] = "active"
            state.images[id]?["size"] = .integer(Int64(size))
            state.bytes[id] = size
        }
    }
}

extension Request {
    fileprivate var images: FakeImages { room(FakeImages.self) }
}
