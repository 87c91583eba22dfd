// SPDX-License-Identifier: Apache-2.0
internal import Identity
internal import Kernel

extension LDAPReader {
    /// The groups that a user is in.
    func groups(of user: DirectoryUser) throws(LDAPFailure) -> [DirectoryGroup] {
        let member = options.membersAreIDs ? user.id : user.place
        guard options.nestsGroups else {
            return groups(
                try find(options.groups, [LDAPFilter.equal(options.memberAttribute, member)], isList: true))
        }
        if try walksChains() {
            return groups(
                try find(
                    options.groups, ["(member:\(LDAPFilter.inChain):=\(LDAPFilter.escape(user.place)))"],
                    isList: true))
        }
        var found: [String: LDAPEntry] = [:]
        var open = [member]
        while !open.isEmpty {
            let names = open
            open = []
            for part in names.portions {
                let filter = LDAPFilter.any(part.map { LDAPFilter.equal(options.memberAttribute, $0) })
                for entry in try find(options.groups, [filter], isList: true)
                where found.updateValue(entry, forKey: LDAPName.normal(entry.name)) == nil {
                    open.append(entry.name)
                }
            }
        }
        return groups(Array(found.values))
    }

    /// The users in a group.
    func members(of group: DirectoryGroup) throws(LDAPFailure) -> [DirectoryUser] {
        if options.nestsGroups, try walksChains() {
            return try users(
                try find(
                    options.users, ["(memberOf:\(LDAPFilter.inChain):=\(LDAPFilter.escape(group.place)))"],
                    isList: true))
        }
        var found: [String: LDAPEntry] = [:]
        var seen: Set<String> = [LDAPName.normal(group.place)]
        var open = [group.place]
        while let place = open.popLast() {
            let members =
                try search(place, subtree: nil, "(objectClass=*)", [options.memberAttribute]).first?
                .texts(options.memberAttribute) ?? []
            if options.membersAreIDs {
                for entry in try entries(options.users, ids: members) { found[LDAPName.normal(entry.name)] = entry }
            } else {
                let new = members.filter { seen.insert(LDAPName.normal($0)).inserted }
                for entry in try entries(options.users, named: new) { found[LDAPName.normal(entry.name)] = entry }
                guard options.nestsGroups else { continue }
                let others = new.filter { found[LDAPName.normal($0)] == nil }
                open += try entries(options.groups, named: others).map(\.name)
            }
        }
        return try users(Array(found.values))
    }

    private func entries(_ kind: LDAPOptions.Kind, ids: [String]) throws(LDAPFailure) -> [LDAPEntry] {
        var entries: [LDAPEntry] = []
        for part in ids.portions {
            entries += try find(
                kind, [LDAPFilter.any(part.map { LDAPFilter.id($0, kind.idAttribute) })], isList: true)
        }
        return entries
    }

    /// Entries by their names. Many are asked for at once by what their names begin with, which is an attribute too;
    /// namesakes elsewhere in the tree fall out by their whole name.
    private func entries(_ kind: LDAPOptions.Kind, named names: [String]) throws(LDAPFailure) -> [LDAPEntry] {
        let wanted = Set(names.map(LDAPName.normal))
        var entries: [LDAPEntry] = []
        for part in names.portions {
            let filters = part.compactMap(LDAPName.first).map { LDAPFilter.equal($0.attribute, $0.value) }
            guard !filters.isEmpty else { continue }
            entries += try find(kind, [LDAPFilter.any(filters)], isList: true).filter {
                wanted.contains(LDAPName.normal($0.name))
            }
        }
        return entries
    }
}

extension [String] {
    /// As many as one filter should name.
    fileprivate var portions: [ArraySlice<String>] {
        stride(from: 0, to: count, by: 50).map { self[$0..<Swift.min($0 + 50, count)] }
    }
}
