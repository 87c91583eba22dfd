// SPDX-License-Identifier: Apache-2.0

/// Traffic of which hosts write a line.
package struct LogSpec: TopologySpec {
    package static let kind = TopologyKind("log")

    package var id: String
    package var generation: Int
    /// The security groups whose traffic it is; nil is all of it.
    package var groups: [String]?
    package var accepted: Bool
    /// What no rule lets pass. No group drops anything by itself, so this is everybody's.
    package var dropped: Bool

    package init(
        id: String, generation: Int = 0, groups: [String]? = nil, accepted: Bool = true, dropped: Bool = true
    ) {
        self.id = id
        self.generation = generation
        self.groups = groups
        self.accepted = accepted
        self.dropped = dropped
    }
}
