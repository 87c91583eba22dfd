// SPDX-License-Identifier: Apache-2.0
package import JSON

/// What a rule is judged on: anything that can be asked for its attributes by the names that policy files use.
package protocol PolicyTarget: Sendable {
    /// The value behind `%(name)s`: `project_id`, `user_id`, `target.user.domain_id`, `network:tenant_id`.
    /// Nil means "no such attribute", and a check that needs it fails.
    func policyAttribute(_ name: String) -> JSON?
}

/// The target of rules about nothing in particular.
package struct NoTarget: PolicyTarget {
    package init() {}
    package func policyAttribute(_ name: String) -> JSON? { nil }
}

extension Dictionary: PolicyTarget where Key == String, Value == JSON {
    package func policyAttribute(_ name: String) -> JSON? { self[name] }
}

/// Rows that belong to a project, a user or both, when nothing else about them matters.
package struct OwnedTarget: PolicyTarget {
    package var projectID: String?
    package var userID: String?

    package init(projectID: String? = nil, userID: String? = nil) {
        self.projectID = projectID
        self.userID = userID
    }

    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id": projectID.map(JSON.string)
        case "user_id": userID.map(JSON.string)
        default: nil
        }
    }
}
