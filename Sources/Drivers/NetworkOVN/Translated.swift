// SPDX-License-Identifier: Apache-2.0
package import Network

/// A kind of object that this driver makes rows of. A new kind says here what its rows are, and what else they are
/// computed from; which rows a change touches follows from that.
protocol Translated: TopologySpec {
    /// The pieces that its rows are derived in. More than one where a part changes for reasons of its own.
    static var parts: [Piece.Part] { get }
    /// Other objects that its rows are computed from.
    var uses: [Use] { get }
    /// Pieces of other objects that are computed from this one without naming it.
    func feeds(_ graph: TopologyGraph) -> [Piece]
    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow]
}

extension Translated {
    static var parts: [Piece.Part] { [.whole] }
    var uses: [Use] { [] }
    func feeds(_ graph: TopologyGraph) -> [Piece] { [] }
}

/// That an object's rows are computed from another object.
struct Use: Sendable, Hashable {
    let reference: TopologyReference
    /// Nothing of the other matters but whether it is there.
    var presenceOnly = false
}

/// A piece of the translation: the rows that are derived together.
package struct Piece: Sendable, Hashable {
    package enum Part: Sendable, Hashable {
        case whole
        /// A network's DNS records, which come from its ports.
        case names
        /// Of those, what one name or one address has: thousands are in one row, and one of them comes or goes.
        case name(NameKey)
        /// Who hears whom in a private network, which follows from its ports' places.
        case privacy
    }

    /// What a record is looked up by.
    package enum NameKey: Sendable, Hashable {
        case host(String)
        /// A host in a domain of its own.
        case full(String)
        case address(IPAddress)
    }

    package let reference: TopologyReference
    package let part: Part

    package init(_ reference: TopologyReference, _ part: Part = .whole) {
        self.reference = reference
        self.part = part
    }
}
