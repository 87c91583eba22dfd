// SPDX-License-Identifier: Apache-2.0

/// Header fields in the order in which they came; names compare without regard to ASCII case.
package struct HTTPHeaders: Sendable, Sequence, ExpressibleByDictionaryLiteral, CustomStringConvertible {
    package private(set) var fields: [(name: String, value: String)]

    package init() { fields = [] }
    package init(_ fields: [(String, String)]) { self.fields = fields.map { (name: $0.0, value: $0.1) } }
    package init(dictionaryLiteral elements: (String, String)...) { self.init(elements) }

    package var isEmpty: Bool { fields.isEmpty }
    package var count: Int { fields.count }
    package var description: String { fields.map { "\($0.name): \($0.value)" }.joined(separator: "\n") }

    /// The first field of that name; setting replaces all of them, nil removes them.
    package subscript(name: String) -> String? {
        get { fields.first { HTTPHeaders.same($0.name, name) }?.value }
        set {
            fields.removeAll { HTTPHeaders.same($0.name, name) }
            if let newValue { fields.append((name, newValue)) }
        }
    }

    package func all(_ name: String) -> [String] {
        fields.lazy.filter { HTTPHeaders.same($0.name, name) }.map(\.value)
    }

    package mutating func add(_ name: String, _ value: String) { fields.append((name, value)) }
    mutating func reserveCapacity(_ count: Int) { fields.reserveCapacity(count) }

    package func makeIterator() -> IndexingIterator<[(name: String, value: String)]> { fields.makeIterator() }

    /// Whether a comma separated field (`Connection`, `Upgrade`) names the token.
    package func names(_ token: String, in name: String) -> Bool {
        all(name).contains { value in
            value.split(separator: ",").contains { HTTPHeaders.same(String($0).trimmed, token) }
        }
    }

    static func same(_ left: String, _ right: String) -> Bool {
        let left = left.utf8
        let right = right.utf8
        guard left.count == right.count else { return false }
        return zip(left, right).allSatisfy { $0 == $1 || ($0 | 0x20 == $1 | 0x20 && (97...122).contains($0 | 0x20)) }
    }
}

extension String {
    /// Without the spaces and tabs at both ends.
    var trimmed: String {
        let blank: (UInt8) -> Bool = { $0 == 32 || $0 == 9 }
        let bytes = utf8.drop(while: blank)
        guard let last = bytes.lastIndex(where: { !blank($0) }) else { return "" }
        return String(self[bytes.startIndex...last])
    }
}
