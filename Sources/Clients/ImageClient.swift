// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Image's API as other rooms use it.
package struct ImageClient: Sendable {
    private let transport: any Transport
    private let caller: Caller

    package init(over transport: any Transport, as caller: Caller) {
        self.transport = transport
        self.caller = caller
    }

    /// An image as far as guests care.
    package struct Image: Sendable {
        package let id: String
        package let name: String
        package let status: String
        package let diskFormat: String
        package let size: Int
        package let virtualSize: Int
        package let minDisk: Int
        package let minRAM: Int
        package let checksum: String
        /// Members that are no base properties: `hw_disk_bus`, `os_distro`.
        package let properties: [String: String]

        /// Those a hypervisor or a guest may look at.
        package var guestProperties: [String: String] {
            properties.filter { !Self.mappings.contains($0.key) }
        }

        /// Whether it is no disk but names the snapshots of volumes that disks are made of.
        package var isOfVolumes: Bool {
            properties["block_device_mapping"] != nil || properties["img_block_device_mapping"] != nil
        }

        /// Which volumes' snapshots are the disks of a server that is made of the image.
        private static let mappings: Set = [
            "block_device_mapping", "mappings", "img_block_device_mapping", "img_mappings", "bdm_v2", "img_bdm_v2",
        ]
    }

    func client(_ caller: Caller?) -> ServiceClient {
        ServiceClient("image", base: "/v2", over: transport, as: caller ?? self.caller)
    }

    /// The image as a caller sees it; nil when it is not there for them.
    package func find(_ id: String, requestID: String, as caller: Caller? = nil) async throws(Fault) -> Image? {
        try await orNil { () async throws(Fault) in
            Image(try await client(caller).call("GET", "/images/\(id)", requestID: requestID))
        }
    }

    /// Any call in a caller's name, for those who translate another API into Image's.
    package func document(
        _ method: String, _ path: String, query: [(String, String)] = [], body: JSON? = nil,
        type: String = "application/json", requestID: String, as caller: Caller
    ) async throws(Fault) -> JSON {
        try await client(caller).call(method, path, query: query, body: body, type: type, requestID: requestID)
    }

    /// The members of an image's document that are properties somebody gave it.
    package static func properties(of document: JSON) -> [String: String] { Image(document).properties }

    /// Streams the image's data; in one process a file's bytes come without a socket between.
    package func download(
        _ id: String, requestID: String, _ take: @escaping @Sendable ([UInt8]) async throws(Fault) -> Void
    ) async throws(Fault) {
        let response = await client(caller).raw("GET", "/images/\(id)/file", requestID: requestID)
        guard response.status == 200 else {
            throw Fault(response.status, "image \(id): its data could not be read (status \(response.status))")
        }
        switch response.body {
        case .bytes(let bytes): try await take(bytes)
        case .empty, .upgrade: break
        case .file(let file, let offset, let length):
            var at = 0
            while at < length {
                let chunk = try file.read(at: offset + at, count: min(1 << 20, length - at))
                guard !chunk.isEmpty else { throw .unavailable("image \(id): its file ended early") }
                try await take(chunk)
                at += chunk.count
            }
        case .stream(_, let produce):
            try await produce(ResponseWriter { bytes async throws(Fault) in try await take(bytes) })
        }
    }
}

extension ImageClient.Image {
    private static let base: Set<String> = [
        "id", "name", "status", "disk_format", "container_format", "size", "virtual_size", "min_disk", "min_ram",
        "checksum", "os_hash_algo", "os_hash_value", "os_hidden", "owner", "visibility", "protected", "created_at",
        "updated_at", "tags", "file", "self", "schema", "stores", "locations", "direct_url",
    ]

    init(_ json: JSON) {
        id = json["id"]?.string ?? ""
        name = json["name"]?.string ?? ""
        status = json["status"]?.string ?? ""
        diskFormat = json["disk_format"]?.string ?? "raw"
        size = json["size"]?.integer ?? 0
        virtualSize = json["virtual_size"]?.integer ?? 0
        minDisk = json["min_disk"]?.integer ?? 0
        minRAM = json["min_ram"]?.integer ?? 0
        checksum = json["os_hash_value"]?.string ?? json["checksum"]?.string ?? ""
        var properties: [String: String] = [:]
        for (key, value) in json.object ?? JSONObject() where !Self.base.contains(key) {
            if let text = value.string { properties[key] = text }
        }
        self.properties = properties
    }
}
