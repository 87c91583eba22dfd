// SPDX-License-Identifier: Apache-2.0
package import Access
package import Base
package import JSON

/// What a rule is judged on when it belongs to a project.
package protocol ProjectOwned: PolicyTarget {
    var projectID: String { get }
}

/// What a rule is judged on when it belongs to a user.
package protocol UserOwned: PolicyTarget {
    var userID: String { get }
}

extension ProjectOwned {
    package func policyAttribute(_ name: String) -> JSON? {
        name == "project_id" || name == "tenant_id" ? .string(projectID) : nil
    }
}

extension UserOwned {
    package func policyAttribute(_ name: String) -> JSON? {
        name == "user_id" ? .string(userID) : nil
    }
}

extension ProjectOwned where Self: UserOwned {
    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id": .string(projectID)
        case "user_id": .string(userID)
        default: nil
        }
    }
}

/// What a request asks for, read from it without looking anything up: a scope, or a draft of something to make.
///
/// Routes name it as `of: Draft.from`. The initializer itself cannot be named there: under
/// `NonisolatedNonsendingByDefault` the 6.3 compiler crashes on a reference to a synchronous one.
package protocol Asked: PolicyTarget {
    init(_ request: Request) throws(Fault)
}

extension Asked {
    package static func from(_ request: Request) async throws(Fault) -> Self { try Self(request) }
}

/// The caller's own project and user: the target of routes that name no other.
package struct OwnScope: ProjectOwned, UserOwned, Asked {
    package let projectID: String
    package let userID: String

    package init(_ request: Request) {
        projectID = request.caller.projectID ?? ""
        userID = request.caller.userID
    }
}

/// Nothing in particular: rules on it can only look at the caller.
package struct Anything: Asked {
    package init(_ request: Request) {}
    package init() {}
    package func policyAttribute(_ name: String) -> JSON? { nil }
}

/// A rule a route is guarded by: upstream's name (without the service's prefix) and upstream's default check.
///
/// Generic over the target, so that a rule about projects on something that has none does not compile.
package struct Rule<Target: PolicyTarget>: Sendable {
    package let name: String
    package let check: String
    /// What a token must be scoped to; nil is the service's own default.
    package let scopes: TokenScopes?
    /// Whether a request without a token may come this far.
    package let isOpen: Bool

    package init(_ name: String, _ check: String, scopes: TokenScopes? = nil, isOpen: Bool = false) {
        self.name = name
        self.check = check
        self.scopes = scopes
        self.isOpen = isOpen
    }

    /// The rule by upstream's name with its default check in oslo.policy's language.
    package static func rule(_ name: String, _ check: String, scopes: TokenScopes? = nil) -> Rule {
        Rule(name, check, scopes: scopes)
    }
    /// Only administrators.
    package static func admin(_ name: String) -> Rule { Rule(name, "role:admin") }
    /// Anybody with a valid token.
    package static func anyone(_ name: String) -> Rule { Rule(name, "@") }
    /// Services acting for themselves, and administrators.
    package static func service(_ name: String) -> Rule { Rule(name, "role:service or role:admin") }
    /// No token needed: discovery and logging in.
    package static var open: Rule { Rule("", "@", isOpen: true) }
}

extension Rule where Target: ProjectOwned {
    /// Readers of the project, and administrators.
    package static func projectReader(_ name: String) -> Rule {
        Rule(name, "(role:reader and project_id:%(project_id)s) or role:admin")
    }
    /// Members of the project, and administrators.
    package static func projectMember(_ name: String) -> Rule {
        Rule(name, "(role:member and project_id:%(project_id)s) or role:admin")
    }
    /// Managers of the project, and administrators.
    package static func projectManager(_ name: String) -> Rule {
        Rule(name, "(role:manager and project_id:%(project_id)s) or role:admin")
    }
}

extension Rule where Target: UserOwned {
    /// The user it belongs to, and administrators.
    package static func adminOrUser(_ name: String) -> Rule { Rule(name, "role:admin or user_id:%(user_id)s") }
}
