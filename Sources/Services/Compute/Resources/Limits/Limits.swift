// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A project's limits and what it has of them, in one answer for dashboards.
enum Limits: Resource {
    static let routes: [Route] = [
        .get("/limits", "Show limits", of: OwnScope.from, allow: .anyone("limits"), show)
    ]

    /// The member a limit is shown as, and until which version.
    private static let members: [(resource: String, name: StaticString, until: Microversion?)] = [
        ("ram", "maxTotalRAMSize", nil), ("instances", "maxTotalInstances", nil), ("cores", "maxTotalCores", nil),
        ("key_pairs", "maxTotalKeypairs", nil), ("floating_ips", "maxTotalFloatingIps", "2.36"),
        ("metadata_items", "maxServerMeta", nil), ("metadata_items", "maxImageMeta", "2.39"),
        ("injected_files", "maxPersonality", "2.57"), ("injected_file_content_bytes", "maxPersonalitySize", "2.57"),
        ("security_groups", "maxSecurityGroups", "2.36"), ("security_group_rules", "maxSecurityGroupRules", "2.36"),
        ("server_groups", "maxServerGroups", nil), ("server_group_members", "maxServerGroupMembers", nil),
    ]

    private static func show(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        var project = scope.projectID
        if let other = request.query("tenant_id") {
            let rule = "limits:other_project"
            guard request.may(rule, on: scope) else {
                throw request.index.envelope.refusal(request.index.ruleName(rule))
            }
            project = other
        }
        let all = try await Quotas.limits(of: project, Quotas.names("2.1"), request)
        let limits = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0.limit) })
        let used = try await Quotas.usage(project, request)
        return .object("limits") { view in
            view.put("rate", [JSON]())
            view.nest("absolute") { view in
                for (resource, name, until) in members { view.put(name, limits[resource] ?? -1, until: until) }
                view.put("totalRAMUsed", used["ram"] ?? 0)
                view.put("totalCoresUsed", used["cores"] ?? 0)
                view.put("totalInstancesUsed", used["instances"] ?? 0)
                view.put("totalFloatingIpsUsed", 0, until: "2.36")
                view.put("totalSecurityGroupsUsed", 0, until: "2.36")
                view.put("totalServerGroupsUsed", used["server_groups"] ?? 0)
            }
        }
    }
}
