// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Roles on the system as a whole, as opposed to a project or a domain.
enum SystemGrants: Resource {
    static let routes: [Route] = routes(of: .user) + routes(of: .group)

    private static func routes(of actor: Assignment.Actor) -> [Route] {
        let path = "/system/\(actor)s/{\(actor)_id}/roles"
        let role = path + "/{role_id}"
        let place = Assignment.find(.system, actor, hasRole: false)
        let find = Assignment.find(.system, actor)
        let rule = "system_grant_for_\(actor)"
        let list: Rule<Found<Grant>> = .inspector("list_system_grants_for_\(actor)")
        let check: Rule<Found<Grant>> = .inspector("check_" + rule)
        let create: Rule<Found<Grant>> = .administrator("create_" + rule)
        let revoke: Rule<Found<Grant>> = .administrator("revoke_" + rule)
        return [
            .get(path, "List system roles of \(actor)", of: place, allow: list, Assignment.list),
            .put(role, "Assign system role to \(actor)", of: find, allow: create, Assignment.assign, status: 204),
            .get(role, "Check system role of \(actor)", of: find, allow: check, Assignment.check, status: 204),
            .delete(role, "Unassign system role from \(actor)", of: find, allow: revoke, Assignment.unassign),
        ]
    }
}
