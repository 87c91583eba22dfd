// SPDX-License-Identifier: Apache-2.0

/// One call that a restricted token is good for. In the path `*` and `{name}` stand for one segment, `**` for any rest.
package struct AccessRule: Sendable, Equatable {
    package let service: String
    package let method: String
    private let segments: [Substring]

    package init(service: String, method: String, path: String) {
        self.service = service
        self.method = method
        segments = path.split(separator: "/")
    }

    package func permits(_ service: String, _ method: String, _ path: String) -> Bool {
        self.service == service && self.method == method
            && AccessRule.matches(path.split(separator: "/")[...], segments[...])
    }

    private static func matches(_ path: ArraySlice<Substring>, _ pattern: ArraySlice<Substring>) -> Bool {
        guard let first = pattern.first else { return path.isEmpty }
        if first == "**" {
            let rest = pattern.dropFirst()
            return (path.startIndex...path.endIndex).contains { matches(path[$0...], rest) }
        }
        guard let segment = path.first, first == "*" || first.hasPrefix("{") || first == segment else { return false }
        return matches(path.dropFirst(), pattern.dropFirst())
    }
}

extension Caller {
    /// Whether the caller's token is good for this call at all, whoever the caller is.
    package func reaches(_ service: String, _ method: String, _ path: String) -> Bool {
        accessRules?.contains { $0.permits(service, method, path) } ?? true
    }
}
