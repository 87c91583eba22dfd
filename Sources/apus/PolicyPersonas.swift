// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The callers that policies are reviewed with: each role with those it implies, in each scope, and the two without.
enum PolicyPersonas {
    private static let roles = [
        ("admin", ["admin", "manager", "member", "reader"]), ("manager", ["manager", "member", "reader"]),
        ("member", ["member", "reader"]), ("reader", ["reader"]), ("service", ["service"]),
    ]

    static var all: [PolicyMatrix.Persona] {
        var personas: [PolicyMatrix.Persona] = []
        for scope in ["project", "domain", "system"] {
            for (role, held) in roles {
                let inProject = scope == "project"
                personas.append(
                    .init(
                        "\(scope) \(role)",
                        Caller(
                            userID: "caller", userName: "caller", userDomainID: "home", userDomainName: "home",
                            projectID: inProject ? "own" : nil, projectName: inProject ? "own" : nil,
                            projectDomainID: inProject ? "home" : nil, projectDomainName: inProject ? "home" : nil,
                            domainID: scope == "domain" ? "home" : nil, domainName: scope == "domain" ? "home" : nil,
                            isSystem: scope == "system", roles: held)))
            }
        }
        personas.append(
            .init(
                "unscoped",
                Caller(
                    userID: "caller", userName: "caller", userDomainID: "home", userDomainName: "home", roles: [])))
        personas.append(.init("no token", nil))
        return personas
    }
}
