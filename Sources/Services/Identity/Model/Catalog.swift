// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The services and where each answers, as tokens carry them.
struct Catalog: Sendable {
    private struct Entry: Sendable {
        let service: CatalogService
        let endpoints: [(endpoint: Endpoint, url: EndpointURL)]
    }

    private let entries: [Entry]

    init(_ services: [CatalogService], _ endpoints: [Endpoint]) {
        let byService = Dictionary(grouping: endpoints, by: \.serviceID)
        entries = services.map { service in
            Entry(
                service: service,
                endpoints: (byService[service.id] ?? []).compactMap { endpoint in
                    EndpointURL(endpoint.url).map { (endpoint, $0) }
                })
        }
    }

    /// The list's items. An endpoint whose URL needs a project is left out for tokens without one.
    func write(_ view: inout View, projectID: String?, userID: String) {
        view.list("catalog", entries) { view, entry in
            let shown = entry.endpoints.compactMap { pair in
                pair.url.filled(projectID: projectID, userID: userID).map { (pair.endpoint, $0) }
            }
            view.list("endpoints", shown) { view, pair in
                let (endpoint, url) = pair
                view.put("id", endpoint.id)
                view.put("interface", endpoint.interface)
                view.put("region_id", endpoint.regionID)
                view.put("url", url)
                view.put("region", endpoint.regionID)
            }
            view.put("id", entry.service.id)
            view.put("type", entry.service.type)
            view.put("name", entry.service.name)
        }
    }
}

/// An endpoint's URL with the places that each token fills: `http://host/v1/AUTH_$(project_id)s`.
struct EndpointURL: Sendable {
    private enum Piece: Sendable {
        case text(String)
        case projectID, userID
    }

    private let pieces: [Piece]

    /// Nil for one that is malformed, which no catalogue shows.
    init?(_ url: String) {
        var pieces: [Piece] = []
        var rest = url[...]
        while let mark = rest.firstIndex(where: { $0 == "$" || $0 == "%" }) {
            let after = rest.index(after: mark)
            guard after < rest.endIndex, rest[after] == "(" else {
                if rest[mark] == "%" { return nil }
                pieces.append(.text(String(rest[...mark])))
                rest = rest[after...]
                continue
            }
            guard let end = rest[after...].firstIndex(of: ")") else { return nil }
            let close = rest.index(after: end)
            guard close < rest.endIndex, rest[close] == "s" else { return nil }
            pieces.append(.text(String(rest[..<mark])))
            switch rest[rest.index(after: after)..<end] {
            case "project_id", "tenant_id": pieces.append(.projectID)
            case "user_id": pieces.append(.userID)
            default: return nil
            }
            rest = rest[rest.index(after: close)...]
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
            case .projectID:
                guard let projectID else { return nil }
                url += projectID
            }
        }
        return url
    }
}
