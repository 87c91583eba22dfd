// SPDX-License-Identifier: Apache-2.0
internal import Clients
internal import Kernel

/// What a project may have of images: unified limits of Identity, when they are used, and a bound on all its bytes.
struct ImageQuotas: Sendable {
    /// The limits by the names that Identity knows them by; sizes are in MiB.
    enum Name: String, CaseIterable {
        case size = "image_size_total"
        case staging = "image_stage_total"
        case count = "image_count_total"
        case uploading = "image_count_uploading"
    }

    private let room: ImageService
    private let project: String
    private let requestID: String

    init(_ request: Request) {
        self.init(request.image, project: request.caller.projectID ?? "", requestID: request.id)
    }

    init(_ room: ImageService, project: String, requestID: String) {
        self.room = room
        self.project = project
        self.requestID = requestID
    }

    /// What the project has and may have, by name; empty when limits are not used.
    func usage() async throws(Fault) -> [(name: Name, used: Int, limit: Int)] {
        guard room.options.usesKeystoneLimits else { return [] }
        let limits = try await limits()
        var all: [(Name, Int, Int)] = []
        for name in Name.allCases { all.append((name, try await used(name), limits[name.rawValue] ?? 0)) }
        return all
    }

    /// What the bound on all bytes of a project leaves; nil is any number.
    func remaining() async throws(Fault) -> Int? {
        guard let quota = room.options.storageQuota else { return nil }
        return quota - (try await storedBytes())
    }

    func requireRoom(_ size: Int) async throws(Fault) {
        guard let remaining = try await remaining(), size > remaining else { return }
        throw .tooLarge(
            "Image exceeds the storage quota: The size of the data \(size) will exceed the limit. \(remaining) bytes "
                + "remaining.")
    }

    /// One more image.
    func requireImage() async throws(Fault) { try await require([(.count, 1)]) }

    /// So many bytes more, in an upload.
    func requireUpload(_ bytes: Int?) async throws(Fault) {
        try await require([(.size, (bytes ?? 0) >> 20), (.uploading, 0)])
    }

    func requireStaging(_ bytes: Int?) async throws(Fault) {
        try await require([(.staging, (bytes ?? 0) >> 20), (.uploading, 0)])
    }

    /// As upstream: staged bytes are known, others take room in the staging store first.
    func requireImport(_ image: ImageRecord, _ method: ImportMethod) async throws(Fault) {
        let size = (image.size ?? 0) >> 20
        switch method {
        case .glanceDirect: try await require([(.size, size)])
        case .copyImage, .webDownload, .glanceDownload:
            try await require([(.size, 0), (.staging, size), (.uploading, 0)])
        }
    }

    private func require(_ changes: [(Name, Int)]) async throws(Fault) {
        guard room.options.usesKeystoneLimits else { return }
        let limits = try await limits()
        var over: [String] = []
        for (name, change) in changes {
            // As oslo.limit: a resource that nobody registered has the limit 0.
            let limit = limits[name.rawValue] ?? 0
            let used = try await used(name)
            if limit != -1, used + change > limit {
                over.append(
                    "Resource \(name.rawValue) is over limit of \(limit) due to current usage \(used) and delta "
                        + "\(change)")
            }
        }
        guard over.isEmpty else {
            throw .tooLarge("Project \(project) is over a limit for [\(over.joined(separator: ", "))]")
        }
    }

    private func limits() async throws(Fault) -> [String: Int] {
        guard let transport = room.ports.transport else {
            throw .unavailable("use_keystone_limits is set, but Identity cannot be asked.")
        }
        return try await UnifiedLimitsClient("image", over: transport, as: room.ports.caller)
            .limits(project: project, requestID: requestID)
    }

    /// Counted from rows; each location holds the bytes once more.
    private func used(_ name: Name) async throws(Fault) -> Int {
        switch name {
        case .size: return try await storedBytes() >> 20
        case .staging:
            return try await sum("status IN ('uploading', 'importing')") >> 20
        case .count:
            return try await room.database.count(ImageRecord.self, "owner = \(project)")
        case .uploading:
            return try await room.database.count(
                ImageRecord.self,
                """
                owner = \(project) AND (status IN ('saving', 'uploading', 'importing') OR id IN \
                (SELECT image_id FROM image_properties WHERE name = \(ImportMarks.importing) AND value <> ''))
                """)
        }
    }

    private func sum(_ condition: SQL) async throws(Fault) -> Int {
        let rows = try await room.database.rows(
            "SELECT SUM(size) AS total FROM image_images WHERE owner = \(project) AND \(sql: condition)")
        return rows.first?.int("total") ?? 0
    }

    private func storedBytes() async throws(Fault) -> Int {
        let images = try await room.database.all(
            ImageRecord.self, "owner = \(project) AND size > 0 AND status IN ('active', 'deactivated')")
        return images.reduce(0) { $0 + ($1.size ?? 0) * max(1, $1.locations.count) }
    }
}
