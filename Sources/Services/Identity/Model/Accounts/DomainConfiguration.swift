// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What one domain has set for itself: options by group, secrets included and put where other options name them.
package struct DomainConfiguration: Sendable, Equatable {
    package private(set) var groups: [String: [String: JSON]]

    package init(_ groups: [String: [String: JSON]] = [:]) { self.groups = groups }

    /// A domain's file: `keystone.<domain name>.conf`.
    package init(file text: String) {
        groups = [:]
        for entry in INI(text).entries { groups[entry.section, default: [:]][entry.name] = .string(entry.value) }
    }

    /// The options of a domain, in which `%(name)s` stands for its secret of that name.
    init(_ options: [DomainOption], _ secrets: [DomainSecret]) {
        groups = [:]
        let words = Dictionary(secrets.map { ($0.name, $0.value.string ?? $0.value.text()) }) { $1 }
        for option in options {
            var value = option.value
            if let text = value.string, let filled = DomainConfiguration.fill(text, words) { value = .string(filled) }
            groups[option.section, default: [:]][option.name] = value
        }
        for secret in secrets { groups[secret.section, default: [:]][secret.name] = secret.value }
    }

    package var isEmpty: Bool { groups.isEmpty }

    /// Which back end keeps the domain's users and groups: `ldap`, or `sql` as without a configuration.
    package var driver: String { text("identity", "driver") ?? "sql" }

    package subscript(group: String, option: String) -> JSON? { groups[group]?[option] }

    package func text(_ group: String, _ option: String) -> String? {
        switch self[group, option] {
        case nil, .null: nil
        case .string(let text): text
        case .some(let other): other.text()
        }
    }

    package func integer(_ group: String, _ option: String) -> Int? {
        self[group, option].flatMap { $0.integer ?? $0.string.flatMap { Int($0) } }
    }

    package func double(_ group: String, _ option: String) -> Double? {
        self[group, option].flatMap { $0.double ?? $0.string.flatMap { Double($0) } }
    }

    package func flag(_ group: String, _ option: String) -> Bool? {
        self[group, option].flatMap { $0.bool ?? $0.string.flatMap { Format<Bool>.truth($0) } }
    }

    /// A list as JSON has it, or as files do: with commas.
    package func list(_ group: String, _ option: String) -> [String]? {
        guard let value = self[group, option], !value.isNull else { return nil }
        if let items = value.array { return items.compactMap(\.string) }
        return value.string.map { text in
            text.split(separator: ",").map { String($0).trimmedOfSpace }.filter { !$0.isEmpty }
        }
    }

    /// Nil when a name has no secret, or when it is no reference at all; the text then stays as it is.
    private static func fill(_ text: String, _ secrets: [String: String]) -> String? {
        guard text.contains("%") else { return text }
        var filled = ""
        var rest = text[...]
        while let mark = rest.firstIndex(of: "%") {
            filled += rest[..<mark]
            rest = rest[rest.index(after: mark)...]
            if rest.first == "%" {
                filled += "%"
                rest = rest.dropFirst()
                continue
            }
            guard rest.first == "(", let end = rest.firstIndex(of: ")"), rest[end...].dropFirst().first == "s",
                let secret = secrets[String(rest[..<end].dropFirst())]
            else { return nil }
            filled += secret
            rest = rest[end...].dropFirst(2)
        }
        return filled + rest
    }
}

// MARK: - What may be set

extension DomainConfiguration {
    /// The options that a domain may have, with what holds where it has none.
    static let standard: KeyValuePairs<String, KeyValuePairs<String, JSON>> = [
        "identity": ["driver": "sql", "list_limit": nil],
        "ldap": [
            "url": "ldap://localhost", "user": nil, "suffix": "cn=example,cn=com", "query_scope": "one",
            "page_size": 0, "alias_dereferencing": "default", "debug_level": nil, "chase_referrals": nil,
            "user_tree_dn": nil, "user_filter": nil, "user_objectclass": "inetOrgPerson", "user_id_attribute": "cn",
            "user_name_attribute": "sn", "user_mail_attribute": "mail", "user_description_attribute": "description",
            "user_pass_attribute": "userPassword", "user_enabled_attribute": "enabled", "user_enabled_invert": false,
            "user_enabled_mask": 0, "user_enabled_default": "True", "user_attribute_ignore": ["default_project_id"],
            "user_default_project_id_attribute": nil, "user_enabled_emulation": false,
            "user_enabled_emulation_dn": nil, "user_enabled_emulation_use_group_config": false,
            "user_additional_attribute_mapping": [], "group_tree_dn": nil, "group_filter": nil,
            "group_objectclass": "groupOfNames", "group_id_attribute": "cn", "group_name_attribute": "ou",
            "group_members_are_ids": false, "group_member_attribute": "member", "group_desc_attribute": "description",
            "group_attribute_ignore": [], "group_additional_attribute_mapping": [], "tls_cacertfile": nil,
            "tls_cacertdir": nil, "use_tls": false, "tls_req_cert": "demand", "use_pool": true, "pool_size": 10,
            "pool_retry_max": 3, "pool_retry_delay": 0.1, "pool_connection_timeout": -1,
            "pool_connection_lifetime": 600, "use_auth_pool": true, "auth_pool_size": 100,
            "auth_pool_connection_lifetime": 60,
        ],
    ]

    /// Those that are taken and never shown.
    private static let secrets = ["ldap": ["password"]]

    static func isSecret(_ group: String, _ option: String) -> Bool { secrets[group]?.contains(option) ?? false }

    static func standard(of group: String) -> KeyValuePairs<String, JSON> {
        standard.first { $0.key == group }?.value ?? [:]
    }

    /// Refuses a group that domains do not have, or an option that the group does not.
    static func requireKnown(_ group: String, _ option: String? = nil) throws(Fault) {
        guard standard.contains(where: { $0.key == group }) else {
            throw .invalidConfiguration("Group \(group) is not supported for domain specific configurations")
        }
        guard let option, !standard(of: group).contains(where: { $0.key == option }), !isSecret(group, option) else {
            return
        }
        throw .invalidConfiguration(
            "Option \(option) in group \(group) is not supported for domain specific configurations")
    }
}

extension Fault {
    static func invalidConfiguration(_ reason: String) -> Fault {
        .forbidden("Invalid domain specific configuration: \(reason).")
    }
}
