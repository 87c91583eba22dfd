// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// An endpoint's URL with the places that each token fills: `http://host/v1/AUTH_$(project_id)s`.
struct EndpointURL: Sendable {
    private enum Piece: Sendable {
        case text(String)
        case projectID, userID
        /// A name that upstream takes and that has no value here: no catalogue shows such an endpoint.
        case unknown
    }

    private let pieces: [Piece]

    /// Nil for one that is malformed, which nobody may make and no catalogue shows.
    init?(_ url: String) {
        var pieces: [Piece] = []
        var rest = url[...]
        while let mark = rest.firstIndex(where: { $0 == "$" || $0 == "%" }) {
            pieces.append(.text(String(rest[..<mark])))
            let sign = rest[mark]
            rest = rest[rest.index(after: mark)...]
            guard rest.first == "(" else {
                if sign == "%" {
                    guard rest.first == "%" else { return nil }
                    rest = rest.dropFirst()
                }
                pieces.append(.text(String(sign)))
                continue
            }
            guard let end = rest.firstIndex(of: ")"), rest[end...].dropFirst().first == "s" else { return nil }
            switch rest[..<end].dropFirst() {
            case "project_id", "tenant_id": pieces.append(.projectID)
            case "user_id": pieces.append(.userID)
            case "compute_host", "public_endpoint": pieces.append(.unknown)
            default: return nil
            }
            rest = rest[end...].dropFirst(2)
        }
        if !rest.isEmpty { pieces.append(.text(String(rest))) }
        self.pieces = pieces
    }

    /// Nil when the URL needs a project and there is none.
    func filled(projectID: String?, userID: String) -> String? {
        if pieces.count == 1, case .text(let text) = pieces[0] { return text }
        var url = ""
        for piece in pieces {
            switch piece {
            case .text(let text): url += text
            case .userID: url += userID
            case .unknown: return nil
            case .projectID:
                guard let projectID else { return nil }
                url += projectID
            }
        }
        return url
    }
}
