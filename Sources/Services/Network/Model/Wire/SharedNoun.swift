// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A noun that its project can let others use: everybody (`shared`), or those its RBAC policies name.
package protocol SharedNoun: Noun {
    /// What RBAC policies call it (`object_type`).
    static var grantedAs: String { get }
    var shared: Bool { get set }
}

extension SharedNoun {
    package static var grantedAs: String { noun }

    package static func scope(_ project: String) -> SQL {
        "project_id = \(project) OR shared = 1 OR id IN (\(sql: RBACPolicy.granted(grantedAs, to: project)))"
    }

    package mutating func lend() { shared = true }

    package func policyAttribute(_ name: String) -> JSON? { sharedAttribute(name) }

    /// What a noun answers that has attributes of its own as well.
    func sharedAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id": .string(projectID)
        case "shared": .bool(shared)
        default: nil
        }
    }
}
