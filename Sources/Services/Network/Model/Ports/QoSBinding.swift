// SPDX-License-Identifier: Apache-2.0
import Kernel

/// That an object's traffic is under a QoS policy. Kept beside the objects: few have one.
struct QoSBinding: Record {
    static let table = "network_qos_bindings"
    let objectID: String
    /// `port`, `network`, `floatingip` or `router`, as messages word it.
    let objectType: String
    let policyID: String

    static let migration: Migration = """
        2026-11-29 network qos bindings
        CREATE TABLE network_qos_bindings (
            object_id VARCHAR(36) PRIMARY KEY, object_type VARCHAR(16) NOT NULL, policy_id VARCHAR(36) NOT NULL);
        CREATE INDEX network_qos_bindings_by_policy ON network_qos_bindings (policy_id)
        """

    /// What can be enforced; other rules are written down, and policies with them fit nothing.
    static let enforced: Set<QoSRule.Kind> = [.bandwidthLimit, .dscpMarking, .minimumBandwidth]

    /// Packet rates are a matter of Placement alone, as upstream: they fit when a host promises any.
    static func kept(_ transaction: Transaction) throws(Fault) -> Set<QoSRule.Kind> {
        kept(try transaction.count(NetworkAgent.self, promising))
    }

    static func kept(_ database: Database) async throws(Fault) -> Set<QoSRule.Kind> {
        kept(try await database.count(NetworkAgent.self, promising))
    }

    private static let promising: SQL = "promises_packets = 1"
    private static func kept(_ hosts: Int) -> Set<QoSRule.Kind> {
        hosts > 0 ? enforced.union([.minimumPacketRate]) : enforced
    }

    /// Puts an object under the policy asked for; nil says nothing, and `.some(nil)` takes it away.
    static func set(
        _ transaction: Transaction, _ type: String, _ id: String, to asked: String??, _ request: Request
    ) throws(Fault) {
        guard let asked else { return }
        try transaction.delete(QoSBinding.self, "object_id = \(id)")
        guard let policy = asked else { return }
        let visible: SQL = request.seesAll ? "1 = 1" : QoSPolicy.scope(request.project)
        _ = try transaction.one(
            QoSPolicy.self, "id = \(policy) AND (\(sql: visible))", or: QoSPolicy.notFound(policy))
        let rules = try transaction.all(QoSRule.self, "policy_id = \(policy)")
        let kept = rules.isEmpty ? [] : try kept(transaction)
        for rule in rules where !kept.contains(rule.type) {
            switch type {
            case "network":
                throw .neutron(
                    409, "QosRuleNotSupportedByNetwork",
                    "Rule \(rule.type.rawValue) is not supported by network \(id)")
            case "port":
                throw .neutron(
                    409, "QosRuleNotSupported", "Rule \(rule.type.rawValue) is not supported by port \(id)")
            default: break
            }
        }
        try transaction.insert(QoSBinding(objectID: id, objectType: type, policyID: policy))
    }

    static func forget(_ transaction: Transaction, _ id: String) throws(Fault) {
        try transaction.delete(QoSBinding.self, "object_id = \(id)")
    }

    /// The policies of objects, by object. Clouds without any pay for one look.
    static func policies(_ database: Database, of ids: [String]) async throws(Fault) -> [String: String] {
        guard !ids.isEmpty, try await database.count(QoSBinding.self) > 0 else { return [:] }
        let bindings = try await database.all(QoSBinding.self, "object_id", in: ids)
        return Dictionary(bindings.map { ($0.objectID, $0.policyID) }) { first, _ in first }
    }

    /// The policy that a project's new networks have.
    static func standard(_ transaction: Transaction, project: String) throws(Fault) -> String? {
        try transaction.first(QoSPolicy.self, "project_id = \(project) AND is_default = 1")?.id
    }
}

// MARK: - Rules that go together

extension QoSRule {
    /// Refuses a rule that contradicts or doubles another of its policy.
    func check(_ transaction: Transaction, isNew: Bool, comparesAll: Bool) throws(Fault) {
        for other in try transaction.all(QoSRule.self, "policy_id = \(policyID)") where other.id != id {
            if other.direction == direction {
                switch (type, other.type) {
                case (.bandwidthLimit, .minimumBandwidth) where other.amount > amount,
                    (.minimumBandwidth, .bandwidthLimit) where other.amount < amount:
                    throw conflict(amount, other, other.amount)
                default: break
                }
            }
            guard other.type == type else { continue }
            if type == .minimumPacketRate, (other.direction == "any") != (direction == "any") {
                throw .neutron(
                    409, "QoSRuleParameterConflict",
                    "Unable to add the rule with value \(direction) to the policy \(policyID) as the existing rule of "
                        + "type \(other.type.rawValue) has value \(other.direction).")
            }
            if other.direction == direction {
                throw .neutron(
                    409, "QoSRulesConflict",
                    "Rule \(type.rawValue) conflicts with rule \(other.id) which already exists in QoS Policy "
                        + "\(policyID).")
            }
        }
    }

    private func conflict(_ value: Int, _ other: QoSRule, _ held: Int) -> Fault {
        .neutron(
            409, "QoSRuleParameterConflict",
            "Unable to add the rule with value \(value) to the policy \(policyID) as the existing rule of type "
                + "\(other.type.rawValue) has value \(held).")
    }
}

extension QoSPolicy {
    /// Takes note that a rule of it came, changed or went.
    func touch(_ transaction: Transaction, after kind: QoSRule.Kind, _ request: Request) throws(Fault) {
        // Ports of a network that is under it are, too, unless they have a policy of their own.
        let bound: SQL = "(SELECT object_id FROM network_qos_bindings WHERE policy_id = \(id))"
        let under: SQL = """
            (id IN \(sql: bound) OR network_id IN \(sql: bound) \
            AND id NOT IN (SELECT object_id FROM network_qos_bindings))
            """
        if try !QoSBinding.kept(transaction).contains(kind),
            try !transaction.all(QoSRule.self, "policy_id = \(id) AND type = \(kind)").isEmpty,
            let port = try transaction.first(Port.self, under)
        {
            throw .neutron(409, "QosRuleNotSupported", "Rule \(kind.rawValue) is not supported by port \(port.id)")
        }
        if kind == .minimumBandwidth || kind == .minimumPacketRate {
            guard try transaction.count(Port.self, "(\(sql: under)) AND device_owner LIKE 'compute:%'") == 0 else {
                throw .neutron(
                    501, "NotImplementedError",
                    "Cannot update QoS policies/rules backed by resources tracked in Placement")
            }
        }
        try QoSPolicy.bump(transaction, id, at: request.now)
        try transaction.touch(.qosPolicy, id, request)
    }
}

// MARK: - Made real

extension TopologyKind {
    static let qosPolicy = QoSPolicySpec.kind
}

extension QoSPolicySpec: TopologySource {
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [QoSPolicySpec] {
        let policies = try await reader.rows(QoSPolicy.self, ids)
        let rules = Dictionary(
            grouping: try await reader.database.all(QoSRule.self, "policy_id", in: policies.map(\.id)),
            by: \.policyID)
        return policies.map { policy in
            var spec = QoSPolicySpec(id: policy.id, generation: policy.revisionNumber)
            for rule in rules[policy.id] ?? [] {
                for direction in [TrafficDirection.ingress, .egress]
                where rule.direction.isEmpty ? direction == .egress : rule.direction == direction.rawValue {
                    switch rule.type {
                    case .bandwidthLimit: spec[direction].limit = QoSLimit(kilobits: rule.amount, burst: rule.burst)
                    case .dscpMarking: spec[direction].mark = rule.amount
                    case .minimumBandwidth: spec[direction].minimum = rule.amount
                    case .packetRateLimit, .minimumPacketRate: break
                    }
                }
            }
            return spec
        }
    }
}
