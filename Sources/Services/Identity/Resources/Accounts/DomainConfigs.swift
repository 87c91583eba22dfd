// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A setting of a domain that anybody who may see the settings may see.
struct DomainOption: Record, DomainSetting {
    static let table = "identity_domain_options"

    let domainID: String
    let section: String
    let name: String
    let value: JSON
}

/// One that nobody is shown: the password of a directory.
struct DomainSecret: Record, DomainSetting {
    static let table = "identity_domain_secrets"

    let domainID: String
    let section: String
    let name: String
    let value: JSON
}

/// What both kinds of settings have.
private protocol DomainSetting {
    var section: String { get }
    var name: String { get }
}

/// The settings that domains have for themselves, as an API: all, by group, or one by one.
enum DomainConfigs: Resource {
    /// The depth that a path reaches: nothing, a group, or an option of it.
    private static let paths = ["/config", "/config/{group}", "/config/{group}/{option}"]
    /// What users must know to choose a password: anybody may read it, nobody may set it for a domain.
    private static let compliance = ["/config/security_compliance", "/config/security_compliance/{option}"]
    private static let nouns = ["configuration", "configuration group", "configuration option"]

    static let routes: [Route] =
        complianceRoutes
        + zip(paths, nouns).flatMap { end, noun -> [Route] in
            let path = "/domains/{domain_id}" + end
            let (seen, changed) = (find(end), find(end))
            return [
                .get(path, "Show domain \(noun)", of: seen, allow: .inspector("get_domain_config"), show),
                .patch(
                    path, "Update domain \(noun)", of: changed, allow: .administrator("update_domain_config"), update),
                .delete(
                    path, "Delete domain \(noun)", of: changed, allow: .administrator("delete_domain_config"), delete),
            ]
        } + [
            .put(
                "/domains/{domain_id}/config", "Create domain configuration", of: find("/config"),
                allow: .administrator("create_domain_config"), create, status: 201),
            .get(
                "/domains/config/default", "Show default configuration", of: standardPlace("/config"),
                allow: .inspector("get_domain_config_default"), standard),
            .get(
                "/domains/config/{group}/default", "Show default configuration group",
                of: standardPlace("/config/{group}"), allow: .inspector("get_domain_config_default"), standard),
            .get(
                "/domains/config/{group}/{option}/default", "Show default configuration option",
                of: standardPlace("/config/{group}/{option}"), allow: .inspector("get_domain_config_default"),
                standard),
        ]

    private static var complianceRoutes: [Route] {
        compliance.flatMap { end -> [Route] in
            let path = "/domains/{domain_id}" + end
            return [
                .get(
                    path, "Show security compliance of domain", of: find(end),
                    allow: .anyone("get_security_compliance_domain_config"), showCompliance),
                .patch(
                    path, "Update security compliance of domain", of: find(end),
                    allow: .administrator("update_domain_config"), update),
                .delete(
                    path, "Delete security compliance of domain", of: find(end),
                    allow: .administrator("delete_domain_config"), delete),
            ]
        }
    }

    static let migrations: [Migration] = [
        """
        2026-11-21 identity domain configurations
        CREATE TABLE identity_domain_options (
            domain_id VARCHAR(64) NOT NULL, section VARCHAR(128) NOT NULL, name VARCHAR(128) NOT NULL,
            value TEXT NOT NULL, PRIMARY KEY (domain_id, section, name));
        CREATE TABLE identity_domain_secrets (
            domain_id VARCHAR(64) NOT NULL, section VARCHAR(128) NOT NULL, name VARCHAR(128) NOT NULL,
            value TEXT NOT NULL, PRIMARY KEY (domain_id, section, name));
        """
    ]

    /// What a path names: a domain's settings, a group of them, or one.
    struct Place: Sendable {
        let domainID: String
        let group: String?
        let option: String?

        /// The rows it covers.
        var condition: SQL {
            var condition: SQL = "domain_id = \(domainID)"
            if let group { condition += " AND section = \(group)" }
            if let option { condition += " AND name = \(option)" }
            return condition
        }

        var missing: Fault {
            let what = option.map { "option \($0) in group \(group ?? "")" } ?? group.map { "group \($0)" }
            return .notFound(
                "Could not find \(what ?? "any options") in domain configuration for domain \(domainID).")
        }

        func requireKnown() throws(Fault) {
            if let group { try DomainConfiguration.requireKnown(group, option) }
        }
    }

    private static func place(_ request: Request, _ end: String, domainID: String) -> Place {
        Place(
            domainID: domainID,
            group: end.contains("{group}") ? request["group"] : compliance.contains(end) ? "security_compliance" : nil,
            option: end.contains("{option}") ? request["option"] : nil)
    }

    private static func find(_ end: String) -> Route.Finder<Found<Place>> {
        { request async throws(Fault) in
            let id = request["domain_id"]
            let place = place(request, end, domainID: id)
            guard try await request.database.count(Project.self, "id = \(id) AND is_domain = 1") > 0 else {
                return Found(missing: .notFound("domain", id), [:])
            }
            return Found(place)
        }
    }

    private static func standardPlace(_ end: String) -> Route.Finder<Found<Place>> {
        { request async throws(Fault) in Found(place(request, end, domainID: "")) }
    }
}

// MARK: - Handlers

extension DomainConfigs {
    static func show(_ request: Request, _ found: Found<Place>) async throws(Fault) -> Reply {
        let place = try found.get()
        try place.requireKnown()
        let options = try await request.database.all(DomainOption.self, place.condition)
        guard !options.isEmpty else { throw place.missing }
        return answer(options, single: place.option != nil)
    }

    static func showCompliance(_ request: Request, _ found: Found<Place>) async throws(Fault) -> Reply {
        let place = try found.get()
        let options = request.identity.options
        guard place.domainID == options.defaultDomainID else {
            throw .invalidConfiguration(
                "Reading security compliance information for any domain other than the default domain is not allowed "
                    + "or supported.")
        }
        let values: [(name: String, value: String?)] = [
            ("password_regex", options.compliance.passwordRegex),
            ("password_regex_description", options.compliance.passwordRegexDescription),
        ]
        let asked = values.filter { value in place.option.map { $0 == value.name } ?? true }
        guard !asked.isEmpty else {
            throw .invalidConfiguration(
                "Reading security compliance values other than password_regex and password_regex_description is not "
                    + "allowed.")
        }
        return answer(
            asked.map {
                DomainOption(domainID: "", section: "security_compliance", name: $0.name, value: .attribute($0.value))
            }, single: place.option != nil)
    }

    static func create(_ request: Request, _ found: Found<Place>) async throws(Fault) -> Reply {
        let place = try found.get()
        let settings = try Settings(try config(request), of: place.domainID)
        let (options, isNew) = try await request.change { transaction throws(Fault) in
            let old = try transaction.count(DomainOption.self, place.condition)
            let oldSecrets = try transaction.count(DomainSecret.self, place.condition)
            try transaction.delete(DomainOption.self, place.condition)
            try transaction.delete(DomainSecret.self, place.condition)
            try transaction.keep(settings)
            return (try transaction.all(DomainOption.self, place.condition), old + oldSecrets == 0)
        }
        return answer(options).status(isNew ? 201 : 200)
    }

    static func update(_ request: Request, _ found: Found<Place>) async throws(Fault) -> Reply {
        let place = try found.get()
        var groups = try config(request)
        if let group = place.group, place.option != nil { groups = [group: .object(groups)] }
        let settings = try Settings(groups, of: place.domainID)
        try place.requireKnown()
        try settings.requireOnly(place)
        let options = try await request.change { transaction throws(Fault) in
            if place.group != nil, try transaction.isBare(place) { throw place.missing }
            try transaction.keep(settings)
            return try transaction.all(DomainOption.self, "domain_id = \(place.domainID)")
        }
        guard !options.isEmpty else {
            throw Place(domainID: place.domainID, group: nil, option: nil).missing
        }
        return answer(options)
    }

    static func delete(_ request: Request, _ found: Found<Place>) async throws(Fault) -> Reply {
        let place = try found.get()
        try place.requireKnown()
        try await request.change { transaction throws(Fault) in
            if place.group != nil, try transaction.isBare(place) { throw place.missing }
            try transaction.delete(DomainOption.self, place.condition)
            try transaction.delete(DomainSecret.self, place.condition)
        }
        return .empty
    }

    static func standard(_ request: Request, _ found: Found<Place>) async throws(Fault) -> Reply {
        let place = try found.get()
        try place.requireKnown()
        var options: [DomainOption] = []
        for (group, values) in DomainConfiguration.standard where place.group.map({ $0 == group }) ?? true {
            for (name, value) in values where place.option.map({ $0 == name }) ?? true {
                options.append(DomainOption(domainID: "", section: group, name: name, value: value))
            }
        }
        if let option = place.option, options.isEmpty {
            throw .invalidConfiguration(
                "Reading the default for option \(option) in group \(place.group ?? "") is not supported")
        }
        return answer(options, single: place.option != nil)
    }

    private static func config(_ request: Request) throws(Fault) -> JSONObject {
        guard let config = request.json?["config"] else { return [:] }
        guard let groups = config.object else {
            throw request.index.wording.invalid("config", config, "\(config.text()) is not of type 'object'")
        }
        return groups
    }

    /// - Parameter single: whether one option was asked for, which is then shown without its group.
    private static func answer(_ options: [DomainOption], single: Bool = false) -> Reply {
        .object("config") { view in
            if single {
                for option in options { view.put(named: option.name, option.value) }
                return
            }
            var order: [String] = []
            for option in options where !order.contains(option.section) { order.append(option.section) }
            for group in order {
                view.nest(named: group) {
                    for option in options where option.section == group { $0.put(named: option.name, option.value) }
                }
            }
        }
    }
}

// MARK: - Settings as sent

extension DomainConfigs {
    /// What a request sets, each of it an option that domains may have.
    struct Settings: Sendable {
        private(set) var options: [DomainOption] = []
        private(set) var secrets: [DomainSecret] = []

        init(_ groups: JSONObject, of domainID: String) throws(Fault) {
            guard !groups.isEmpty else { throw .invalidConfiguration("No options specified") }
            for (group, values) in groups {
                guard let values = values.object, !values.isEmpty else {
                    throw .invalidConfiguration(
                        "The value of group \(group) specified in the config should be a dictionary of options")
                }
                for (name, value) in values {
                    try DomainConfiguration.requireKnown(group, name)
                    if DomainConfiguration.isSecret(group, name) {
                        secrets.append(DomainSecret(domainID: domainID, section: group, name: name, value: value))
                    } else {
                        options.append(DomainOption(domainID: domainID, section: group, name: name, value: value))
                    }
                }
            }
        }

        /// Refuses settings beside the ones that the path names.
        func requireOnly(_ place: Place) throws(Fault) {
            guard let group = place.group else { return }
            let all: [any DomainSetting] = options + secrets
            let groups = Set(all.map(\.section))
            guard groups.count == 1, place.option == nil || all.count == 1 else {
                throw .invalidConfiguration(
                    place.option.map {
                        "Trying to update option \($0) in group \(group), so that, and only that, option must be "
                            + "specified  in the config"
                    }
                        ?? "Trying to update group \(group), so that, and only that, group must be specified in the "
                        + "config")
            }
            guard groups.contains(group) else {
                throw .invalidConfiguration(
                    "request to update group \(group), but config provided contains group \(groups.first ?? "") "
                        + "instead")
            }
            guard let option = place.option, let other = all.first?.name, other != option else { return }
            throw .invalidConfiguration(
                "Trying to update option \(option) in group \(group), but config provided contains option \(other) "
                    + "instead")
        }
    }
}

extension Transaction {
    /// Whether the domain has none of the settings that a path names.
    fileprivate func isBare(_ place: DomainConfigs.Place) throws(Fault) -> Bool {
        try count(DomainOption.self, place.condition) + count(DomainSecret.self, place.condition) == 0
    }

    fileprivate func keep(_ settings: DomainConfigs.Settings) throws(Fault) {
        for option in settings.options {
            try delete(
                DomainOption.self,
                "domain_id = \(option.domainID) AND section = \(option.section) AND name = \(option.name)")
            try insert(option)
        }
        for secret in settings.secrets {
            try delete(
                DomainSecret.self,
                "domain_id = \(secret.domainID) AND section = \(secret.section) AND name = \(secret.name)")
            try insert(secret)
        }
    }
}
