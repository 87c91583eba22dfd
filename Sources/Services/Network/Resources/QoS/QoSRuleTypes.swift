// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The kinds of QoS rules that can be enforced here.
package enum QoSRuleTypes: Resource {
    package static let routes: [Route] = [
        .get(
            "/qos/rule-types", "List QoS rule types", of: Anything.from, allow: .rule("get_rule_type", "role:reader"),
            list),
        .get(
            "/qos/rule-types/{type}", "Show QoS rule type", of: Anything.from,
            allow: .rule("get_rule_type", "role:reader"), show),
    ]

    private static func list(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let all = request.query("all_rules").flatMap { Format<Bool>.truth($0) } ?? false
        let kept = try await QoSBinding.kept(request.database)
        let kinds = QoSRule.Kind.allCases.filter { all || kept.contains($0) }
        let wanted = request.queryAll("type")
        return .list(
            "rule_types",
            kinds.filter { wanted.isEmpty || wanted.contains($0.rawValue) }.map { kind in
                { $0.put("type", kind.rawValue) }
            })
    }

    private static func show(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let name = request["type"]
        guard request.seesAll else { throw .neutron(403, "NotAuthorized", "Not authorized.") }
        guard let kind = QoSRule.Kind(rawValue: name) else {
            throw .httpBadRequest("Invalid input for rule_type. Reason: '\(name)' is no type of QoS rule.")
        }
        let kept = try await QoSBinding.kept(request.database)
        return .object("rule_type") { view in
            view.put("type", name)
            view.list("drivers", kept.contains(kind) ? ["ovn"] : []) { view, driver in
                view.put("name", driver)
                view.list("supported_parameters", kind.parameters) { $1.write(&$0) }
            }
        }
    }

    fileprivate struct Parameter {
        let name: String
        var choices: JSON?

        func write(_ view: inout View) {
            view.put("parameter_name", name)
            view.put("parameter_type", choices == nil ? "range" : "choices")
            if let choices {
                view.put("parameter_values", choices)
            } else {
                view.nest("parameter_values") {
                    $0.put("start", 0)
                    $0.put("end", Int(Int32.max))
                }
            }
        }
    }
}

extension QoSRule.Kind {
    fileprivate var parameters: [QoSRuleTypes.Parameter] {
        let directions = QoSRuleTypes.Parameter(name: "direction", choices: ["ingress", "egress"])
        return switch self {
        case .bandwidthLimit:
            [QoSRuleTypes.Parameter(name: "max_kbps"), QoSRuleTypes.Parameter(name: "max_burst_kbps"), directions]
        case .dscpMarking:
            [
                QoSRuleTypes.Parameter(
                    name: "dscp_mark",
                    choices: [
                        0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 44, 46, 48, 56,
                    ])
            ]
        case .minimumBandwidth: [QoSRuleTypes.Parameter(name: "min_kbps"), directions]
        case .minimumPacketRate:
            [
                QoSRuleTypes.Parameter(name: "min_kpps"),
                QoSRuleTypes.Parameter(name: "direction", choices: ["ingress", "egress", "any"]),
            ]
        case .packetRateLimit: []
        }
    }
}
