// SPDX-License-Identifier: Apache-2.0
package import Access
package import Base
package import JSON
package import SQL

/// An API noun: its routes and the tables it is kept in.
package protocol Resource: SendableMetatype {
    static var routes: [Route] { get }
    static var migrations: [Migration] { get }
}

extension Resource {
    package static var migrations: [Migration] { [] }
}

extension Route {
    /// Finds what a request is about, or throws why it is not to be seen.
    package typealias Finder<Target> = @Sendable (Request) async throws(Fault) -> Target
    package typealias Handler<Target> = @Sendable (Request, Target) async throws(Fault) -> Reply
    package typealias OpenHandler = @Sendable (Request) async throws(Fault) -> Reply
}

/// A room as the kernel sees it: what it is called, where it answers, and everything it offers.
package protocol Service: AnyObject, Sendable {
    /// The index of the room: read first.
    static var index: ServiceIndex { get }
}

/// The table of contents of a service.
package struct ServiceIndex: Sendable {
    /// The official service type: `compute`.
    package let type: String
    /// The project's code name, as it stands in the catalog: `nova`.
    package let name: String
    package let title: String
    /// The classic port: 8774.
    package let port: Int
    /// The path under the shared port: `/compute`.
    package let mount: String
    /// What stands before each route's path: `/v2.1`. A route whose path starts with `//` stands outside of it.
    package let base: String
    package let pathForms: PathForms
    /// What the catalog appends to the endpoint: `/v2.1`, or nothing.
    package let catalogPath: String
    package let versions: VersionHistory
    package let envelope: Envelope
    package let wording: Wording
    /// What stands before each rule's name: `os_compute_api:`.
    package let rulePrefix: String
    /// What tokens must be scoped to where a rule does not say otherwise.
    package let scopes: TokenScopes
    /// Rules that others refer to: `context_is_admin`.
    package let baseRules: KeyValuePairs<String, String>
    /// Rules on single members or deeds, judged by handlers through views and bodies: name to default check.
    package let memberRules: KeyValuePairs<String, String>
    package let resources: [any Resource.Type]
    /// The largest JSON body taken, in bytes.
    package let bodyLimit: Int

    package init(
        type: String, name: String, title: String, port: Int, mount: String, base: String, catalogPath: String? = nil,
        pathForms: PathForms = PathForms(), versions: VersionHistory, envelope: Envelope, wording: Wording,
        rulePrefix: String = "",
        scopes: TokenScopes = .any,
        baseRules: KeyValuePairs<String, String> = [:], memberRules: KeyValuePairs<String, String> = [:],
        bodyLimit: Int = 1 << 20, resources: [any Resource.Type]
    ) {
        self.type = type
        self.name = name
        self.title = title
        self.port = port
        self.mount = mount
        self.base = base
        self.catalogPath = catalogPath ?? base
        self.pathForms = pathForms
        self.versions = versions
        self.envelope = envelope
        self.wording = wording
        self.rulePrefix = rulePrefix
        self.scopes = scopes
        self.baseRules = baseRules
        self.memberRules = memberRules
        self.bodyLimit = bodyLimit
        self.resources = resources
    }

    package var routes: [Route] { resources.flatMap { $0.routes } }
    package var migrations: [Migration] { resources.flatMap { $0.migrations } }

    /// A rule's full name: what a route or a handler calls it after the service's prefix, but for the few that upstream
    /// names without it, which begin with `/`.
    package func ruleName(_ name: String) -> String {
        name.hasPrefix("/") ? String(name.dropFirst()) : rulePrefix + name
    }

    /// Every rule of the service with its default check, each once.
    package var rules: [PolicyRule] {
        var rules = baseRules.map { PolicyRule($0.key, $0.value) }
        rules += memberRules.map { PolicyRule(ruleName($0.key), $0.value, scopes: scopes) }
        var places: [String: Int] = [:]
        for route in routes where !route.isOpen {
            let name = ruleName(route.ruleName)
            let path = route.path.hasPrefix("//") ? String(route.path.dropFirst()) : base + route.path
            let operation = "\(route.method) \(path)" + (route.action.map { " (\($0))" } ?? "")
            if let place = places[name] {
                rules[place].operations.append(operation)
            } else {
                places[name] = rules.count
                rules.append(
                    PolicyRule(
                        name, route.ruleCheck, scopes: route.ruleScopes ?? scopes, description: route.summary,
                        operations: [operation]))
            }
        }
        return rules
    }
}

/// How a service words a complaint about one member of a request: `(path, value, reason)` to a fault.
package struct Wording: Sendable {
    package let invalid: @Sendable (_ member: String, _ value: JSON?, _ reason: String) -> Fault
    package let missing: @Sendable (_ member: String) -> Fault
    package let unknown: @Sendable (_ members: [String]) -> Fault
    /// Whether numbers and booleans may come as text (`"3"`, `"true"`), as Nova's and Neutron's schemas allow.
    package let lenient: Bool
    /// What is said of a body that is no JSON, an empty one included. Nil: the kernel's words, and an empty body
    /// is `{}`.
    package let malformed: (@Sendable (_ reason: String) -> Fault)?

    package init(
        lenient: Bool = true, malformed: (@Sendable (_ reason: String) -> Fault)? = nil,
        invalid: @escaping @Sendable (_ member: String, _ value: JSON?, _ reason: String) -> Fault,
        missing: @escaping @Sendable (_ member: String) -> Fault,
        unknown: @escaping @Sendable (_ members: [String]) -> Fault
    ) {
        self.lenient = lenient
        self.malformed = malformed
        self.invalid = invalid
        self.missing = missing
        self.unknown = unknown
    }

    /// A value as upstream prints it after `Value:`: text without quotes.
    package static func plain(_ value: JSON?) -> String {
        switch value {
        case nil, .null: "None"
        case .bool(let truth): truth ? "True" : "False"
        case .string(let text): text
        case .some(let other): other.text()
        }
    }

    /// Nova's, Placement's and Cinder's, from JSON schema.
    package static let nova = Wording(
        invalid: { member, value, reason in
            .badRequest("Invalid input for field/attribute \(member). Value: \(plain(value)). \(reason)")
        },
        missing: { .badRequest("'\($0)' is a required property") },
        unknown: { members in
            let names = members.map { "'\($0)'" }.joined(separator: ", ")
            let verb = members.count == 1 ? "was" : "were"
            return .badRequest("Additional properties are not allowed (\(names) \(verb) unexpected)")
        })
}
