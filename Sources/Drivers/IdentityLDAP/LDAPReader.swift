// SPDX-License-Identifier: Apache-2.0
internal import CLDAP
internal import Identity
internal import Kernel
internal import Synchronization

/// Finds users and groups on an LDAP server and reads them as the options say. Calls block.
final class LDAPReader: Sendable {
    let options: LDAPOptions
    private let connections: LDAPConnections
    private let log: Log
    private let isActiveDirectory = Mutex<Bool?>(nil)

    init(_ options: LDAPOptions, _ connections: LDAPConnections, log: Log) {
        self.options = options
        self.connections = connections
        self.log = log
    }

    // MARK: Searching

    /// Entries of a kind that meet all filters and have an id and a name.
    /// - Parameter isList: whether there may be many, so that it may take long.
    func find(
        _ kind: LDAPOptions.Kind, _ filters: [String], isList: Bool = false
    ) throws(LDAPFailure) -> [LDAPEntry] {
        let filter =
            "(&" + filters.joined() + kind.filter + "(objectClass=\(kind.objectClass))(\(kind.idAttribute)=*))"
        let found = try search(
            kind.treeDN, subtree: options.scope == .sub, filter, attributes(kind), isList: isList)
        return found.filter { $0.text(kind.nameAttribute) != nil }
    }

    func search(
        _ base: String, subtree: Bool?, _ filter: String, _ attributes: [String], isList: Bool = false
    ) throws(LDAPFailure) -> [LDAPEntry] {
        let options = options
        return try connections.use(login: { connection throws(LDAPFailure) in
            try connection.bind(options.password == nil ? "" : options.user ?? "", options.password ?? "")
        }) { connection throws(LDAPFailure) in
            try connection.search(
                base, subtree: subtree, filter, attributes, pageSize: isList ? options.pageSize : 0,
                waits: isList ? 60 : 0)
        }
    }

    private func attributes(_ kind: LDAPOptions.Kind) -> [String] {
        var names = [kind.idAttribute, kind.nameAttribute, kind.descriptionAttribute] + kind.additional.keys
        if kind == options.users {
            names += [options.mailAttribute, options.enabledAttribute]
            if let name = options.defaultProjectAttribute { names.append(name) }
        }
        return Set(names.filter { !$0.isEmpty }).sorted()
    }

    /// Whether the server follows memberships through groups itself. It is asked once.
    func walksChains() throws(LDAPFailure) -> Bool {
        if let known = isActiveDirectory.withLock({ $0 }) { return known }
        let root = try search("", subtree: nil, "(objectClass=*)", ["supportedCapabilities"]).first
        let isOne = root?.texts("supportedCapabilities").contains("1.2.840.113556.1.4.800") ?? false
        isActiveDirectory.withLock { $0 = isOne }
        return isOne
    }

    // MARK: Reading

    /// The id of an entry: its attribute, or where that has several values the one that its name begins with.
    private func id(_ entry: LDAPEntry, _ attribute: String) -> String? {
        let ids = entry.texts(attribute)
        if ids.count == 1 { return ids[0] }
        if let (name, value) = LDAPName.first(entry.name), name.lowercased() == attribute.lowercased() { return value }
        log.warning(
            "an entry of the directory has no single id", ["entry": entry.name, "attribute": attribute])
        return nil
    }

    func users(_ entries: [LDAPEntry]) throws(LDAPFailure) -> [DirectoryUser] {
        let kind = options.users
        let enabled = try emulatedMembers(entries)
        var users: [DirectoryUser] = []
        for entry in entries {
            guard let id = id(entry, kind.idAttribute), let name = entry.text(kind.nameAttribute) else { continue }
            users.append(
                DirectoryUser(
                    id: id, place: entry.name, name: name,
                    isEnabled: enabled?.contains(memberKey(id, entry.name)) ?? isEnabled(entry),
                    description: member("description", kind.descriptionAttribute, of: entry, kind),
                    email: member("email", options.mailAttribute, of: entry, kind),
                    defaultProjectID: member("default_project_id", options.defaultProjectAttribute, of: entry, kind),
                    extra: extra(entry, kind)))
        }
        return users
    }

    func groups(_ entries: [LDAPEntry]) -> [DirectoryGroup] {
        let kind = options.groups
        return entries.compactMap { entry in
            guard let id = id(entry, kind.idAttribute), let name = entry.text(kind.nameAttribute) else { return nil }
            return DirectoryGroup(
                id: id, place: entry.name, name: name,
                description: member("description", kind.descriptionAttribute, of: entry, kind),
                extra: extra(entry, kind))
        }
    }

    private func member(
        _ name: String, _ attribute: String?, of entry: LDAPEntry, _ kind: LDAPOptions.Kind
    ) -> String? {
        guard let attribute, !attribute.isEmpty, !kind.ignored.contains(name) else { return nil }
        return entry.text(attribute)
    }

    private func extra(_ entry: LDAPEntry, _ kind: LDAPOptions.Kind) -> [String: String] {
        var extra: [String: String] = [:]
        for (attribute, name) in kind.additional where !kind.ignored.contains(name) {
            extra[name] = entry.text(attribute)
        }
        return extra
    }

    // MARK: Who may log in

    /// As upstream reads it: a bit of a number, or a word, which may be turned round.
    func isEnabled(_ entry: LDAPEntry) -> Bool {
        guard !options.users.ignored.contains("enabled") else { return true }
        let text = entry.text(options.enabledAttribute) ?? options.enabledDefault
        if options.enabledMask != 0 {
            guard let number = Int(text) else { return text.lowercased() == "true" }
            return number & options.enabledMask != options.enabledMask
        }
        let says = text.lowercased() == "true" || (Int(text) ?? 0) != 0
        return says != options.enabledInvert
    }

    /// The members of the group that stands for being enabled; nil when there is no such group.
    private func emulatedMembers(_ entries: [LDAPEntry]) throws(LDAPFailure) -> Set<String>? {
        guard options.enabledEmulation, !options.users.ignored.contains("enabled") else { return nil }
        let attribute = options.enabledEmulationUsesGroups ? options.memberAttribute : "member"
        // One user is asked about by name: the group may be as large as the company.
        let asked: String =
            if entries.count == 1, let id = id(entries[0], options.users.idAttribute) {
                LDAPFilter.equal(attribute, emulatesIDs ? id : entries[0].name)
            } else { "(objectClass=*)" }
        let found = try search(
            options.enabledEmulationDN, subtree: nil, asked, [entries.count == 1 ? "1.1" : attribute])
        guard let group = found.first else { return [] }
        if entries.count == 1, let id = id(entries[0], options.users.idAttribute) {
            return [memberKey(id, entries[0].name)]
        }
        let members = group.texts(attribute)
        return Set(emulatesIDs ? members : members.map(LDAPName.normal))
    }

    private var emulatesIDs: Bool { options.enabledEmulationUsesGroups && options.membersAreIDs }

    private func memberKey(_ id: String, _ name: String) -> String { emulatesIDs ? id : LDAPName.normal(name) }
}
