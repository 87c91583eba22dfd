// SPDX-License-Identifier: Apache-2.0

/// How fast traffic may be, in kilobits a second.
package struct QoSLimit: Sendable, Hashable {
    package var kilobits: Int
    /// How much may come at once, in kilobits; 0 leaves it to the back end.
    package var burst: Int

    package init(kilobits: Int, burst: Int = 0) {
        self.kilobits = kilobits
        self.burst = burst
    }
}

/// What happens to traffic one way.
package struct QoSTerms: Sendable, Hashable {
    package var limit: QoSLimit?
    /// The DSCP code point that packets are given.
    package var mark: Int?
    /// What is kept free, in kilobits a second.
    package var minimum: Int?

    package init(limit: QoSLimit? = nil, mark: Int? = nil, minimum: Int? = nil) {
        self.limit = limit
        self.mark = mark
        self.minimum = minimum
    }

    package var isEmpty: Bool { self == QoSTerms() }
}

/// A QoS policy. Egress is what a port sends, ingress what it receives.
package struct QoSPolicySpec: TopologySpec {
    package static let kind = TopologyKind("qosPolicy")

    package var id: String
    package var generation: Int
    package var ingress: QoSTerms
    package var egress: QoSTerms

    package init(id: String, generation: Int = 0, ingress: QoSTerms = QoSTerms(), egress: QoSTerms = QoSTerms()) {
        self.id = id
        self.generation = generation
        self.ingress = ingress
        self.egress = egress
    }

    package subscript(direction: TrafficDirection) -> QoSTerms {
        get { direction == .ingress ? ingress : egress }
        set { if direction == .ingress { ingress = newValue } else { egress = newValue } }
    }
}
