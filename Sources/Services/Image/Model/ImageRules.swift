// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Upstream's rules (glance/policies) with today's defaults.
enum ImageRules {
    static let base: KeyValuePairs<String, String> = [
        "default": "",
        "context_is_admin": "role:admin",
        "service_api": "role:service or role:admin",
        "metadef_default": "",
        "metadef_admin": admin,
    ]

    /// Rules on deeds within a request, and those of deeds that this store has no use for.
    static let members: KeyValuePairs<String, String> = [
        "publicize_image": admin,
        "communitize_image": member,
        "download_from_store": download,
        "get_image_location": reader,
        "set_image_location": member,
        "copy_image": admin,
    ]

    static let admin = "rule:context_is_admin"
    static let addLocation =
        "rule:service_api or (role:member and project_id:%(project_id)s and project_id:%(owner)s)"
    static let member = "\(admin) or (role:member and project_id:%(project_id)s)"
    static let reader = "\(admin) or (role:reader and project_id:%(project_id)s)"
    static let create =
        "\(admin) or (role:member and project_id:%(project_id)s and project_id:%(owner)s)"
    static let show = "\(admin) or (role:reader and (\(anyTie)))"
    static let download = "\(admin) or (role:member and (\(anyTie)))"
    static let sharedReader =
        "\(admin) or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)"
    static let sharedMember = "\(admin) or (role:member and project_id:%(member_id)s)"

    private static let anyTie =
        "project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s "
        + "or 'public':%(visibility)s or 'shared':%(visibility)s"
}

extension Envelope {
    /// Glance's faults are webob's: a message, the code with its words, and the words.
    static let glance = Envelope(
        pageLinks: .glance, pages: .unlessJSON,
        refusal: { .forbidden("You are not authorized to complete \($0) action.") },
        document: { fault, title, _ in
            [
                "message": .string(fault.message), "code": .string("\(fault.status) \(title)"),
                "title": .string(title),
            ]
        })
}

extension Wording {
    /// Glance validates by JSON schema and names the schema; numbers and booleans must be themselves.
    static let glance = Wording(
        lenient: false,
        invalid: { member, value, reason in
            switch member {
            case "limit": .badRequest("limit param must be \(value?.integer == nil ? "an integer" : "positive")")
            case "sort_dir": .badRequest("Invalid sort direction: \(value?.string ?? "")")
            case "sort_key":
                .badRequest(
                    "Invalid sort key: \(value?.string ?? ""). It must be one of the following: "
                        + ImageQuery.sortable.map(\.name).joined(separator: ", ") + ".")
            default:
                .badRequest("Provided object does not match schema 'image': \(reason). Failed validating '\(member)'.")
            }
        },
        missing: { .badRequest("Provided object does not match schema: '\($0)' is a required property") },
        unknown: { .badRequest("Additional properties are not allowed: \($0.joined(separator: ", "))") })
}
