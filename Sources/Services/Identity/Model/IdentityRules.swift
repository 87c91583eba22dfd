// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The rules that others refer to, and those that handlers judge, with upstream's names and defaults.
enum IdentityRules {
    static let base: KeyValuePairs<String, String> = [
        "admin_required": "role:admin or is_admin:1",
        "service_role": "role:service",
        "service_or_admin": "rule:admin_required or rule:service_role",
        "owner": "user_id:%(user_id)s",
        "admin_or_owner": "rule:admin_required or rule:owner",
        "token_subject": "user_id:%(target.token.user_id)s",
        "admin_or_token_subject": "rule:admin_required or rule:token_subject",
        "service_admin_or_token_subject": "rule:service_or_admin or rule:token_subject",
        "domain_managed_target_role":
            "'manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s",
    ]

    static let members: KeyValuePairs<String, String> = [
        "list_domain_roles": inspector, "get_domain_role": inspector, "create_domain_role": "rule:admin_required",
        "update_domain_role": "rule:admin_required", "delete_domain_role": "rule:admin_required",
        "list_role_assignments_for_tree": listAssignments,
    ]

    static let inspector = "rule:admin_required or (role:reader and system_scope:all)"
    static let listAssignments =
        "rule:admin_required or (role:reader and system_scope:all) or "
        + "(role:reader and domain_id:%(target.domain_id)s)"
}

extension Rule {
    /// Administrators, acting for the system or in a project.
    static func administrator(_ name: String) -> Rule {
        .rule(name, "rule:admin_required", scopes: [.system, .project])
    }

    /// Administrators, and readers of the whole system.
    static func inspector(_ name: String) -> Rule {
        .rule(name, IdentityRules.inspector, scopes: [.system, .project])
    }

    /// What `inspector` allows, and one thing more in any scope.
    static func inspector(_ name: String, or more: String) -> Rule {
        .rule(name, "(\(IdentityRules.inspector)) or \(more)")
    }

    /// Administrators, and one thing more in any scope.
    static func administrator(_ name: String, or more: String) -> Rule {
        .rule(name, "(rule:admin_required) or \(more)")
    }
}
