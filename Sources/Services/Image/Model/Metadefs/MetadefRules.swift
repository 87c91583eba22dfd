// SPDX-License-Identifier: Apache-2.0
internal import Kernel

extension ImageRules {
    /// Those on metadata definitions.
    static let metadefAdmin = "rule:metadef_admin"
    static let metadefReader =
        "\(admin) or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))"
}

extension Request {
    /// A rule on a deed within the request.
    func require(_ rule: String, on target: some PolicyTarget) throws(Fault) {
        guard may(rule, on: target) else { throw index.envelope.refusal(rule) }
    }
}
