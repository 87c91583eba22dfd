// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Nova's rules that others refer to, and those on single members (nova/policies).
enum ComputeRules {
    static let base: KeyValuePairs<String, String> = [
        "context_is_admin": "role:admin",
        "admin_or_owner": "is_admin:True or project_id:%(project_id)s",
        "admin_api": "is_admin:True",
        "project_manager_api": "role:manager and project_id:%(project_id)s",
        "project_member_api": "role:member and project_id:%(project_id)s",
        "project_reader_api": "role:reader and project_id:%(project_id)s",
        "service_api": "role:service",
        "project_manager_or_admin": "rule:project_manager_api or rule:context_is_admin",
        "project_member_or_admin": "rule:project_member_api or rule:context_is_admin",
        "project_reader_or_admin": "rule:project_reader_api or rule:context_is_admin",
        "service_or_admin": "rule:service_api or rule:context_is_admin",
    ]

    static let members: KeyValuePairs<String, String> = [
        "servers:index:get_all_tenants": "rule:context_is_admin",
        "servers:detail:get_all_tenants": "rule:context_is_admin",
        "servers:allow_all_filters": "rule:context_is_admin",
        "servers:show:flavor-extra-specs": "rule:project_reader_or_admin",
        "servers:show:host_status": "rule:context_is_admin",
        "servers:show:host_status:unknown-only": "rule:context_is_admin",
        "servers:create:forced_host": "rule:context_is_admin",
        "/compute:servers:create:requested_destination": "rule:context_is_admin",
        "/compute:server:topology:host:index": "rule:context_is_admin",
        "servers:create:attach_network": "rule:project_member_or_admin",
        "servers:create:trusted_certs": "rule:project_member_or_admin",
        "servers:rebuild:trusted_certs": "rule:project_member_or_admin",
        "os-shelve:unshelve_to_host": "rule:context_is_admin",
        "servers:create:zero_disk_flavor": "rule:context_is_admin",
        "network:attach_external_network": "rule:context_is_admin",
        "os-extended-server-attributes": "rule:context_is_admin",
        "os-lock-server:unlock:unlock_override": "rule:context_is_admin",
        "os-instance-actions:events": "rule:context_is_admin",
        "os-instance-actions:events:details": "rule:context_is_admin",
        "os-migrations:index:all_projects": "rule:context_is_admin",
        "os-migrations:index:host": "rule:context_is_admin",
        "servers:migrations:index:host": "rule:context_is_admin",
        "os-migrate-server:migrate:host": "rule:context_is_admin",
        "os-migrate-server:migrate_live:host": "rule:context_is_admin",
        "os-volumes-attachments:swap": "rule:service_api",
        "limits:other_project": "rule:context_is_admin",
        "os-server-groups:index:all_projects": "rule:context_is_admin",
    ]
}

extension Rule {
    static func adminOnly(_ name: String) -> Rule { Rule(name, "rule:context_is_admin") }
    static func serviceOrAdmin(_ name: String) -> Rule { Rule(name, "rule:service_or_admin") }
}

extension Rule where Target: ProjectOwned {
    static func reader(_ name: String) -> Rule { Rule(name, "rule:project_reader_or_admin") }
    static func member(_ name: String) -> Rule { Rule(name, "rule:project_member_or_admin") }
}

extension Rule where Target: UserOwned {
    static func userOrAdmin(_ name: String) -> Rule {
        Rule(name, "(rule:context_is_admin) or user_id:%(user_id)s")
    }
}

extension Envelope {
    /// Nova's: `{"itemNotFound": {"code": 404, "message": "..."}}`, the key named after the status.
    static let nova = Envelope(
        pageLinks: .nova, ignoresFinalSlash: false,
        versionRefusal: { asked, history in
            Fault(
                406,
                "Version \(asked) is not supported by the API. Minimum is \(history.minimum) and maximum is "
                    + "\(history.maximum).")
        },
        admission: { http, route, version throws(Fault) in try QueryRules.admit(http.query, route, version) },
        refusal: { .forbidden("Policy doesn't allow \($0) to be performed.") },
        document: { fault, _, _ in
            let key = fault.code.isEmpty || fault.code.first?.isUppercase == true ? novaKey(fault.status) : fault.code
            return [key: ["code": .integer(Int64(fault.status)), "message": .string(fault.message)]]
        })

    private static func novaKey(_ status: Int) -> String {
        switch status {
        case 400: "badRequest"
        case 401: "unauthorized"
        case 403: "forbidden"
        case 404: "itemNotFound"
        case 405: "badMethod"
        case 406: "notAcceptable"
        case 409: "conflictingRequest"
        case 413: "overLimit"
        case 415: "badMediaType"
        case 429: "overLimit"
        case 501: "notImplemented"
        case 503: "serviceUnavailable"
        default: "computeFault"
        }
    }
}
