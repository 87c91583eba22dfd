// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Whom the rules of a mapping see in an assertion.
package struct MappedIdentity: Sendable, Equatable {
    /// `type` is always there; `id`, `name`, `email`, `domain` where the rules gave them.
    package var user: JSONObject
    package var groupIDs: [String]
    /// `{"name": ..., "domain": {...}}` each.
    package var groupNames: [JSON]
    package var projects: [JSON]

    var isLocal: Bool { user["type"] == "local" }

    package var json: JSON {
        [
            "user": .object(user), "group_ids": .array(groupIDs.map(JSON.string)), "group_names": .array(groupNames),
            "projects": .array(projects),
        ]
    }
}

/// Applies the rules of a mapping to what an identity provider says about somebody: upstream's rule language.
package struct MappingEngine: Sendable {
    private let id: String
    private let rules: [JSON]
    private let version: String

    package init(id: String, rules: JSON, version: String = "1.0") {
        self.id = id
        self.rules = rules.array ?? []
        self.version = version
    }

    /// The same from a file's text, which is either a mapping or its rules alone; refuses what the schema does not
    /// allow.
    package init(text: [UInt8], version asked: String? = nil) throws(Fault) {
        let parsed: JSON
        do { parsed = try JSON.parse(text) } catch {
            throw .badRequest("Error while parsing rules: \(error.message) at byte \(error.offset)")
        }
        var mapping = parsed.object ?? ["rules": parsed]
        if let asked { mapping["schema_version"] = .string(asked) }
        let version = try MappingSchema.require(.object(mapping))
        self.init(id: "file", rules: mapping["rules"] ?? [], version: version)
    }

    /// - Parameter assertion: attributes by name; several values of one are parted by semicolons.
    package func process(_ assertion: [String: String]) throws(Fault) -> MappedIdentity {
        let values = assertion.mapValues { text in
            text.split(separator: ";", omittingEmptySubsequences: false).map(String.init)
        }
        var identities: [JSONObject] = []
        for rule in rules {
            guard let matches = try matches(rule["remote"]?.array ?? [], values) else { continue }
            for local in rule["local"]?.array ?? [] {
                let filled = try fill(local, matches)
                identities.append(filled.object ?? [:])
            }
        }
        return try gather(identities)
    }

    private var fillsProjects: Bool { version == "3.0" }
    private var honoursDomain: Bool { version != "1.0" }
}

// MARK: - The remote side: whether a rule is about this assertion

extension MappingEngine {
    /// The values that `{0}`, `{1}`, ... stand for; nil when the rule does not apply.
    private func matches(_ requirements: [JSON], _ assertion: [String: [String]]) throws(Fault) -> [[String]]? {
        var matches: [[String]] = []
        for requirement in requirements {
            guard let values = assertion[requirement["type"]?.string ?? ""] else { return nil }
            let isRegex = requirement["regex"]?.bool ?? false
            func hits(_ list: [JSON]) throws(Fault) -> Set<String> { try self.hits(list, values, isRegex) }
            if let list = requirement["any_one_of"]?.array {
                if try hits(list).isEmpty { return nil }
            } else if let list = requirement["not_any_of"]?.array {
                if try !hits(list).isEmpty { return nil }
            } else if let list = requirement["blacklist"]?.array {
                let refused = try hits(list)
                matches.append(values.filter { !refused.contains($0) })
            } else if let list = requirement["whitelist"]?.array {
                let taken = try hits(list)
                matches.append(values.filter { taken.contains($0) })
            } else {
                matches.append(values)
            }
        }
        return matches
    }

    private func hits(_ list: [JSON], _ values: [String], _ isRegex: Bool) throws(Fault) -> Set<String> {
        let wanted = list.compactMap(\.string)
        guard isRegex else { return Set(values).intersection(wanted) }
        var found: Set<String> = []
        for pattern in wanted {
            let regex: Regex<AnyRegexOutput>
            do { regex = try Regex(pattern).matchingSemantics(.unicodeScalar) } catch {
                throw .internalError("mapping \(id): '\(pattern)' is no regular expression: \(error)")
            }
            for value in values where (try? regex.firstMatch(in: value)) != nil { found.insert(value) }
        }
        return found
    }
}

// MARK: - The local side: what the rule makes of it

extension MappingEngine {
    private func fill(_ value: JSON, _ matches: [[String]], key: String = "") throws(Fault) -> JSON {
        switch value {
        case .object(let object):
            var filled = JSONObject()
            for (key, member) in object { filled[key] = try fill(member, matches, key: key) }
            return .object(filled)
        case .array(let items):
            return .array(try items.mapping { item throws(Fault) in try fill(item, matches, key: key) })
        case .string(let text) where fillsProjects && ["projects_json", "projects"].contains(key):
            return try projects(text, matches)
        case .string(let text): return .string(try fill(text, matches))
        default: return value
        }
    }

    /// The list of projects that an assertion brings as JSON: `"projects_json": "{0}"`.
    private func projects(_ text: String, _ matches: [[String]]) throws(Fault) -> JSON {
        let digits = text.drop { $0 == "{" }.prefix { $0.isASCII && $0.isNumber }
        guard let place = Int(digits) else {
            throw .badRequest("The rule [\(text)] for key [projects_json] does not match the expected pattern [{N}].")
        }
        guard matches.indices.contains(place) else { throw refersToNothing }
        let given = matches[place].joined(separator: ";")
        guard let projects = try? JSON.parse(Array(given.utf8)) else {
            throw .badRequest("The projects that the assertion brings are no JSON.")
        }
        try MappingSchema.requireProjects(projects)
        return projects
    }

    /// Python's `text.format(*matches)`: `{0}`, `{}`, and doubled braces for themselves.
    private func fill(_ text: String, _ matches: [[String]]) throws(Fault) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "}") }) else { return text }
        var out = ""
        var rest = text[...]
        var next = 0
        while let mark = rest.popFirst() {
            switch mark {
            case "{" where rest.first == "{", "}" where rest.first == "}":
                out.append(mark)
                rest.removeFirst()
            case "{":
                guard let end = rest.firstIndex(of: "}") else { throw refersToNothing }
                let name = rest[..<end]
                rest = rest[rest.index(after: end)...]
                guard let place = name.isEmpty ? next : Int(name), matches.indices.contains(place) else {
                    throw refersToNothing
                }
                next += 1
                let values = matches[place]
                out += values.count == 1 ? values[0] : PythonText.repr(.array(values.map(JSON.string)))
            default: out.append(mark)
            }
        }
        return out
    }

    private var refersToNothing: Fault {
        .internalError(
            "Local section in mapping \(id) refers to a remote match that doesn't exist (e.g. {0} in a local section).")
    }
}

// MARK: - All rules together

extension MappingEngine {
    private func gather(_ identities: [JSONObject]) throws(Fault) -> MappedIdentity {
        guard !identities.isEmpty else {
            throw .badRequest(
                "Could not map any federated user properties to identity values. Check debug logs or the mapping "
                    + "used for additional details.")
        }
        var user: JSONObject = [:]
        var groupIDs: [String] = []
        var groupNames: [JSON] = []
        var named: [(domain: String, groups: [JSON])] = []
        var projects: [JSON] = []
        func add(_ id: String) { if !groupIDs.contains(id) { groupIDs.append(id) } }
        for identity in identities {
            if user.isEmpty, let found = identity["user"]?.object { user = found }
            if let group = identity["group"]?.object {
                if let id = group["id"]?.string {
                    add(id)
                } else {
                    groupNames += MappingEngine.collect(group, &named)
                }
            }
            if let text = identity["groups"]?.string { groupNames += try groups(text, identity) }
            if let text = identity["group_ids"]?.string {
                for id in PythonText.list(text)?.compactMap(\.string) ?? [text] { add(id) }
            }
            if identity["projects"] != nil || identity["projects_json"] != nil {
                projects = self.projects(of: identity)
            }
        }
        user["type"] = user["type"] ?? "ephemeral"
        if honoursDomain, user["domain"] == nil, let domain = identities.last?["domain"] { user["domain"] = domain }
        return MappedIdentity(user: user, groupIDs: groupIDs, groupNames: groupNames, projects: projects)
    }

    private func projects(of identity: JSONObject) -> [JSON] {
        let all = (identity["projects"]?.array ?? []) + (identity["projects_json"]?.array ?? [])
        guard honoursDomain, let domain = identity["domain"] else { return all }
        return all.map { project in
            guard var object = project.object, object["domain"]?.object?.isEmpty ?? true else { return project }
            object["domain"] = domain
            return .object(object)
        }
    }

    /// Groups by name, each domain's apart; of several with one name the last counts.
    private static func collect(_ group: JSONObject, _ named: inout [(domain: String, groups: [JSON])]) -> [JSON] {
        let domain = group["domain"]?["name"]?.string ?? group["domain"]?["id"]?.string ?? ""
        if let at = named.firstIndex(where: { $0.domain == domain }) {
            let same = named[at].groups.firstIndex { $0["name"] == group["name"] }
            if let same { named[at].groups[same] = .object(group) } else { named[at].groups.append(.object(group)) }
        } else {
            named.append((domain, [.object(group)]))
        }
        return named.flatMap(\.groups)
    }

    /// `"groups": "{0}"`: names in the domain beside it, or whole groups written as `JSON:{...}`.
    private func groups(_ text: String, _ identity: JSONObject) throws(Fault) -> [JSON] {
        let items = (PythonText.list(text) ?? [.string(text)]).compactMap(\.string)
        return try items.mapping { item throws(Fault) in
            if item.hasPrefix("JSON:") {
                guard let group = try? JSON.parse(Array(item.utf8.dropFirst(5))), group["name"]?.string != nil,
                    group["domain"]?.object != nil
                else { throw needsDomain(identity) }
                return group
            }
            guard let domain = identity["domain"] else { throw needsDomain(identity) }
            return ["name": .string(item), "domain": domain]
        }
    }

    private func needsDomain(_ identity: JSONObject) -> Fault {
        .badRequest(
            "Invalid rule: \(PythonText.repr(.object(identity))). Both 'groups' and 'domain' keywords must be "
                + "specified.")
    }
}
