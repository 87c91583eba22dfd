// SPDX-License-Identifier: Apache-2.0
internal import Clients
internal import Kernel

/// What a project may have of images: unified limits of Identity, when they are used, and a bound on all its bytes. The
/// limits are asked for first; what is used is counted in the transaction that is to use more, so that of two who ask
/// for the last of it one is refused.
struct ImageQuotas: Sendable {
    /// The limits by the names that Identity knows them by; sizes are in MiB.
    enum Name: String, CaseIterable {
        case size = "image_size_total"
        case staging = "image_stage_total"
        case count = "image_count_total"
        case uploading = "image_count_uploading"
    }

    private let project: String
    /// Nil when limits are not used.
    private let limits: [String: Int]?
    private let storage: Int?

    static func of(_ request: Request) async throws(Fault) -> ImageQuotas {
        try await of(request.caller.projectID ?? "", request.image, requestID: request.id)
    }

    static func of(_ project: String, _ room: ImageService, requestID: String) async throws(Fault) -> ImageQuotas {
        let limits = room.options.usesKeystoneLimits ? try await room.limits(of: project, requestID) : nil
        return ImageQuotas(project: project, limits: limits, storage: room.options.storageQuota)
    }

    /// The bound on all bytes alone.
    static func bytes(of project: String?, _ room: ImageService) -> ImageQuotas {
        ImageQuotas(project: project ?? "", limits: nil, storage: room.options.storageQuota)
    }

    /// What the project has and may have, by name; empty when limits are not used.
    func usage(_ database: Database) async throws(Fault) -> [(name: Name, used: Int, limit: Int)] {
        guard let limits else { return [] }
        return try await database.snapshot { snapshot throws(Fault) in
            let count = Count(project) { query throws(Fault) in try snapshot.rows(query) }
            return try Name.allCases.mapping { name throws(Fault) in
                (name, try count.used(name), limits[name.rawValue] ?? 0)
            }
        }
    }

    // MARK: - All bytes

    /// What the bound on all bytes leaves; nil is any number.
    func remaining(_ transaction: Transaction) throws(Fault) -> Int? {
        guard let storage else { return nil }
        return storage - (try count(transaction).storedBytes())
    }

    func requireRoom(_ size: Int, _ transaction: Transaction) throws(Fault) {
        guard let remaining = try remaining(transaction), size > remaining else { return }
        throw .storageQuota(size, remaining)
    }

    // MARK: - Unified limits

    /// One more image.
    func requireImage(_ transaction: Transaction) throws(Fault) { try require([(.count, 1)], transaction) }

    /// So many bytes more, in an upload.
    func requireUpload(_ bytes: Int?, _ transaction: Transaction) throws(Fault) {
        try require([(.size, (bytes ?? 0) >> 20), (.uploading, 0)], transaction)
    }

    func requireStaging(_ bytes: Int?, _ transaction: Transaction) throws(Fault) {
        try require([(.staging, (bytes ?? 0) >> 20), (.uploading, 0)], transaction)
    }

    /// As upstream: staged bytes are known, others take room in the staging store first.
    func requireImport(_ image: ImageRecord, _ method: ImportMethod, _ transaction: Transaction) throws(Fault) {
        let size = (image.size ?? 0) >> 20
        switch method {
        case .glanceDirect: try require([(.size, size)], transaction)
        case .copyImage, .webDownload, .glanceDownload:
            try require([(.size, 0), (.staging, size), (.uploading, 0)], transaction)
        }
    }

    private func require(_ changes: [(Name, Int)], _ transaction: Transaction) throws(Fault) {
        guard let limits else { return }
        let count = count(transaction)
        var over: [String] = []
        for (name, change) in changes {
            // As oslo.limit: a resource that nobody registered has the limit 0.
            let limit = limits[name.rawValue] ?? 0
            let used = try count.used(name)
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

    private func count(_ transaction: Transaction) -> Count {
        Count(project) { query throws(Fault) in try transaction.rows(query) }
    }
}

/// What a project has now, counted from rows.
private struct Count {
    private let project: String
    private let rows: (SQL) throws(Fault) -> [Row]

    init(_ project: String, _ rows: @escaping (SQL) throws(Fault) -> [Row]) {
        self.project = project
        self.rows = rows
    }

    func used(_ name: ImageQuotas.Name) throws(Fault) -> Int {
        switch name {
        case .size: return try storedBytes() >> 20
        case .staging: return try number("SUM(size)", "status IN ('uploading', 'importing')") >> 20
        case .count: return try number("COUNT(*)", "1 = 1")
        case .uploading:
            return try number(
                "COUNT(*)",
                """
                (status IN ('saving', 'uploading', 'importing') OR id IN \
                (SELECT image_id FROM image_properties WHERE name = \(ImportMarks.importing) AND value <> ''))
                """)
        }
    }

    /// Each location holds the bytes once more.
    func storedBytes() throws(Fault) -> Int {
        let stored: SQL = "size > 0 AND status IN ('active', 'deactivated')"
        var bytes = try number("SUM(size)", stored)
        let several = try rows(
            """
            SELECT size AS size, locations AS locations FROM image_images WHERE owner = \(project) AND \(sql: stored) \
            AND locations LIKE '%},{%'
            """)
        for row in several {
            let locations = try? JSON.parse(Array((row.text("locations") ?? "").utf8), limits: .trusted).array
            bytes += (row.int("size") ?? 0) * max(0, (locations?.count ?? 1) - 1)
        }
        return bytes
    }

    private func number(_ what: SQL, _ condition: SQL) throws(Fault) -> Int {
        let found = try rows(
            "SELECT \(sql: what) AS total FROM image_images WHERE owner = \(project) AND \(sql: condition)")
        return found.first?.int("total") ?? 0
    }
}

extension ImageService {
    fileprivate func limits(of project: String, _ requestID: String) async throws(Fault) -> [String: Int] {
        guard let transport = ports.transport else {
            throw .unavailable("use_keystone_limits is set, but Identity cannot be asked.")
        }
        return try await UnifiedLimitsClient(
            "image", region: options.limitsRegion, over: transport, as: ports.caller
        )
        .limits(project: project, requestID: requestID)
    }
}

extension Fault {
    static func storageQuota(_ size: Int, _ remaining: Int) -> Fault {
        .tooLarge(
            "Image exceeds the storage quota: The size of the data \(size) will exceed the limit. \(remaining) bytes "
                + "remaining.")
    }
}
