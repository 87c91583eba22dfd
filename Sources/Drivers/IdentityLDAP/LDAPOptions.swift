// SPDX-License-Identifier: Apache-2.0
package import Identity
package import Kernel

/// Where an LDAP server is, how to speak with it, and what its attributes mean: upstream's `[ldap]`, for the whole
/// cloud or for one domain.
package struct LDAPOptions: Options {
    package static let section = "ldap"

    package enum Scope: String, CaseIterable, Sendable { case one, sub }
    package enum Dereferencing: String, CaseIterable, Sendable {
        case never, searching, always, finding
        case standard = "default"
    }
    package enum Certificate: String, CaseIterable, Sendable { case demand, never, allow }

    /// How one kind of entry is found and read.
    package struct Kind: Sendable, Equatable {
        package var treeDN = ""
        package var filter = ""
        package var objectClass = ""
        package var idAttribute = "cn"
        package var nameAttribute = ""
        package var descriptionAttribute = "description"
        package var ignored: Set<String> = []
        /// Attributes shown under other names, by the directory's name.
        package var additional: [String: String] = [:]
    }

    package var urls = ["ldap://localhost"]
    package var randomizesURLs = false
    package var user: String?
    package var password: String?
    package var scope = Scope.one
    package var pageSize = 0
    package var dereferencing = Dereferencing.standard
    package var chasesReferrals = false
    package var debugLevel = 0
    package var users = Kind()
    package var groups = Kind()
    package var mailAttribute = "mail"
    package var enabledAttribute = "enabled"
    package var enabledInvert = false
    package var enabledMask = 0
    package var enabledDefault = "True"
    package var enabledEmulation = false
    package var enabledEmulationDN = ""
    package var enabledEmulationUsesGroups = false
    package var defaultProjectAttribute: String?
    package var memberAttribute = "member"
    package var membersAreIDs = false
    package var nestsGroups = false
    package var usesTLS = false
    package var authoritiesFile: String?
    package var authoritiesDirectory: String?
    package var certificate = Certificate.demand
    package var connectionTimeout = -1
    package var usesPool = true
    package var poolSize = 10
    package var poolRetryMax = 3
    package var poolRetryDelay = 0.1
    package var poolConnectionTimeout = -1
    package var poolConnectionLifetime = 600
    package var usesAuthPool = true
    package var authPoolSize = 100
    package var authPoolConnectionLifetime = 60

    package init(_ read: inout OptionReader) {
        readServer(&read)
        let suffix = read.string(
            "suffix", default: "cn=example,cn=com", help: "What the trees of users and groups stand under by default.")
        readUsers(&read, suffix)
        readEnabled(&read)
        readGroups(&read, suffix)
        readPools(&read)
    }

    /// The options of one domain; a fault names every mistake.
    package init(_ configuration: DomainConfiguration, of domainID: String) throws(Fault) {
        var values: [String: String] = [:]
        for (name, _) in configuration.groups["ldap"] ?? [:] {
            let text =
                configuration["ldap", name]?.array != nil
                ? configuration.list("ldap", name)?.joined(separator: ",") : configuration.text("ldap", name)
            if let text { values["ldap.\(name)"] = text }
        }
        do {
            let spelling = values.mapValues { _ in "ldap of domain \(domainID)" }
            self = try Configuration.load(
                sources: [], flags: values, spelling: spelling, known: [LDAPOptions.self])[LDAPOptions.self]
        } catch {
            throw .unavailable(error.description)
        }
    }

    /// How long to wait for a connection. Upstream's -1 waits for ever; nothing does here.
    package var patience: Duration {
        let asked = usesPool ? [poolConnectionTimeout, connectionTimeout] : [connectionTimeout]
        return .seconds(asked.first { $0 > 0 } ?? 10)
    }
}

// MARK: - Reading

extension LDAPOptions {
    private mutating func readServer(_ read: inout OptionReader) {
        let addresses = read.string(
            "url", default: urls[0],
            help: "The servers, with commas between them; the next one is asked when one does not answer.")
        urls = addresses.split { $0 == "," || $0 == " " || $0 == "\n" }.map(String.init)
        if urls.isEmpty { read.refuse("url names no server") }
        for url in urls where !["ldap://", "ldaps://", "ldapi://"].contains(where: { url.hasPrefix($0) }) {
            read.refuse("url: '\(url)' does not begin with ldap://, ldaps:// or ldapi://")
        }
        randomizesURLs = read.bool(
            "randomize_urls", default: randomizesURLs, help: "Whether the servers are asked in an order of chance.")
        user = read.string("user", help: "The name to log in with for searches; without it, nobody's.")
        password = read.string("password", help: "The password that belongs to it.")
        scope = read.choice(
            "query_scope", default: scope, help: "How deep to search: one level below a tree's root, or all of it.")
        pageSize = read.int(
            "page_size", default: pageSize, in: 0...100_000,
            help: "How many entries to ask for at once; 0 asks for all, of which many servers give a part only.")
        dereferencing = read.choice(
            "alias_dereferencing", default: dereferencing,
            help: "When aliases are followed; default leaves it to ldap.conf.")
        chasesReferrals = read.bool(
            "chase_referrals", default: chasesReferrals,
            help: "Whether other servers that an answer refers to are asked too.")
        debugLevel = read.int(
            "debug_level", default: debugLevel, in: -1...Int(Int32.max),
            help: "What libldap writes to standard error: its own mask; 0 is silent.")
        usesTLS = read.bool(
            "use_tls", default: usesTLS, help: "Whether to turn to TLS after connecting; not with ldaps.")
        authoritiesFile = read.string("tls_cacertfile", help: "The certificates of the authorities that are trusted.")
        authoritiesDirectory = read.string("tls_cacertdir", help: "The same as a directory; the file goes first.")
        certificate = read.choice(
            "tls_req_cert", default: certificate, help: "Whether a server must have a certificate that is trusted.")
        if usesTLS, urls.contains(where: { $0.hasPrefix("ldaps://") }) {
            read.refuse("use_tls is for ldap:// addresses; ldaps:// has TLS from the beginning")
        }
    }

    private mutating func readUsers(_ read: inout OptionReader, _ suffix: String) {
        users.treeDN =
            read.string("user_tree_dn", help: "Where users are; ou=Users under the suffix without it.")
            ?? "ou=Users,\(suffix)"
        users.filter = LDAPOptions.filter("user_filter", &read)
        users.objectClass = read.string(
            "user_objectclass", default: "inetOrgPerson", help: "The object class of users.")
        users.idAttribute = read.string(
            "user_id_attribute", default: "cn", help: "The attribute that is a user's id; it must have one value.")
        users.nameAttribute = read.string(
            "user_name_attribute", default: "sn", help: "The attribute that users log in with.")
        users.descriptionAttribute = read.string(
            "user_description_attribute", default: "description", help: "The attribute that describes a user.")
        mailAttribute = read.string("user_mail_attribute", default: mailAttribute, help: "Users' mail addresses.")
        _ = read.string(
            "user_pass_attribute", default: "userPassword",
            help: "Upstream's name for where passwords are. None is read here: passwords are tried by logging in.")
        defaultProjectAttribute = read.string(
            "user_default_project_id_attribute", help: "The attribute with a user's default project.")
        users.ignored = Set(
            read.list(
                "user_attribute_ignore", default: ["default_project_id"],
                help: "Members of users that are not taken from the directory."))
        users.additional = LDAPOptions.mapping("user_additional_attribute_mapping", &read)
    }

    private mutating func readEnabled(_ read: inout OptionReader) {
        enabledAttribute = read.string(
            "user_enabled_attribute", default: enabledAttribute, help: "The attribute that says who may log in.")
        enabledInvert = read.bool(
            "user_enabled_invert", default: enabledInvert, help: "Whether it says who may not; not with a mask.")
        enabledMask = read.int(
            "user_enabled_mask", default: enabledMask, in: 0...Int(Int32.max),
            help: "The bit that disables a user where the attribute is a number; 2 for userAccountControl.")
        enabledDefault = read.string(
            "user_enabled_default", default: enabledDefault, help: "What holds for users without the attribute.")
        enabledEmulation = read.bool(
            "user_enabled_emulation", default: enabledEmulation,
            help: "Whether users are enabled by being members of a group.")
        enabledEmulationDN =
            read.string(
                "user_enabled_emulation_dn", help: "That group; cn=enabled_users in the tree of users without it.")
            ?? "cn=enabled_users,\(users.treeDN)"
        enabledEmulationUsesGroups = read.bool(
            "user_enabled_emulation_use_group_config", default: enabledEmulationUsesGroups,
            help: "Whether group_member_attribute and group_members_are_ids hold for it too.")
    }

    private mutating func readGroups(_ read: inout OptionReader, _ suffix: String) {
        groups.treeDN =
            read.string("group_tree_dn", help: "Where groups are; ou=UserGroups under the suffix without.")
            ?? "ou=UserGroups,\(suffix)"
        groups.filter = LDAPOptions.filter("group_filter", &read)
        groups.objectClass = read.string(
            "group_objectclass", default: "groupOfNames", help: "The object class of groups.")
        groups.idAttribute = read.string("group_id_attribute", default: "cn", help: "The attribute that is their id.")
        groups.nameAttribute = read.string("group_name_attribute", default: "ou", help: "The attribute with the name.")
        groups.descriptionAttribute = read.string(
            "group_desc_attribute", default: "description", help: "The attribute that describes a group.")
        memberAttribute = read.string(
            "group_member_attribute", default: memberAttribute, help: "The attribute that names a group's members.")
        membersAreIDs = read.bool(
            "group_members_are_ids", default: membersAreIDs,
            help: "Whether it holds users' ids, as in a posixGroup, and not distinguished names.")
        groups.ignored = Set(
            read.list("group_attribute_ignore", help: "Members of groups that are not taken from the directory."))
        groups.additional = LDAPOptions.mapping("group_additional_attribute_mapping", &read)
        nestsGroups = read.bool(
            "group_ad_nesting", default: nestsGroups,
            help: "Whether members of a group's groups are its members. Active Directory works it out itself; on "
                + "other servers Apus does.")
    }

    private mutating func readPools(_ read: inout OptionReader) {
        let seconds = -1...86_400
        connectionTimeout = read.int(
            "connection_timeout", default: connectionTimeout, in: seconds,
            help: "Seconds to wait for a server; -1 is 10, for nothing waits for ever.")
        usesPool = read.bool("use_pool", default: usesPool, help: "Whether connections are kept for later searches.")
        poolSize = read.int("pool_size", default: poolSize, in: 1...256, help: "How many there may be.")
        poolRetryMax = read.int(
            "pool_retry_max", default: poolRetryMax, in: 1...20, help: "How often to try to connect.")
        poolRetryDelay = read.double(
            "pool_retry_delay", default: poolRetryDelay, atLeast: 0, help: "Seconds between these tries.")
        poolConnectionTimeout = read.int(
            "pool_connection_timeout", default: poolConnectionTimeout, in: seconds,
            help: "connection_timeout for connections that are kept.")
        poolConnectionLifetime = read.int(
            "pool_connection_lifetime", default: poolConnectionLifetime, in: 1...86_400,
            help: "Seconds after which a connection is replaced.")
        usesAuthPool = read.bool(
            "use_auth_pool", default: usesAuthPool, help: "Whether those that try passwords are kept too.")
        authPoolSize = read.int("auth_pool_size", default: authPoolSize, in: 1...256, help: "How many of these.")
        authPoolConnectionLifetime = read.int(
            "auth_pool_connection_lifetime", default: authPoolConnectionLifetime, in: 1...86_400,
            help: "Seconds after which such a connection is replaced.")
    }

    /// A filter that is put between others, with its brackets.
    private static func filter(_ name: String, _ read: inout OptionReader) -> String {
        let noun = name.hasPrefix("user") ? "users" : "groups"
        guard let text = read.string(name, help: "A filter (RFC 4515) that \(noun) must meet too.") else { return "" }
        if !text.hasPrefix("(") || !text.hasSuffix(")") || !LDAPFilter.isBalanced(text) {
            read.refuse("\(name) '\(text)' is no filter in brackets, such as (memberOf=cn=cloud,dc=corp,dc=test)")
        }
        return text
    }

    private static func mapping(_ name: String, _ read: inout OptionReader) -> [String: String] {
        var mapping: [String: String] = [:]
        for pair in read.list(name, help: "More attributes to show, as attribute:member with commas between.") {
            let parts = pair.split(separator: ":").map(String.init)
            guard parts.count == 2 else {
                read.refuse("\(name): '\(pair)' is not attribute:member")
                continue
            }
            mapping[parts[0]] = parts[1]
        }
        return mapping
    }
}
