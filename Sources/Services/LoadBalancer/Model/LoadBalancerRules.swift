// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Upstream's rules and their default checks: Keystone's default roles, and Octavia's own roles beside them.
enum LoadBalancerRules {
    static let base: KeyValuePairs<String, String> = [
        "context_is_admin": "role:admin or role:load-balancer_admin",
        "project-member": "role:member and project_id:%(project_id)s",
        "project-reader": "role:reader and project_id:%(project_id)s",
        "service": "role:service",
        "load-balancer:owner": "project_id:%(project_id)s",
        "load-balancer:admin": "role:admin or role:load-balancer_admin",
        "load-balancer:global_observer": "role:admin or role:load-balancer_global_observer",
        "load-balancer:member_and_owner":
            "rule:project-member or (role:load-balancer_member and rule:load-balancer:owner)",
        "load-balancer:observer_and_owner":
            "rule:project-reader or (role:load-balancer_observer and rule:load-balancer:owner)",
        "load-balancer:quota-admin": "role:admin or role:load-balancer_quota_admin",
        "load-balancer:read":
            "rule:load-balancer:observer_and_owner or rule:load-balancer:global_observer or "
            + "rule:load-balancer:member_and_owner or rule:load-balancer:admin",
        "load-balancer:read-global": "rule:load-balancer:global_observer or rule:load-balancer:admin",
        "load-balancer:write": "rule:load-balancer:member_and_owner or rule:load-balancer:admin",
        "load-balancer:read-quota":
            "rule:load-balancer:observer_and_owner or rule:load-balancer:global_observer or "
            + "rule:load-balancer:member_and_owner or rule:load-balancer:quota-admin or rule:load-balancer:admin",
        "load-balancer:read-quota-global":
            "rule:load-balancer:global_observer or rule:load-balancer:quota-admin or rule:load-balancer:admin",
        "load-balancer:write-quota": "rule:load-balancer:quota-admin or rule:load-balancer:admin",
    ]

    /// Rules that handlers ask for what a route's own rule does not settle.
    static let members: KeyValuePairs<String, String> = [
        "loadbalancer:get_all": "rule:load-balancer:read", "listener:get_all": "rule:load-balancer:read",
        "pool:get_all": "rule:load-balancer:read", "healthmonitor:get_all": "rule:load-balancer:read",
        "l7policy:get_all": "rule:load-balancer:read", "quota:get_all": "rule:load-balancer:read-quota",
        "loadbalancer:get_all-global": "rule:load-balancer:read-global",
        "listener:get_all-global": "rule:load-balancer:read-global",
        "pool:get_all-global": "rule:load-balancer:read-global",
        "healthmonitor:get_all-global": "rule:load-balancer:read-global",
        "l7policy:get_all-global": "rule:load-balancer:read-global",
        "quota:get_all-global": "rule:load-balancer:read-quota-global",
        "loadbalancer:post:vip_sg_ids": "rule:load-balancer:write",
        "loadbalancer:put:vip_sg_ids": "rule:load-balancer:write",
    ]
}

extension Rule {
    static func read(_ name: String) -> Rule { Rule(name, "rule:load-balancer:read") }
    static func write(_ name: String) -> Rule { Rule(name, "rule:load-balancer:write") }
    static func operate(_ name: String) -> Rule { Rule(name, "rule:load-balancer:admin") }
    /// Lists are for whoever has a project; what is in them is narrowed by rules of their own (`get_all-global`).
    static var listing: Rule { Rule("list", "@") }
}
