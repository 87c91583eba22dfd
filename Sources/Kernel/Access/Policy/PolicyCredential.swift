// SPDX-License-Identifier: Apache-2.0

/// Everything that a policy may ask about a caller, by oslo.context's and Keystone's names. Bound when a policy is
/// loaded, so that judging a request looks no name up.
enum PolicyCredential: Sendable, Equatable {
    case userID, userName, userDomainID, userDomainName
    case projectID, projectName, projectDomainID, projectDomainName
    case domainID, domainName
    case systemScope, roles, methods, isAdmin, isAdminProject
    case trustID, applicationCredentialID
    case serviceRoles, serviceUserID, serviceProjectID
    /// Keystone's view of the same token: a member that the token lacks is missing there, where the others read "None".
    case tokenProjectID, tokenProjectName, tokenProjectDomainID, tokenProjectDomainName, tokenDomainID, tokenDomainName
    /// A name that no caller has; a check on it fails, as upstream's does.
    case unknown

    enum Value {
        case missing
        case none
        case text(String)
        case flag(Bool)
        case list([String])
    }

    static let byName: [String: PolicyCredential] = [
        "user_id": .userID, "user": .userID, "user_name": .userName, "user_domain_id": .userDomainID,
        "user_domain": .userDomainID, "user_domain_name": .userDomainName,
        "project_id": .projectID, "tenant_id": .projectID, "tenant": .projectID, "project": .projectID,
        "project_name": .projectName, "tenant_name": .projectName, "project_domain_id": .projectDomainID,
        "project_domain": .projectDomainID, "project_domain_name": .projectDomainName,
        "domain_id": .domainID, "domain": .domainID, "domain_name": .domainName,
        "system_scope": .systemScope, "system": .systemScope, "roles": .roles,
        "is_admin": .isAdmin, "is_admin_project": .isAdminProject,
        "trust_id": .trustID, "app_cred_id": .applicationCredentialID,
        "service_roles": .serviceRoles, "service_user_id": .serviceUserID, "service_project_id": .serviceProjectID,
        "token.user.id": .userID, "token.user.name": .userName, "token.user.domain.id": .userDomainID,
        "token.user.domain.name": .userDomainName, "token.project.id": .tokenProjectID,
        "token.project.name": .tokenProjectName,
        "token.project.domain.id": .tokenProjectDomainID,
        "token.project.domain.name": .tokenProjectDomainName,
        "token.domain.id": .tokenDomainID, "token.domain.name": .tokenDomainName, "token.roles.name": .roles,
        "token.methods": .methods,
    ]

    init(_ name: String) { self = PolicyCredential.byName[name] ?? .unknown }

    func value(of caller: Caller) -> Value {
        switch self {
        // Nobody's empty id is no id: it must not match a row that belongs to nobody.
        case .userID: caller.userID.isEmpty ? .missing : .text(caller.userID)
        case .userName: caller.userName.isEmpty ? .missing : .text(caller.userName)
        case .userDomainID: caller.userDomainID.isEmpty ? .missing : .text(caller.userDomainID)
        case .userDomainName: caller.userDomainName.isEmpty ? .missing : .text(caller.userDomainName)
        case .projectID: Value(caller.projectID)
        case .projectName: Value(caller.projectName)
        case .projectDomainID: Value(caller.projectDomainID)
        case .projectDomainName: Value(caller.projectDomainName)
        case .domainID: Value(caller.domainID)
        case .domainName: Value(caller.domainName)
        case .systemScope: caller.isSystem ? .text("all") : .none
        case .roles: .list(caller.roles)
        case .methods: .list(caller.methods)
        case .isAdminProject: .flag(caller.isAdminProject)
        case .trustID: Value(caller.trustID)
        case .applicationCredentialID: Value(caller.applicationCredentialID)
        case .serviceRoles: .list(caller.serviceRoles)
        case .serviceUserID: Value(caller.serviceUserID)
        case .serviceProjectID: Value(caller.serviceProjectID)
        case .tokenProjectID: caller.projectID.map { .text($0) } ?? .missing
        case .tokenProjectName: caller.projectName.map { .text($0) } ?? .missing
        case .tokenProjectDomainID: caller.projectDomainID.map { .text($0) } ?? .missing
        case .tokenProjectDomainName: caller.projectDomainName.map { .text($0) } ?? .missing
        case .tokenDomainID: caller.domainID.map { .text($0) } ?? .missing
        case .tokenDomainName: caller.domainName.map { .text($0) } ?? .missing
        case .isAdmin, .unknown: .missing
        }
    }
}

extension PolicyCredential.Value {
    init(_ text: String?) { self = text.map { .text($0) } ?? .none }
}
