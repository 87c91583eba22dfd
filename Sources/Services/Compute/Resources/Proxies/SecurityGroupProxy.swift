// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Security groups as Compute spoke of them before Network existed; passed on to Network in the caller's name.
/// Gone since 2.36.
enum SecurityGroupProxy: Resource {
    static let routes: [Route] = [
        .get(
            "/os-security-groups", "List security groups", of: OwnScope.from, allow: .reader("os-security-groups:get"),
            index, until: "2.36"),
        .post(
            "/os-security-groups", "Create a security group", of: OwnScope.from,
            allow: .member("os-security-groups:create"), create, status: 200, until: "2.36"),
        .get(
            item, "Show a security group", of: OwnScope.from, allow: .reader("os-security-groups:show"), show,
            until: "2.36"),
        .put(
            item, "Update a security group", of: OwnScope.from, allow: .member("os-security-groups:update"), update,
            until: "2.36"),
        .delete(
            item, "Delete a security group", of: OwnScope.from, allow: .member("os-security-groups:delete"), delete,
            status: 202, until: "2.36"),
        .post(
            "/os-security-group-rules", "Create a security group rule", of: OwnScope.from,
            allow: .member("os-security-groups:rule:create"), createRule, status: 200, until: "2.36"),
        .delete(
            "/os-security-group-rules/{id}", "Delete a security group rule", of: OwnScope.from,
            allow: .member("os-security-groups:rule:delete"), deleteRule, status: 202, until: "2.36"),
    ]

    private static let item = "/os-security-groups/{id}"
}

// MARK: - Groups

extension SecurityGroupProxy {
    private static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let network = request.compute.network.acting(as: request.caller)
        let isWide = request.caller.has(role: "admin") && request.query("all_tenants") != nil
        var all =
            isWide
            ? try await network.document("GET", "/security-groups", nil, requestID: request.id)["security_groups"]?
                .array ?? []
            : try await network.securityGroupDocuments(project: scope.projectID, requestID: request.id)
        all.sort { $0["name"]?.string ?? "" < $1["name"]?.string ?? "" }
        if let offset = request.query("offset").flatMap({ Int($0) }) { all = Array(all.dropFirst(max(0, offset))) }
        if let limit = request.query("limit").flatMap({ Int($0) }) { all = Array(all.prefix(max(0, limit))) }
        let names = SecurityGroupNames(all)
        return .list("security_groups", all.map { group in { write(group, names, to: &$0) } })
    }

    private static func show(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        try await reply(try await group(uuid(request, "id"), request), request)
    }

    private static func create(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let members = try members(request)
        let made = try await network("POST", "/security-groups", ["security_group": members], request)
        return try await reply(made["security_group"] ?? nil, request)
    }

    private static func update(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let id = try uuid(request, "id")
        let members = try members(request)
        let changed = try await network("PUT", "/security-groups/\(id)", ["security_group": members], request)
        return try await reply(changed["security_group"] ?? nil, request)
    }

    private static func delete(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        try await network("DELETE", "/security-groups/\(uuid(request, "id"))", nil, request)
        return .empty
    }

    private static func members(_ request: Request) throws(Fault) -> JSON {
        var body = try request.body("security_group")
        let name = try body.need("name", .text(0...255))
        let description = try body.need("description", .text(0...255))
        try body.end()
        return ["name": .string(name), "description": .string(description)]
    }

    private static func group(_ id: String, _ request: Request) async throws(Fault) -> JSON {
        try await network("GET", "/security-groups/\(id)", nil, request)["security_group"] ?? nil
    }

    private static func reply(_ group: JSON, _ request: Request) async throws(Fault) -> Reply {
        let names = try await names(of: [group], request)
        return .object("security_group") { write(group, names, to: &$0) }
    }

    /// What the groups that rules refer to are called.
    static func names(of groups: [JSON], _ request: Request) async throws(Fault) -> SecurityGroupNames {
        var names = SecurityGroupNames(groups)
        for id in names.unknown(in: groups) {
            do throws(Fault) { names.add(try await group(id, request)) } catch {
                guard error.status == 404 else { throw error }
            }
        }
        return names
    }
}

// MARK: - Rules

extension SecurityGroupProxy {
    private static func createRule(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let draft = try SecurityGroupRuleMembers(request)
        let parent = try await group(draft.parent, request)
        var names = SecurityGroupNames([parent])
        if let id = draft.remoteGroup { names.add(try await group(id, request)) }
        let made = try await network(
            "POST", "/security-group-rules", ["security_group_rule": draft.document], request)
        return .object("security_group_rule") { write(rule: made["security_group_rule"] ?? nil, names, to: &$0) }
    }

    private static func deleteRule(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        try await network("DELETE", "/security-group-rules/\(uuid(request, "id"))", nil, request)
        return .empty
    }

    private static func uuid(_ request: Request, _ name: String) throws(Fault) -> String {
        let id = request[name]
        guard Hex.isUUID(id) else { throw .badRequest("Security group id should be uuid") }
        return id
    }

    /// Network's refusals with the statuses that Compute gave them: what is in use is a bad request here, and what
    /// exceeds a quota is forbidden.
    @discardableResult
    private static func network(
        _ method: String, _ path: String, _ body: JSON?, _ request: Request
    ) async throws(Fault) -> JSON {
        do throws(Fault) {
            return try await request.compute.network.acting(as: request.caller)
                .document(method, path, body, requestID: request.id)
        } catch {
            guard error.status == 409 else { throw error }
            throw error.message.contains("uota") ? .forbidden(error.message) : .badRequest(error.message)
        }
    }
}

// MARK: - Wire

extension SecurityGroupProxy {
    static func write(_ group: JSON, _ names: SecurityGroupNames, to view: inout View) {
        view.put("id", group["id"] ?? "")
        view.put("name", group["name"] ?? "")
        view.put("description", group["description"] ?? "")
        view.put("tenant_id", group["project_id"] ?? "")
        let rules = (group["security_group_rules"]?.array ?? []).filter { rule in
            rule["direction"] == "ingress" && rule["remote_group_id"]?.string.map(names.knows) != false
        }
        view.list("rules", rules) { write(rule: $1, names, to: &$0) }
    }

    private static func write(rule: JSON, _ names: SecurityGroupNames, to view: inout View) {
        view.put("id", rule["id"] ?? "")
        view.put("parent_group_id", rule["security_group_id"] ?? "")
        let kind = rule["protocol"]?.string
        view.put("ip_protocol", kind)
        let (low, high) = (rule["port_range_min"]?.integer, rule["port_range_max"]?.integer)
        if let kind, low == nil, high == nil {
            let hasPorts = kind == "tcp" || kind == "udp"
            view.put("from_port", hasPorts ? 1 : -1)
            view.put("to_port", hasPorts ? 65_535 : -1)
        } else {
            view.put("from_port", low)
            view.put("to_port", high)
        }
        let remote = rule["remote_group_id"]?.string.flatMap { names[$0] }
        view.put(
            "group", remote.map { ["tenant_id": .string($0.projectID), "name": .string($0.name)] } ?? JSON.object([:]))
        let prefix = rule["remote_ip_prefix"]?.string ?? (rule["ethertype"] == "IPv6" ? "::/0" : "0.0.0.0/0")
        view.put("ip_range", remote == nil ? ["cidr": .string(prefix)] : JSON.object([:]))
    }
}

/// Names and projects of security groups by their ids.
struct SecurityGroupNames: Sendable {
    private var known: [String: (name: String, projectID: String)] = [:]

    init(_ groups: [JSON]) {
        for group in groups { add(group) }
    }

    mutating func add(_ group: JSON) {
        known[group["id"]?.string ?? ""] = (group["name"]?.string ?? "", group["project_id"]?.string ?? "")
    }

    subscript(_ id: String) -> (name: String, projectID: String)? { known[id] }

    func knows(_ id: String) -> Bool { known[id] != nil }

    /// The groups that rules refer to and that are not known yet.
    func unknown(in groups: [JSON]) -> Set<String> {
        let rules = groups.flatMap { $0["security_group_rules"]?.array ?? [] }
        return Set(rules.compactMap { $0["remote_group_id"]?.string }).subtracting(known.keys)
    }
}

/// A rule as asked for in Compute's words.
private struct SecurityGroupRuleMembers {
    let parent: String
    let remoteGroup: String?
    private let cidr: String?
    private let kind: String?
    private let low: Int?
    private let high: Int?

    init(_ request: Request) throws(Fault) {
        var body = try request.body("security_group_rule")
        parent = try body.need("parent_group_id", .uuid)
        remoteGroup = try body.option("group_id", .uuid)
        let kind = try body.option("ip_protocol", .text(0...255))?.lowercased()
        let from = try body.option("from_port", .integer(-1...65_535))
        let to = try body.option("to_port", .integer(-1...65_535))
        let cidr = try body.option("cidr", .text(0...255))
        try body.end()
        self.kind = kind
        self.cidr = remoteGroup == nil ? cidr ?? "0.0.0.0/0" : nil
        guard let kind, let from, let to else {
            guard remoteGroup != nil else { throw .badRequest("Not enough parameters to build a valid rule.") }
            (low, high) = (from, to)
            return
        }
        switch kind {
        case "tcp", "udp":
            guard from <= to else {
                throw .badRequest("Invalid port range \(from):\(to). Former value cannot be greater than the later")
            }
            guard from >= 1 else {
                throw .badRequest(
                    "Invalid port range \(from):\(to). Valid \(kind.uppercased()) ports should be between 1-65535")
            }
        case "icmp":
            guard from <= 255, to <= 255 else {
                throw .badRequest("Invalid port range \(from):\(to). For ICMP, the type:code must be valid")
            }
        default: throw .badRequest("Invalid IP protocol \(kind).")
        }
        (low, high) = (from < 0 ? nil : from, to < 0 ? nil : to)
    }

    /// The same in Network's words.
    var document: JSON {
        var rule: JSONObject = [
            "direction": "ingress", "security_group_id": .string(parent),
            "ethertype": cidr?.contains(":") == true ? "IPv6" : "IPv4",
        ]
        if let kind, !kind.isEmpty { rule["protocol"] = .string(kind) }
        if let low { rule["port_range_min"] = .integer(Int64(low)) }
        if let high { rule["port_range_max"] = .integer(Int64(high)) }
        if let remoteGroup { rule["remote_group_id"] = .string(remoteGroup) }
        if let cidr { rule["remote_ip_prefix"] = .string(cidr) }
        return .object(rule)
    }
}
