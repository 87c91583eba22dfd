// SPDX-License-Identifier: Apache-2.0
package import JSON

/// One scalar of a column. `named` stands for a row that the same transaction inserts.
package enum OVSDBAtom: Sendable, Hashable {
    case string(String)
    case integer(Int64)
    case real(Double)
    case bool(Bool)
    case uuid(String)
    case named(String)
}

/// What a column holds: a set (a plain value is a set of one, an absent one an empty set) or a map. So values that mean
/// the same are equal, however they were spelled on the wire.
package enum OVSDBValue: Sendable, Hashable {
    case set(Set<OVSDBAtom>)
    case map([OVSDBAtom: OVSDBAtom])
}

// MARK: - Making

extension OVSDBValue {
    package static let empty = OVSDBValue.set([])
    package static let emptyMap = OVSDBValue.map([:])

    package static func string(_ text: String) -> OVSDBValue { .set([.string(text)]) }
    package static func integer(_ number: Int) -> OVSDBValue { .set([.integer(Int64(number))]) }
    package static func bool(_ flag: Bool) -> OVSDBValue { .set([.bool(flag)]) }
    package static func uuid(_ uuid: String) -> OVSDBValue { .set([.uuid(uuid)]) }
    package static func named(_ name: String) -> OVSDBValue { .set([.named(name)]) }
    package static func strings(_ texts: some Sequence<String>) -> OVSDBValue { .set(Set(texts.map { .string($0) })) }
    package static func uuids(_ uuids: some Sequence<String>) -> OVSDBValue { .set(Set(uuids.map { .uuid($0) })) }
    package static func strings(_ pairs: [String: String]) -> OVSDBValue {
        .map(Dictionary(uniqueKeysWithValues: pairs.map { (.string($0.key), .string($0.value)) }))
    }
    /// Empty for nil.
    package static func optional(_ text: String?) -> OVSDBValue { text.map { .string($0) } ?? .empty }
    package static func optional(_ number: Int?) -> OVSDBValue { number.map { .integer($0) } ?? .empty }
}

extension OVSDBAtom: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
}

extension OVSDBValue: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .set([.integer(value)]) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: OVSDBAtom...) { self = .set(Set(elements)) }
    package init(dictionaryLiteral elements: (OVSDBAtom, OVSDBAtom)...) {
        self = .map(Dictionary(elements) { _, last in last })
    }
}

// MARK: - Looking inside

extension OVSDBAtom {
    package var string: String? { if case .string(let text) = self { text } else { nil } }
    package var integer: Int? { if case .integer(let number) = self { Int(number) } else { nil } }
    package var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    package var uuid: String? { if case .uuid(let uuid) = self { uuid } else { nil } }
}

extension OVSDBValue {
    package var atoms: Set<OVSDBAtom> { if case .set(let atoms) = self { atoms } else { [] } }
    /// The only element of a set of one.
    package var atom: OVSDBAtom? { atoms.count == 1 ? atoms.first : nil }
    package var string: String? { atom?.string }
    package var integer: Int? { atom?.integer }
    package var bool: Bool? { atom?.bool }
    package var uuid: String? { atom?.uuid }
    package var strings: Set<String> { Set(atoms.compactMap(\.string)) }
    package var uuids: Set<String> { Set(atoms.compactMap(\.uuid)) }

    package subscript(key: String) -> String? {
        guard case .map(let pairs) = self else { return nil }
        return pairs[.string(key)]?.string
    }
    package var pairs: [String: String] {
        guard case .map(let pairs) = self else { return [:] }
        var texts: [String: String] = [:]
        for (key, value) in pairs {
            if let key = key.string, let value = value.string { texts[key] = value }
        }
        return texts
    }
    package var isEmpty: Bool {
        switch self {
        case .set(let atoms): atoms.isEmpty
        case .map(let pairs): pairs.isEmpty
        }
    }
}

// MARK: - Wire

extension OVSDBAtom: Comparable {
    /// An order for texts that do not change from run to run; it has no other meaning.
    package static func < (left: OVSDBAtom, right: OVSDBAtom) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)): left < right
        case (.integer(let left), .integer(let right)): left < right
        case (.uuid(let left), .uuid(let right)): left < right
        case (.named(let left), .named(let right)): left < right
        default: "\(left)" < "\(right)"
        }
    }

    func write(to writer: inout JSONWriter) {
        switch self {
        case .string(let text): writer.string(text)
        case .integer(let number): writer.integer(number)
        case .real(let number): writer.double(number)
        case .bool(let flag): writer.bool(flag)
        case .uuid(let uuid): OVSDBAtom.write("uuid", uuid, to: &writer)
        case .named(let name): OVSDBAtom.write("named-uuid", name, to: &writer)
        }
    }

    private static func write(_ kind: String, _ text: String, to writer: inout JSONWriter) {
        writer.beginArray()
        writer.string(kind)
        writer.string(text)
        writer.endArray()
    }

    init?(_ json: JSON) {
        switch json {
        case .string(let text): self = .string(text)
        case .integer(let number): self = .integer(number)
        case .double(let number): self = .real(number)
        case .bool(let flag): self = .bool(flag)
        case .array(let parts):
            guard parts.count == 2, let kind = parts[0].string, let text = parts[1].string else { return nil }
            switch kind {
            case "uuid": self = .uuid(text)
            case "named-uuid": self = .named(text)
            default: return nil
            }
        default: return nil
        }
    }
}

extension OVSDBValue: JSONValue {
    package func write(to writer: inout JSONWriter) {
        if let atom {
            atom.write(to: &writer)
            return
        }
        writer.beginArray()
        switch self {
        case .set(let atoms):
            writer.string("set")
            writer.beginArray()
            for atom in atoms.sorted() { atom.write(to: &writer) }
            writer.endArray()
        case .map(let pairs):
            writer.string("map")
            writer.beginArray()
            for (key, value) in pairs.sorted(by: { $0.key < $1.key }) {
                writer.beginArray()
                key.write(to: &writer)
                value.write(to: &writer)
                writer.endArray()
            }
            writer.endArray()
        }
        writer.endArray()
    }

    /// Nil for what RFC 7047 section 5.1 does not know.
    package init?(_ json: JSON) {
        guard case .array(let parts) = json, parts.count == 2, let kind = parts[0].string,
            kind == "set" || kind == "map"
        else {
            guard let atom = OVSDBAtom(json) else { return nil }
            self = .set([atom])
            return
        }
        guard let elements = parts[1].array else { return nil }
        if kind == "set" {
            let atoms = elements.compactMap { OVSDBAtom($0) }
            guard atoms.count == elements.count else { return nil }
            self = .set(Set(atoms))
        } else {
            var pairs: [OVSDBAtom: OVSDBAtom] = [:]
            for element in elements {
                guard let pair = element.array, pair.count == 2, let key = OVSDBAtom(pair[0]),
                    let value = OVSDBAtom(pair[1])
                else { return nil }
                pairs[key] = value
            }
            self = .map(pairs)
        }
    }
}
