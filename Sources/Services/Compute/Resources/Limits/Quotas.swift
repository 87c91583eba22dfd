// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a project may have: shown, changed, and next to what it has.
enum Quotas: Resource {
    static let routes: [Route] = [
        .get("/os-quota-sets/{id}", "Show a project's quota", of: scope, allow: .reader("os-quota-sets:show"), show),
        .get(
            "/os-quota-sets/{id}/detail", "Show a project's quota and usage", of: scope,
            allow: .reader("os-quota-sets:detail"), detail),
        .get(
            "/os-quota-sets/{id}/defaults", "Show the default quota", of: scope,
            allow: .anyone("os-quota-sets:defaults"),
            defaults),
        .put(
            "/os-quota-sets/{id}", "Change a project's quota", of: scope, allow: .adminOnly("os-quota-sets:update"),
            update),
        .delete(
            "/os-quota-sets/{id}", "Give a project the default quota again", of: scope,
            allow: .adminOnly("os-quota-sets:delete"), delete, status: 202),
        .get(
            "/os-quota-class-sets/{id}", "Show a quota class", of: Anything.from,
            allow: .adminOnly("os-quota-class-sets:show"), showClass),
        .put(
            "/os-quota-class-sets/{id}", "Change a quota class", of: Anything.from,
            allow: .adminOnly("os-quota-class-sets:update"), updateClass),
    ]

    /// The project the path names, and a single user of it when the query names one.
    private struct NamedProject: ProjectOwned {
        let projectID: String
        let userID: String?

        var owner: String { userID.map { QuotaRecord.owner(of: $0, in: projectID) } ?? projectID }
        /// Whose limits hold, the nearest first.
        var owners: [String] { userID == nil ? [projectID] : [owner, projectID] }
    }

    private static func scope(_ request: Request) async throws(Fault) -> NamedProject {
        NamedProject(projectID: request["id"], userID: request.query("user_id").flatMap { $0.isEmpty ? nil : $0 })
    }
}

// MARK: - Resources

extension Quotas {
    /// Limits by Nova's names, with the versions in which they are shown.
    static func names(_ version: Microversion, isClass: Bool = false) -> [String] {
        var names = ["instances", "cores", "ram", "metadata_items", "key_pairs"]
        if !isClass || version >= "2.50" { names += ["server_groups", "server_group_members"] }
        if version < (isClass ? "2.50" : "2.36") {
            names += ["fixed_ips", "floating_ips", "security_group_rules", "security_groups"]
        }
        if version < "2.57" {
            names += ["injected_files", "injected_file_content_bytes", "injected_file_path_bytes"]
        }
        return names
    }

    /// The limits in force for a project; for none of its own, those of the default class or the configuration.
    static func limits(
        of owner: String, _ names: [String], _ request: Request
    ) async throws(Fault) -> [(name: String, limit: Int)] {
        try await limits(of: [owner], names, request)
    }

    /// - Parameter owners: whose limits hold, the nearest first.
    static func limits(
        of owners: [String], _ names: [String], _ request: Request
    ) async throws(Fault) -> [(name: String, limit: Int)] {
        let project = owners.last ?? ""
        let quota = try await request.compute.quota(of: project, requestID: request.id)
        if let unified = quota.limits(names, isDefault: project.hasPrefix("class:")) { return unified }
        if quota.options.driver == .none { return names.map { ($0, -1) } }
        let chain = project.hasPrefix("class:") ? owners : owners + ["class:default"]
        let set = try await request.database.all(QuotaRecord.self, "owner IN \(chain)")
        let configured = request.compute.options.quota
        return names.map { name in
            let known = chain.lazy.compactMap { owner in set.first { $0.resource == name && $0.owner == owner } }.first
            return (name, known?.hardLimit ?? configured.configured(name))
        }
    }

    static func usage(
        _ project: String, user: String? = nil, _ request: Request
    ) async throws(Fault) -> [String: Int] {
        if request.compute.options.quota.driver == .unified {
            let pci = request.compute.options.pci
            return try await request.database.transaction { transaction throws(Fault) in
                let used = try UnifiedLimits.used(project, pci, transaction)
                let groups = try transaction.count(ServerGroup.self, "project_id = \(project)")
                return [
                    "instances": used["servers"] ?? 0, "cores": used["class:VCPU"] ?? 0,
                    "ram": used["class:MEMORY_MB"] ?? 0, "server_groups": groups,
                ]
            }
        }
        let used = try await request.database.transaction { transaction throws(Fault) in
            let groups: SQL = user.map { " AND user_id = \($0)" } ?? ""
            return (
                try QuotaUsage.of(project, user: user, transaction),
                try transaction.count(ServerGroup.self, "project_id = \(project)" + groups)
            )
        }
        return ["instances": used.0.instances, "cores": used.0.cores, "ram": used.0.ram, "server_groups": used.1]
    }
}

// MARK: - Handlers

extension Quotas {
    private static func show(_ request: Request, _ project: NamedProject) async throws(Fault) -> Reply {
        let limits = try await limits(of: project.owners, names(request.version), request)
        return reply("quota_set", id: project.projectID, limits)
    }

    private static func defaults(_ request: Request, _ project: NamedProject) async throws(Fault) -> Reply {
        reply(
            "quota_set", id: project.projectID, try await limits(of: "class:default", names(request.version), request))
    }

    private static func detail(_ request: Request, _ project: NamedProject) async throws(Fault) -> Reply {
        let limits = try await limits(of: project.owners, names(request.version), request)
        let used = try await usage(project.projectID, user: project.userID, request)
        return .object("quota_set") { view in
            view.put("id", project.projectID)
            for (name, limit) in limits {
                view.nest(named: name) {
                    $0.put("in_use", used[name] ?? 0)
                    $0.put("limit", limit)
                    $0.put("reserved", 0)
                }
            }
        }
    }

    private static func update(_ request: Request, _ project: NamedProject) async throws(Fault) -> Reply {
        let wanted = try wishes("quota_set", names(request.version), request)
        // Limits that Identity keeps are set there: upstream takes the request and changes nothing.
        if request.compute.options.quota.driver == .unified {
            return reply("quota_set", id: nil, try await limits(of: project.owners, names(request.version), request))
        }
        if project.userID != nil, !wanted.isForced { try await checkUser(wanted.limits, project, request) }
        if !wanted.isForced {
            let used = try await usage(project.projectID, user: project.userID, request)
            for (name, limit) in wanted.limits where limit >= 0 && limit < used[name] ?? 0 {
                throw .badRequest(
                    "Quota limit \(limit) for \(name) must be greater than or equal to already used and reserved "
                        + "\(used[name] ?? 0).")
            }
        }
        try await write(wanted.limits, for: project.owner, request)
        return reply("quota_set", id: nil, try await limits(of: project.owners, names(request.version), request))
    }

    /// A user of a project may have no more than the project.
    private static func checkUser(
        _ wanted: [(String, Int)], _ project: NamedProject, _ request: Request
    ) async throws(Fault) {
        let most = try await limits(of: project.projectID, wanted.map(\.0), request)
        for ((name, limit), most) in zip(wanted, most.map(\.limit)) where most >= 0 && (limit < 0 || limit > most) {
            throw .badRequest("Quota limit \(limit) for \(name) must be less than or equal to \(most).")
        }
    }

    private static func delete(_ request: Request, _ project: NamedProject) async throws(Fault) -> Reply {
        _ = try await request.database.delete(QuotaRecord.self, "owner = \(project.owner)")
        return .empty
    }

    private static func showClass(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (id, names) = (request["id"], names(request.version, isClass: true))
        return reply("quota_class_set", id: id, try await limits(of: QuotaRecord.owner(ofClass: id), names, request))
    }

    /// Only the class named default is in force; others are kept for whoever asks for them.
    private static func updateClass(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (id, names) = (request["id"], names(request.version, isClass: true))
        let length = id.unicodeScalars.count
        guard length <= 255 else {
            throw .badRequest("quota_class_name has \(length) characters, more than 255.")
        }
        let owner = QuotaRecord.owner(ofClass: id)
        // Those of server groups may be set before they are shown.
        let settable = names.contains("server_groups") ? names : names + ["server_groups", "server_group_members"]
        var body = try request.body("quota_class_set")
        let wanted = try wishes(&body, settable)
        try body.end()
        if request.compute.options.quota.driver != .unified { try await write(wanted, for: owner, request) }
        return reply("quota_class_set", id: nil, try await limits(of: owner, names, request))
    }

    private static func wishes(
        _ wrapper: String, _ names: [String], _ request: Request
    ) throws(Fault) -> (limits: [(String, Int)], isForced: Bool) {
        var body = try request.body(wrapper)
        let isForced = try body.take("force", .bool) ?? false
        let limits = try wishes(&body, names)
        try body.end()
        return (limits, isForced)
    }

    private static func wishes(_ body: inout Body, _ names: [String]) throws(Fault) -> [(String, Int)] {
        var limits: [(String, Int)] = []
        for name in names {
            if let limit = try body.take(name, .integer(-1...0x7FFF_FFFF)) { limits.append((name, limit)) }
        }
        return limits
    }

    private static func write(_ limits: [(String, Int)], for owner: String, _ request: Request) async throws(Fault) {
        try await request.database.transaction { transaction throws(Fault) in
            for (name, limit) in limits {
                _ = try transaction.delete(QuotaRecord.self, "owner = \(owner) AND resource = \(name)")
                try transaction.insert(QuotaRecord(owner: owner, resource: name, hardLimit: limit))
            }
        }
    }

    private static func reply(_ wrapper: String, id: String?, _ limits: [(name: String, limit: Int)]) -> Reply {
        .object(wrapper) { view in
            if let id { view.put("id", id) }
            for (name, limit) in limits { view.put(named: name, limit) }
        }
    }
}
