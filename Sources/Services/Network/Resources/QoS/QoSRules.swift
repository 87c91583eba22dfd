// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// One limit, mark or guarantee of a QoS policy.
package struct QoSRule: Record {
    package static let table = "network_qos_rules"

    package enum Kind: String, Codable, SQLBindable, Sendable, CaseIterable {
        case bandwidthLimit = "bandwidth_limit"
        case dscpMarking = "dscp_marking"
        case minimumBandwidth = "minimum_bandwidth"
        case packetRateLimit = "packet_rate_limit"
        case minimumPacketRate = "minimum_packet_rate"
    }

    let id: String, policyID: String
    let type: Kind
    /// Empty for a mark, which goes one way only.
    var direction: String
    /// In kilobits or kilopackets a second; a mark's own number.
    var amount: Int
    var burst: Int
}

extension QoSRule: Resource {
    package static let routes: [Route] = Kind.allCases.flatMap { $0.routes }

    package static let migrations: [Migration] = [
        """
        2026-11-29 network qos rules
        CREATE TABLE network_qos_rules (
            id VARCHAR(36) PRIMARY KEY, policy_id VARCHAR(36) NOT NULL, type VARCHAR(32) NOT NULL,
            direction VARCHAR(7) NOT NULL, amount BIGINT NOT NULL, burst BIGINT NOT NULL);
        CREATE INDEX network_qos_rules_by_policy ON network_qos_rules (policy_id)
        """
    ]

    static func notFound(_ id: String, _ policy: String) -> Fault {
        .neutron(404, "QosRuleNotFound", "QoS rule \(id) for policy \(policy) could not be found.")
    }
}

/// A rule that is named without its policy, with the policy for the rules on it.
struct AliasedQoSRule: PolicyTarget {
    let policy: QoSPolicy
    let rule: QoSRule

    func policyAttribute(_ name: String) -> JSON? { policy.policyAttribute(name) }
}

extension QoSRule.Kind {
    var noun: String { "\(rawValue)_rule" }
    private var words: String { rawValue.map { $0 == "_" ? " " : String($0) }.joined() + " rule" }
    private var hasAlias: Bool { self != .packetRateLimit }

    fileprivate var routes: [Route] {
        let read = "(rule:admin_only) or (role:reader and rule:ext_parent_owner)"
        let write = "(rule:admin_only) or (role:manager and rule:ext_parent_owner)"
        let (path, find) = ("/qos/policies/{id}/\(noun)s", QoSPolicy.visible)
        let own: [Route] = [
            .get(path, "List \(words)s of QoS policy", of: find, allow: .rule("get_policy_\(noun)", read), list),
            .post(
                path, "Create \(words)", of: QoSPolicy.whosever, allow: .rule("create_policy_\(noun)", write), create),
            .get(path + "/{rule}", "Show \(words)", of: find, allow: .rule("get_policy_\(noun)", read), show),
            .put(path + "/{rule}", "Update \(words)", of: find, allow: .rule("update_policy_\(noun)", write), update),
            .delete(
                path + "/{rule}", "Delete \(words)", of: find, allow: .rule("delete_policy_\(noun)", write), delete),
        ]
        guard hasAlias else { return own }
        let alias = "/qos/alias_\(noun)s/{rule}"
        return own + [
            .get(alias, "Show \(words) by its id", of: aliased, allow: .rule("get_alias_\(noun)", read), showAlias),
            .put(
                alias, "Update \(words) by its id", of: aliased, allow: .rule("update_alias_\(noun)", write),
                updateAlias),
            .delete(
                alias, "Delete \(words) by its id", of: aliased, allow: .rule("delete_alias_\(noun)", write),
                deleteAlias),
        ]
    }

    // MARK: Handlers

    private func list(_ request: Request, _ policy: QoSPolicy) async throws(Fault) -> Reply {
        var rules = try await request.database.all(
            QoSRule.self, "policy_id = \(policy.id) AND type = \(self) ORDER BY id")
        let wanted = [("id", \QoSRule.id)]
        for (name, path) in wanted {
            let values = request.queryAll(name)
            if !values.isEmpty { rules.removeAll { !values.contains($0[keyPath: path]) } }
        }
        let names = members
        for (name, path) in [(names.amount, \QoSRule.amount), (names.burst, \QoSRule.burst)] {
            let values = name.map { request.queryAll($0) } ?? []
            if !values.isEmpty { rules.removeAll { !values.contains("\($0[keyPath: path])") } }
        }
        let directions = request.queryAll("direction")
        if !directions.isEmpty { rules.removeAll { !directions.contains($0.direction) } }
        return .list("\(noun)s", rules.map { rule in { rule.write(&$0) } })
    }

    private func found(_ request: Request, _ policy: QoSPolicy) async throws(Fault) -> QoSRule {
        let id = request["rule"]
        return try await request.database.one(
            QoSRule.self, "id = \(id) AND policy_id = \(policy.id) AND type = \(self)",
            or: QoSRule.notFound(id, policy.id))
    }

    private func show(_ request: Request, _ policy: QoSPolicy) async throws(Fault) -> Reply {
        let rule = try await found(request, policy)
        return .object(noun) { rule.write(&$0) }
    }

    private func create(_ request: Request, _ policy: QoSPolicy) async throws(Fault) -> Reply {
        var body = try request.body(noun)
        let rule = try read(&body, into: nil, policy.id, request)
        try body.end()
        let limits = body.has("direction")
        try await request.database.transaction { transaction throws(Fault) in
            try rule.check(transaction, isNew: true, comparesAll: limits)
            try transaction.insert(rule)
            try policy.touch(transaction, after: self, request)
        }
        return .object(noun) { rule.write(&$0) }
    }

    private func update(_ request: Request, _ policy: QoSPolicy) async throws(Fault) -> Reply {
        let rule = try await found(request, policy)
        return try await change(request, policy, rule, under: noun)
    }

    private func change(
        _ request: Request, _ policy: QoSPolicy, _ rule: QoSRule, under key: String
    ) async throws(Fault) -> Reply {
        var body = try request.body(key)
        let changed = try read(&body, into: rule, policy.id, request)
        try body.end()
        try await request.database.transaction { transaction throws(Fault) in
            try changed.check(transaction, isNew: false, comparesAll: false)
            try transaction.replace(
                changed, where: "id = \(changed.id)", or: QoSRule.notFound(changed.id, policy.id))
            try policy.touch(transaction, after: self, request)
        }
        return .object(key) { changed.write(&$0) }
    }

    private func delete(_ request: Request, _ policy: QoSPolicy) async throws(Fault) -> Reply {
        let rule = try await found(request, policy)
        return try await remove(request, policy, rule)
    }

    private func remove(_ request: Request, _ policy: QoSPolicy, _ rule: QoSRule) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(QoSRule.self, "id = \(rule.id)", or: QoSRule.notFound(rule.id, policy.id))
            try policy.touch(transaction, after: self, request)
        }
        return .empty
    }

    // MARK: By the rule's id alone

    private func aliased(_ request: Request) async throws(Fault) -> AliasedQoSRule {
        let id = request["rule"]
        let rule = try await request.database.one(
            QoSRule.self, "id = \(id) AND type = \(self)", or: QoSRule.notFound(id, ""))
        let policy = try await request.database.one(
            QoSPolicy.self, "id = \(rule.policyID) AND (\(sql: request.scope(QoSPolicy.self)))",
            or: QoSRule.notFound(id, ""))
        return AliasedQoSRule(policy: policy, rule: rule)
    }

    private func showAlias(_ request: Request, _ found: AliasedQoSRule) async throws(Fault) -> Reply {
        .object("alias_\(noun)") { found.rule.write(&$0) }
    }

    private func updateAlias(_ request: Request, _ found: AliasedQoSRule) async throws(Fault) -> Reply {
        try await change(request, found.policy, found.rule, under: "alias_\(noun)")
    }

    private func deleteAlias(_ request: Request, _ found: AliasedQoSRule) async throws(Fault) -> Reply {
        try await remove(request, found.policy, found.rule)
    }

    // MARK: Wire

    fileprivate var members: (amount: String?, burst: String?, hasDirection: Bool) {
        switch self {
        case .bandwidthLimit: ("max_kbps", "max_burst_kbps", true)
        case .dscpMarking: ("dscp_mark", nil, false)
        case .minimumBandwidth: ("min_kbps", nil, true)
        case .packetRateLimit: ("max_kpps", "max_burst_kpps", true)
        case .minimumPacketRate: ("min_kpps", nil, true)
        }
    }

    /// The members of a new rule, or of one that is changed.
    private func read(
        _ body: inout Body, into rule: QoSRule?, _ policy: String, _ request: Request
    ) throws(Fault) -> QoSRule {
        var rule =
            rule
            ?? QoSRule(
                id: request.ids.uuid(), policyID: policy, type: self, direction: members.hasDirection ? "egress" : "",
                amount: -1, burst: 0)
        let amount = members.amount ?? ""
        let format: Format<Int> = self == .dscpMarking ? .dscp : .whole(0...Int(Int32.max))
        if rule.amount < 0 {
            rule.amount = try body.need(amount, format)
        } else {
            rule.amount = try body.take(amount, format) ?? rule.amount
        }
        if let burst = members.burst {
            rule.burst = try body.take(burst, .whole(0...Int(Int32.max))) ?? rule.burst
        }
        if members.hasDirection {
            let words: Format<String> =
                self == .minimumPacketRate ? .among("egress", "ingress", "any") : .among("egress", "ingress")
            rule.direction = try body.take("direction", words) ?? rule.direction
        }
        body.ignore("project_id", "tenant_id")
        return rule
    }
}

extension Format where Value == Int {
    /// The code points that have a name (RFC 2474, 2597, 3246).
    fileprivate static var dscp: Format {
        let valid: Set = [0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 44, 46, 48, 56]
        return Format<Int>.whole(0...Int(Int32.max)).map { number throws(Misfit) in
            guard valid.contains(number) else {
                throw Misfit("\(number) is not in [\(valid.sorted().map(String.init).joined(separator: ", "))]")
            }
            return number
        }
    }
}

extension QoSRule {
    func write(_ view: inout View) {
        let members = type.members
        view.put("id", id)
        if let amount = members.amount { view.put(named: amount, self.amount) }
        if let burst = members.burst { view.put(named: burst, self.burst) }
        if members.hasDirection { view.put("direction", direction) }
    }
}
