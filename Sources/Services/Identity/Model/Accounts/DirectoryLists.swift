// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Lists of users and groups where some are in directories, filtered and paged as the cloud's own are.
enum DirectoryLists {
    /// The domain that a list is about when domains may have directories: as upstream has it, the one that the query
    /// names, or that of the token. A token for the system lists what the cloud keeps itself.
    static func domainID(_ request: Request, _ scope: ListScope) -> String? {
        let asked = scope.domainID ?? request.query("domain_id")
        guard request.people.directories.options.domains.isEnabled else { return asked }
        return asked ?? request.caller.projectDomainID
    }

    /// Users of a directory, as a reply; nil when the list is not about one.
    static func users(_ request: Request, _ scope: ListScope) async throws(Fault) -> Reply? {
        let people = request.people
        guard let domainID = try await listed(request, scope),
            let directory = try await people.directories.directory(of: domainID)
        else { return nil }
        var users = try await people.published(
            try await directory.users(conditions(request)), in: domainID)
        if people.directories.isDefault(domainID) {
            users += try await people.database.all(
                User.self, request.filtered([.text("name")], "domain_id = \(domainID)"))
        }
        return try users.reply(request)
    }

    static func groups(_ request: Request, _ scope: ListScope) async throws(Fault) -> Reply? {
        let people = request.people
        guard let domainID = try await listed(request, scope),
            let directory = try await people.directories.directory(of: domainID)
        else { return nil }
        var groups = try await people.published(
            try await directory.groups(conditions(request)), in: domainID)
        if people.directories.isDefault(domainID) {
            groups += try await people.database.all(
                Group.self, request.filtered([.text("name")], "domain_id = \(domainID)"))
        }
        return try groups.reply(request)
    }

    /// Without a domain, the cloud's one directory is listed together with the domain that it is for.
    private static func listed(_ request: Request, _ scope: ListScope) async throws(Fault) -> String? {
        let options = request.people.directories.options
        guard request.people.directories.mayExist else { return nil }
        return domainID(request, scope) ?? (options.driver == .ldap ? options.defaultDomainID : nil)
    }

    /// What the directory itself can narrow a list by. It knows no capitals, so what minds them is judged here.
    private static func conditions(_ request: Request) -> [DirectoryCondition] {
        var conditions: [DirectoryCondition] = []
        if let name = request.query("name") { conditions.append(DirectoryCondition(.equals, name)) }
        for comparison in DirectoryCondition.Comparison.allCases {
            for prefix in ["", "i"] {
                guard let name = request.query("name__\(prefix)\(comparison.rawValue)"), !name.isEmpty else { continue }
                conditions.append(DirectoryCondition(comparison, name))
            }
        }
        return conditions
    }
}

/// What lists of users and of groups have in common.
private protocol Listed: Sendable {
    static var collection: String { get }
    var id: String { get }
    var name: String { get }
    /// The other members that lists may be narrowed by.
    func member(_ name: String) -> JSON?
    func details(_ view: inout View)
}

extension User: Listed {
    fileprivate static var collection: String { "users" }

    fileprivate func member(_ name: String) -> JSON? {
        switch name {
        case "id": .string(id)
        case "domain_id": .string(domainID)
        case "default_project_id": .attribute(defaultProjectID)
        case "enabled": .bool(enabled)
        // No directory says when a password ends.
        case "password_expires_at": .null
        default: nil
        }
    }
}

extension Group: Listed {
    fileprivate static var collection: String { "groups" }

    fileprivate func member(_ name: String) -> JSON? {
        switch name {
        case "id": .string(id)
        case "domain_id": .string(domainID)
        default: nil
        }
    }
}

extension [User] {
    func reply(_ request: Request, filtersNames: Bool = false) throws(Fault) -> Reply {
        try DirectoryLists.reply(self, request, filtersNames)
    }
}

extension [Group] {
    func reply(_ request: Request, filtersNames: Bool = false) throws(Fault) -> Reply {
        try DirectoryLists.reply(self, request, filtersNames)
    }
}

extension DirectoryLists {
    /// - Parameter filtersNames: when no directory has narrowed the list by names before.
    fileprivate static func reply<Row: Listed>(
        _ rows: [Row], _ request: Request, _ filtersNames: Bool
    ) throws(Fault) -> Reply {
        let page = try request.page()
        var kept = rows.filter { fits($0, request, filtersNames) }.sorted { $0.id < $1.id }
        if let marker = page.marker { kept.removeAll { $0.id <= marker } }
        if let limit = page.limit { kept = Array(kept.prefix(limit)) }
        return .list(Row.collection, kept.map { $0.details }, page: page, ids: kept.map(\.id))
    }

    private static func fits(_ row: some Listed, _ request: Request, _ filtersNames: Bool) -> Bool {
        if filtersNames, let name = request.query("name"), row.name.lowercased() != name.lowercased() { return false }
        for (comparator, ignoresCase) in Filters.comparators {
            guard let value = request.query("name__\(comparator)") else { continue }
            let (side, wanted) = ignoresCase ? (row.name.lowercased(), value.lowercased()) : (row.name, value)
            let holds =
                switch comparator.hasPrefix("i") ? String(comparator.dropFirst()) : comparator {
                case "contains": wanted.isEmpty || side.contains(wanted)
                case "startswith": side.hasPrefix(wanted)
                case "endswith": side.hasSuffix(wanted)
                default: side == wanted
                }
            guard holds else { return false }
        }
        for name in ["id", "domain_id", "default_project_id", "password_expires_at", "enabled"] {
            guard let value = request.query(name), let own = row.member(name) else { continue }
            guard name == "enabled" ? own.bool == Filters.truth(value) : own.string == value else { return false }
        }
        return true
    }
}
