// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// `[identity]`: whether domains have settings of their own, and where those are kept.
package struct DomainConfigurationOptions: Sendable {
    /// Whether a domain's users may live in another back end than the cloud's.
    package var isEnabled = false
    /// Whether the API's settings count; else those of the files do.
    package var isFromDatabase = false
    package var directory = "/etc/keystone/domains"

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("identity")
        isEnabled = read.bool(
            "domain_specific_drivers_enabled", default: isEnabled,
            help: "Whether a domain may keep its users and groups in a back end of its own.")
        isFromDatabase = read.bool(
            "domain_configurations_from_database", default: isFromDatabase,
            help: "Whether domains' settings are those made through the API, instead of files in domain_config_dir.")
        directory = read.string(
            "domain_config_dir", default: directory,
            help: "Where files named keystone.<domain name>.conf hold the settings of domains.")
    }

    /// The name of the domain that a file of the directory is about.
    package static func domain(ofFile name: String) -> String? {
        guard name.hasPrefix("keystone."), name.hasSuffix(".conf") else { return nil }
        let domain = name.dropFirst("keystone.".count).dropLast(".conf".count)
        return domain.isEmpty ? nil : String(domain)
    }
}

/// The settings that domains have made for themselves, from wherever this cloud keeps them.
package struct DomainConfigurations: Sendable {
    private let database: Database
    private let options: DomainConfigurationOptions
    /// By the name of the domain.
    private let files: [String: DomainConfiguration]

    init(database: Database, options: DomainConfigurationOptions, files: [String: String]) {
        self.database = database
        self.options = options
        self.files = files.mapValues { DomainConfiguration(file: $0) }
    }

    /// What holds for a domain beside the cloud's own settings; nil when it has none, or when domains may have none.
    package func configuration(of domainID: String) async throws(Fault) -> DomainConfiguration? {
        guard options.isEnabled else { return nil }
        guard options.isFromDatabase else {
            guard !files.isEmpty else { return nil }
            return try await database.first(Project.self, "id = \(domainID) AND is_domain = 1").flatMap {
                files[$0.name]
            }
        }
        let found = DomainConfiguration(
            try await database.all(DomainOption.self, "domain_id = \(domainID)"),
            try await database.all(DomainSecret.self, "domain_id = \(domainID)"))
        return found.isEmpty ? nil : found
    }

    /// All of them, by the domain's id.
    package func all() async throws(Fault) -> [String: DomainConfiguration] {
        guard options.isEnabled else { return [:] }
        var found: [String: DomainConfiguration] = [:]
        guard options.isFromDatabase else {
            guard !files.isEmpty else { return [:] }
            for domain in try await database.all(Project.self, "is_domain = 1") {
                found[domain.id] = files[domain.name]
            }
            return found
        }
        let settings = Dictionary(grouping: try await database.all(DomainOption.self), by: \.domainID)
        let secrets = Dictionary(grouping: try await database.all(DomainSecret.self), by: \.domainID)
        for id in Set(settings.keys).union(secrets.keys) {
            found[id] = DomainConfiguration(settings[id] ?? [], secrets[id] ?? [])
        }
        return found
    }
}
