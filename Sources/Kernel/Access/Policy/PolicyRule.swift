// SPDX-License-Identifier: Apache-2.0

/// A rule as a service declares it: upstream's name, the default check in upstream's language, the scopes it accepts.
package struct PolicyRule: Sendable, Equatable {
    package var name: String
    package var check: String
    package var scopes: TokenScopes
    /// For the generated sample: what the rule guards, and the calls that ask it (`GET /v3/users`).
    package var description: String
    package var operations: [String]

    package init(
        _ name: String, _ check: String, scopes: TokenScopes = .any, description: String = "",
        operations: [String] = []
    ) {
        self.name = name
        self.check = check
        self.scopes = scopes
        self.description = description
        self.operations = operations
    }
}

/// What judging a rule came to. `wrongScope` is told apart because upstream words that answer differently.
package enum PolicyVerdict: Sendable, Equatable {
    case allowed
    case refused
    case wrongScope(accepted: [String], given: String)
}

/// One mistake in a policy: where (0 when it is not in a file), which rule, and what is wrong with it.
package struct PolicyMistake: Sendable, Equatable, CustomStringConvertible {
    package var line: Int
    package var rule: String
    package var message: String

    package var description: String {
        (line > 0 ? "line \(line): " : "") + (rule.isEmpty ? "" : "\"\(rule)\": ") + message
    }
}

/// All the mistakes found in a policy, so that they can be mended in one go.
package struct PolicyMistakes: Error, Sendable, CustomStringConvertible {
    package var mistakes: [PolicyMistake]
    package var description: String { mistakes.map(\.description).joined(separator: "\n") }
}
