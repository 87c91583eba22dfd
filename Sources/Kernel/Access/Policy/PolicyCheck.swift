// SPDX-License-Identifier: Apache-2.0

/// One policy expression as it was written: oslo.policy's language, parsed and not yet bound to any set of rules.
package indirect enum PolicyCheck: Sendable, Equatable {
    case always
    case never
    case rule(String)
    case role(PolicyTemplate)
    /// `left:right` where left names something about the caller: `user_id`, `token.project.domain.id`.
    case caller(String, PolicyTemplate)
    /// `left:right` where left is a constant (`'admin'`, `None`, `True`, `7`), held as text.
    case literal(String, PolicyTemplate)
    /// Neutron's `field:networks:shared=True`.
    case field(PolicyField)
    case all([PolicyCheck])
    case either([PolicyCheck])
    case not(PolicyCheck)
}

/// The right side of a check: text with `%(attribute)s` holes, nearly always one hole and nothing else.
package struct PolicyTemplate: Sendable, Hashable {
    package enum Part: Sendable, Hashable {
        case text(String)
        case attribute(String)
    }
    package var parts: [Part]
    package init(_ parts: [Part]) { self.parts = parts }
}

/// A comparison of one attribute of the target: equal to a value, or beginning with what a pattern matches.
package struct PolicyField: Sendable, Equatable {
    package var resource: String
    package var field: String
    package var value: String
    package var isPattern: Bool
}

/// Why a policy expression cannot be read.
package struct PolicySyntaxError: Error, Sendable, Equatable, CustomStringConvertible {
    package var message: String
    package var description: String { message }
    init(_ message: String) { self.message = message }
}

// MARK: - As text

extension PolicyCheck: CustomStringConvertible {
    package var description: String {
        switch self {
        case .always: "@"
        case .never: "!"
        case .rule(let name): "rule:\(name)"
        case .role(let name): "role:\(name)"
        case .caller(let left, let right): "\(left):\(right)"
        case .literal(let left, let right): "'\(left)':\(right)"
        case .field(let field): "field:\(field.resource):\(field.field)=\(field.isPattern ? "~" : "")\(field.value)"
        case .all(let checks): "(" + checks.map(\.description).joined(separator: " and ") + ")"
        case .either(let checks): "(" + checks.map(\.description).joined(separator: " or ") + ")"
        case .not(let check): "not \(check)"
        }
    }
}

extension PolicyTemplate: CustomStringConvertible {
    package var description: String {
        parts.map { part in
            switch part {
            case .text(let text): text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
            case .attribute(let name): "%(\(name))s"
            }
        }.joined()
    }
}
