// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Block storage's API (Cinder v3) as other rooms use it: volumes, and how they are attached. A cloud may be without
/// that service: then nothing is found, and what would make something is refused.
package struct BlockStorageClient: Sendable {
    /// Without a project in its paths since 3.67; attachments are completed since 3.44.
    private static let version = "volume 3.67"
    private let transport: any Transport
    private let caller: Caller
    private let client: ServiceClient

    package init(over transport: any Transport, as caller: Caller) {
        self.transport = transport
        self.caller = caller
        client = ServiceClient("block-storage", base: "/v3", version: Self.version, over: transport, as: caller)
    }

    /// A volume as far as guests care.
    package struct Volume: Sendable {
        package let id: String
        package let name: String
        package let status: String
        package let size: Int
        package let isMultiattach: Bool
        package let isBootable: Bool
        package let zone: String
        /// Set while Block storage itself moves the volume to another place.
        package let migrationStatus: String
        /// The servers that have it.
        package let servers: [String]
        /// Of the image it was made from: `hw_disk_bus`, but nothing of its file.
        package let imageProperties: [String: String]
        package let imageID: String?
        /// What that image asks of a flavor, in MiB.
        package let leastRAM: Int
    }

    /// What a volume is encrypted with; all nil of a plain one.
    package struct Encryption: Sendable {
        package let keyID: String?
        /// `luks`, `luks2`, `plain`.
        package let provider: String?
        /// `front-end` is by the host that the volume is attached to.
        package let location: String?
    }

    package struct Snapshot: Sendable {
        package let id: String
        package let volumeID: String
        package let size: Int
        package let status: String
    }

    /// One server's hold on a volume.
    package struct Attachment: Sendable {
        package let id: String
        package let volumeID: String
        package let serverID: String
        /// How a host reaches the volume, once it has said what it is: `{"driver_volume_type": "rbd", "data": {...}}`.
        package let connection: JSON
    }
}

// MARK: - Volumes

extension BlockStorageClient {
    /// Who acts for the cloud itself looks for what belongs to others.
    private var everybodys: [(String, String)] {
        caller.roles.contains("service") ? [("all_tenants", "1")] : []
    }

    /// The same API in another's name, judged by Block storage's own rules.
    package func acting(as caller: Caller) -> BlockStorageClient { BlockStorageClient(over: transport, as: caller) }

    package func volume(_ id: String, requestID: String) async throws(Fault) -> Volume? {
        try await orNil { () async throws(Fault) in
            Volume(try await call("GET", "/volumes/\(id)", requestID: requestID)["volume"] ?? .null)
        }
    }

    package func encryption(of volume: String, requestID: String) async throws(Fault) -> Encryption {
        let found = try await call("GET", "/volumes/\(volume)/encryption", requestID: requestID)
        return Encryption(
            keyID: found["encryption_key_id"]?.string, provider: found["provider"]?.string,
            location: found["control_location"]?.string)
    }

    package func snapshot(_ id: String, requestID: String) async throws(Fault) -> Snapshot? {
        try await orNil { () async throws(Fault) in
            let found = try await call("GET", "/snapshots/\(id)", requestID: requestID)["snapshot"] ?? .null
            return Snapshot(found)
        }
    }

    /// A volume as it is now, in another's name. A server may be using it.
    /// - Parameter mark: tells this snapshot from others of the volume; one that bears it is not made again.
    package func createSnapshot(
        of volume: String, name: String, mark: String, requestID: String
    ) async throws(Fault) -> Snapshot {
        let known = try await document(
            "GET", "/snapshots/detail", query: [("volume_id", volume), ("name", name)] + everybodys,
            requestID: requestID)
        let mine = (known["snapshots"]?.array ?? []).first {
            $0["metadata"]?["image_id"]?.string == mark && $0["volume_id"]?.string == volume
        }
        if let mine { return Snapshot(mine) }
        let described = try await call("GET", "/volumes/\(volume)", requestID: requestID)["volume"]
        let members: JSON = [
            "volume_id": .string(volume), "name": .string(name), "force": true,
            "description": described?["description"] ?? .null, "metadata": ["image_id": .string(mark)],
        ]
        let made = try await call("POST", "/snapshots", ["snapshot": members], requestID: requestID)
        return Snapshot(made["snapshot"] ?? .null)
    }

    /// Deletes the snapshot that bears a mark, if there is one.
    package func deleteSnapshot(of volume: String, name: String, mark: String, requestID: String) async throws(Fault) {
        let known = try await document(
            "GET", "/snapshots/detail", query: [("volume_id", volume), ("name", name)] + everybodys,
            requestID: requestID)
        for snapshot in known["snapshots"]?.array ?? [] where snapshot["metadata"]?["image_id"]?.string == mark {
            _ = try await orNil { () async throws(Fault) in
                try await call("DELETE", "/snapshots/\(snapshot["id"]?.string ?? "")", requestID: requestID)
            }
        }
    }

    /// Says how far a snapshot is that Block storage has others make.
    package func setSnapshotStatus(_ status: String, of snapshot: String, requestID: String) async throws(Fault) {
        let body: JSON = ["os-update_snapshot_status": ["status": .string(status), "progress": "90%"]]
        _ = try await call("POST", "/snapshots/\(snapshot)/action", body, requestID: requestID)
    }

    /// How many snapshots the project may still make; nil when there is no limit.
    package func snapshotsLeft(requestID: String) async throws(Fault) -> Int? {
        let limits = try await call("GET", "/limits", requestID: requestID)["limits"]?["absolute"]
        guard let most = limits?["maxTotalSnapshots"]?.integer, most > -1 else { return nil }
        return most - (limits?["totalSnapshotsUsed"]?.integer ?? 0)
    }

    /// Has Block storage write an image over a volume that is reserved, which it can since 3.68.
    package func reimage(_ volume: String, with image: String, requestID: String) async throws(Fault) {
        let body: JSON = ["os-reimage": ["image_id": .string(image), "reimage_reserved": true]]
        let client = ServiceClient("block-storage", base: "/v3", version: "volume 3.68", over: transport, as: caller)
        do throws(Fault) {
            _ = try await client.call("POST", "/volumes/\(volume)/action", body: body, requestID: requestID)
        } catch {
            throw BlockStorageClient.absent(error)
        }
    }

    /// Names and ids of the types a volume may have.
    package func volumeTypes(requestID: String) async throws(Fault) -> [(id: String, name: String)] {
        let found = try await call("GET", "/types", requestID: requestID)["volume_types"]?.array ?? []
        return found.map { ($0["id"]?.string ?? "", $0["name"]?.string ?? "") }
    }

    package func createVolume(_ members: JSON, requestID: String) async throws(Fault) -> Volume {
        Volume(try await call("POST", "/volumes", ["volume": members], requestID: requestID)["volume"] ?? .null)
    }

    /// Deletes a volume; one that is gone already is fine.
    package func deleteVolume(_ id: String, requestID: String) async throws(Fault) {
        _ = try await orNil { () async throws(Fault) in
            try await call("DELETE", "/volumes/\(id)", requestID: requestID)
        }
    }

    /// One of the actions that take no arguments: `os-begin_detaching`, `os-roll_detaching`.
    package func act(_ action: String, on volume: String, requestID: String) async throws(Fault) {
        _ = try await call(
            "POST", "/volumes/\(volume)/action", .object([action: [:]]), requestID: requestID)
    }

    /// Says that a guest uses the new volume instead of the old one; answers the id the volume has from now on.
    /// - Parameter hasFailed: then the guest uses the old one still, and Block storage drops the new one.
    @discardableResult
    package func completeMigration(
        from old: String, to new: String, hasFailed: Bool = false, requestID: String
    ) async throws(Fault) -> String {
        let body: JSON = ["os-migrate_volume_completion": ["new_volume": .string(new), "error": .bool(hasFailed)]]
        let answer = try await call("POST", "/volumes/\(old)/action", body, requestID: requestID)
        return answer["save_volume_id"]?.string ?? new
    }
}

// MARK: - Attachments

extension BlockStorageClient {
    /// Reserves a volume for a server: nobody else may have it from now on.
    /// - Parameter connector: what the host is, where it is known already. A second host of a volume that may be had
    ///   once is only let in so, while its server moves: Cinder refuses to connect two holds one after the other.
    package func reserve(
        _ volume: String, for server: String, connector: JSON = .null, requestID: String
    ) async throws(Fault) -> Attachment {
        let members: JSON = [
            "attachment": ["volume_uuid": .string(volume), "instance_uuid": .string(server), "connector": connector]
        ]
        return Attachment(
            try await call("POST", "/attachments", members, requestID: requestID)["attachment"] ?? .null)
    }

    /// Nil once it is let go of.
    package func attachment(_ id: String, requestID: String) async throws(Fault) -> Attachment? {
        try await orNil { () async throws(Fault) in
            Attachment(try await call("GET", "/attachments/\(id)", requestID: requestID)["attachment"] ?? .null)
        }
    }

    /// The holds that a server has on a volume.
    package func attachments(
        of volume: String, by server: String, requestID: String
    ) async throws(Fault) -> [Attachment] {
        let found = try await orNil { () async throws(Fault) in
            try await document(
                "GET", "/attachments/detail",
                query: [("volume_id", volume), ("instance_id", server)] + everybodys, requestID: requestID)
        }
        return (found?["attachments"]?.array ?? []).map { Attachment($0) }
            .filter { $0.volumeID == volume && $0.serverID == server }
    }

    /// Tells what the host is; answers how it reaches the volume.
    package func connect(_ id: String, _ connector: JSON, requestID: String) async throws(Fault) -> Attachment {
        let body: JSON = ["attachment": ["connector": connector]]
        return Attachment(
            try await call("PUT", "/attachments/\(id)", body, requestID: requestID)["attachment"] ?? .null)
    }

    /// The guest has the volume.
    package func complete(_ id: String, requestID: String) async throws(Fault) {
        _ = try await call("POST", "/attachments/\(id)/action", ["os-complete": [:]], requestID: requestID)
    }

    /// Lets go of a volume; a hold that is gone already is fine.
    package func release(_ id: String, requestID: String) async throws(Fault) {
        _ = try await orNil { () async throws(Fault) in
            try await call("DELETE", "/attachments/\(id)", requestID: requestID)
        }
    }

    /// Any call, for those who translate another API into Block storage's.
    package func document(
        _ method: String, _ path: String, _ body: JSON? = nil, query: [(String, String)] = [], requestID: String
    ) async throws(Fault) -> JSON {
        do throws(Fault) {
            return try await client.call(method, path, query: query, body: body, requestID: requestID)
        } catch {
            throw BlockStorageClient.absent(error)
        }
    }

    private func call(
        _ method: String, _ path: String, _ body: JSON? = nil, requestID: String
    ) async throws(Fault) -> JSON {
        try await document(method, path, body, requestID: requestID)
    }

    /// A cloud without the service has none of its things.
    private static func absent(_ fault: Fault) -> Fault {
        guard fault.status == 503, fault.message.hasSuffix("status 503") else { return fault }
        return .notFound("The block storage service is not part of this cloud.", code: "BlockStorageMissing")
    }
}

extension BlockStorageClient.Volume {
    init(_ json: JSON) {
        id = json["id"]?.string ?? ""
        name = json["name"]?.string ?? ""
        status = json["status"]?.string ?? ""
        size = json["size"]?.integer ?? 0
        isMultiattach = json["multiattach"]?.bool ?? false
        isBootable = json["bootable"]?.string.map { $0.lowercased() == "true" } ?? json["bootable"]?.bool ?? false
        zone = json["availability_zone"]?.string ?? ""
        migrationStatus = json["migration_status"]?.string ?? ""
        servers = (json["attachments"]?.array ?? []).compactMap { $0["server_id"]?.string }
        var properties: [String: String] = [:]
        for (name, value) in json["volume_image_metadata"]?.object ?? [:] {
            if let text = value.string { properties[name] = text }
        }
        imageID = properties["image_id"]
        leastRAM = properties["min_ram"].flatMap { Int($0) } ?? 0
        imageProperties = properties.filter { !Self.ofTheFile.contains($0.key) }
    }

    /// What Block storage keeps of an image beside its properties.
    private static let ofTheFile: Set = [
        "image_id", "image_name", "size", "checksum", "container_format", "disk_format", "min_ram", "min_disk",
    ]
}

extension BlockStorageClient.Snapshot {
    init(_ json: JSON) {
        id = json["id"]?.string ?? ""
        volumeID = json["volume_id"]?.string ?? ""
        size = json["size"]?.integer ?? 0
        status = json["status"]?.string ?? ""
    }
}

extension BlockStorageClient.Attachment {
    init(_ json: JSON) {
        id = json["id"]?.string ?? ""
        volumeID = json["volume_id"]?.string ?? ""
        serverID = json["instance"]?.string ?? json["instance_uuid"]?.string ?? ""
        connection = Self.nested(json["connection_info"] ?? .null)
    }
}

extension BlockStorageClient.Attachment {
    /// Attachments tell the kind of a connection among its members; hosts are told it apart from them, as ever.
    private static func nested(_ json: JSON) -> JSON {
        guard var members = json.object, members["data"]?.object == nil, let kind = members["driver_volume_type"] else {
            return json
        }
        for name in ["driver_volume_type", "connector", "attachment_id"] { members[name] = nil }
        return ["driver_volume_type": kind, "data": .object(members)]
    }
}
