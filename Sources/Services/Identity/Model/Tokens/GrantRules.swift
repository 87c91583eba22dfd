// SPDX-License-Identifier: Apache-2.0

/// The default checks of grants, put together: somebody with a role in the domain that both sides belong to.
enum GrantRules {
    static let list = "((role:reader and system_scope:all) or \(inDomain(of: "reader")))"
    static let check =
        "(role:reader and system_scope:all) or (\(inDomain(of: "reader"))) and \(ownRole)"
    static let change =
        "(\(inDomain(of: "admin"))) and \(ownRole) or (\(inDomain(of: "manager"))) and rule:domain_managed_target_role"

    private static let ownRole = "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"

    private static func inDomain(of role: String) -> String {
        ["user", "group"].flatMap { actor in
            ["project.domain_id", "domain.id"].map { target in
                "(role:\(role) and domain_id:%(target.\(actor).domain_id)s and domain_id:%(target.\(target))s)"
            }
        }.joined(separator: " or ")
    }
}
