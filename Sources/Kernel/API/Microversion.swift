// SPDX-License-Identifier: Apache-2.0

/// A version of a service's API, `major.minor`. Services without microversions stay at one.
package struct Microversion: Sendable, Hashable, Comparable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let major: Int
    package let minor: Int

    package init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// A literal in a route or member; a wrong one is a programmer's error. Members are written by the thousand, each
    /// with its literal, so this reads the bytes where they stand.
    package init(stringLiteral text: StaticString) {
        precondition(text.hasPointerRepresentation, "\(text) is not a microversion")
        var numbers = (major: 0, minor: 0)
        var isMinor = false
        for byte in UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) {
            if byte == UInt8(ascii: "."), !isMinor {
                isMinor = true
                continue
            }
            precondition((48...57).contains(byte), "\(text) is not a microversion")
            if isMinor {
                numbers.minor = numbers.minor * 10 + Int(byte - 48)
            } else {
                numbers.major = numbers.major * 10 + Int(byte - 48)
            }
        }
        precondition(isMinor, "\(text) is not a microversion")
        self.init(numbers.major, numbers.minor)
    }

    /// Reads `2.1`; nil for anything else (`2`, `2.01`, `latest`).
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = Microversion.number(parts[0]), let minor = Microversion.number(parts[1])
        else { return nil }
        self.init(major, minor)
    }

    private static func number(_ text: some StringProtocol) -> Int? {
        guard !text.isEmpty, text.utf8.count <= 6, text.utf8.allSatisfy({ (48...57).contains($0) }),
            text.utf8.count == 1 || text.utf8.first != 48
        else { return nil }
        return Int(text)
    }

    package var description: String { "\(major).\(minor)" }

    package static func < (left: Microversion, right: Microversion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}

/// How a service counts its versions: the name it has in headers and what each version brought.
package struct VersionHistory: Sendable {
    /// The service type in `OpenStack-API-Version: compute 2.1`; nil when the service has no microversions.
    package let headerType: String?
    /// The older header some clients still send: `X-OpenStack-Nova-API-Version`.
    package let legacyHeader: String?
    /// The header that request ids stood in before services agreed on one: `X-Compute-Request-Id`.
    package let legacyRequestID: String?
    /// Every version with a sentence on what it brought, oldest first.
    package let versions: [(version: Microversion, brought: String)]

    package var minimum: Microversion { versions[0].version }
    package var maximum: Microversion { versions[versions.count - 1].version }

    package init(
        _ headerType: String?, legacyHeader: String? = nil, legacyRequestID: String? = nil,
        _ versions: KeyValuePairs<Microversion, String>
    ) {
        precondition(!versions.isEmpty, "a service has at least one version")
        self.headerType = headerType
        self.legacyHeader = legacyHeader
        self.legacyRequestID = legacyRequestID
        self.versions = versions.map { ($0.key, $0.value) }
    }

    /// A service whose API has one version.
    package static func fixed(_ version: Microversion) -> VersionHistory { .init(nil, [version: "The API."]) }
}

/// A status that may have changed with a version: `201`, or `["2.1": 200, "2.2": 201]`.
package struct Status: Sendable, ExpressibleByIntegerLiteral, ExpressibleByDictionaryLiteral {
    private let steps: [(since: Microversion, status: Int)]

    package init(integerLiteral value: Int) { steps = [(Microversion(0, 0), value)] }
    package init(dictionaryLiteral elements: (Microversion, Int)...) {
        steps = elements.map { ($0.0, $0.1) }.sorted { $0.0 < $1.0 }
    }

    package func at(_ version: Microversion) -> Int {
        (steps.last { $0.since <= version } ?? steps[0]).status
    }

    package var all: [Int] { steps.map(\.status) }
}
