// SPDX-License-Identifier: Apache-2.0
package import Base

/// Who asks: what a valid token says about its bearer. Empty ids mean "nobody has proved who they are".
package struct Caller: Sendable, Equatable {
    package var userID = ""
    package var userName = ""
    package var userDomainID = ""
    package var userDomainName = ""
    package var projectID: String?
    package var projectName: String?
    package var projectDomainID: String?
    package var projectDomainName: String?
    /// The domain that a domain-scoped token is for; nil for a project's, whatever domain that lives in.
    package var domainID: String?
    package var domainName: String?
    package var isSystem = false
    package var roles: [String] = []
    package var roleIDs: [String] = []
    /// The audit id: names the token in logs and revocations without giving it away.
    package var tokenID = ""
    package var methods: [String] = []
    package var issuedAt = Timestamp(microseconds: 0)
    package var expiresAt = Timestamp(microseconds: 0)
    package var isAdminProject = true
    package var trustID: String?
    package var applicationCredentialID: String?
    /// Whether the application credential behind the token may be used to make further ones.
    package var isUnrestricted = false
    /// The only calls that the token is good for; nil is all.
    package var accessRules: [AccessRule]?
    /// Roles of the service that sent the request along (`X-Service-Token`); empty when none did.
    package var serviceRoles: [String] = []
    package var serviceUserID: String?
    package var serviceProjectID: String?
    /// The token that was shown, for calls on to services of other programs; nil of callers that no request brought.
    package var token: ShownToken?

    package init() {}

    package init(
        userID: String, userName: String = "", userDomainID: String = "default", userDomainName: String = "Default",
        projectID: String? = nil, projectName: String? = nil, projectDomainID: String? = nil,
        projectDomainName: String? = nil, domainID: String? = nil, domainName: String? = nil, isSystem: Bool = false,
        roles: [String] = [], roleIDs: [String] = []
    ) {
        self.userID = userID
        self.userName = userName
        self.userDomainID = userDomainID
        self.userDomainName = userDomainName
        self.projectID = projectID
        self.projectName = projectName
        self.projectDomainID = projectDomainID
        self.projectDomainName = projectDomainName
        self.domainID = domainID
        self.domainName = domainName
        self.isSystem = isSystem
        self.roles = roles
        self.roleIDs = roleIDs
    }

    /// No token at all: has no id and no role, so only rules that let anybody in accept it.
    package static let nobody = Caller()

    package var isNobody: Bool { userID.isEmpty }

    /// The scope as oslo.policy sees it: neither system nor domain counts as project, an unscoped token included.
    package var scope: TokenScopes {
        if isSystem { return .system }
        return domainID == nil ? .project : .domain
    }

    /// Whether the caller holds the role; roles are compared without regard to case.
    package func has(role: String) -> Bool { roles.contains { $0.equalsIgnoringCase(role) } }
}

/// A token as it was shown to us. It is as good as a password: printed, it says nothing.
package struct ShownToken: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }
    package var description: String { "***" }
    package var debugDescription: String { description }
}

/// What a token may be for, as a set: a rule states which of them it accepts, and none stated means any.
package struct TokenScopes: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let project = TokenScopes(rawValue: 1)
    package static let domain = TokenScopes(rawValue: 2)
    package static let system = TokenScopes(rawValue: 4)
    package static let any: TokenScopes = []

    /// Upstream's words, in upstream's order.
    package var names: [String] {
        [("system", TokenScopes.system), ("domain", .domain), ("project", .project)].filter { contains($0.1) }.map(\.0)
    }

    func accepts(_ scope: TokenScopes) -> Bool { isEmpty || contains(scope) }
}

/// Whoever can say whose token it is: the Identity room in its own process, its public API from elsewhere.
package protocol Authority: Sendable {
    /// The bearer of a valid token; 401 for any other text.
    func caller(token: String) async throws(Fault) -> Caller

    /// Grows whenever an answer given before may no longer hold (a revocation, a role taken away).
    func epoch() -> UInt64
}

extension Authority {
    package func epoch() -> UInt64 { 0 }
}
