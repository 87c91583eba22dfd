// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The services and where each answers, as tokens carry them.
struct Catalog: Sendable {
    private struct Entry: Sendable {
        let service: CatalogService
        let endpoints: [(endpoint: Endpoint, url: EndpointURL)]
    }

    private let entries: [Entry]
    /// The endpoints that projects with filters see; the others see all, or none.
    private let filters: [String: Set<String>]
    private let returnsAllWithoutFilter: Bool

    init(
        _ services: [CatalogService], _ endpoints: [Endpoint], filters: [String: Set<String>] = [:],
        returnsAllWithoutFilter: Bool = true
    ) {
        let byService = Dictionary(grouping: endpoints.filter(\.enabled), by: \.serviceID)
        entries = services.map { service in
            Entry(
                service: service,
                endpoints: (byService[service.id] ?? []).compactMap { endpoint in
                    EndpointURL(endpoint.url).map { (endpoint, $0) }
                })
        }
        self.filters = filters
        self.returnsAllWithoutFilter = returnsAllWithoutFilter
    }

    /// Where the first of some types of service answers, as it was written down.
    func address(of types: [String], interface: String, region: String?) -> String? {
        for type in types {
            for entry in entries where entry.service.type == type {
                let found = entry.endpoints.first { pair in
                    pair.endpoint.interface == interface && (region == nil || pair.endpoint.regionID == region)
                }
                if let found { return found.endpoint.url }
            }
        }
        return nil
    }

    /// The list's items. An endpoint whose URL needs a project is left out for tokens without one; a service without
    /// endpoints only where a filter took them.
    func write(_ view: inout View, projectID: String?, userID: String) {
        let filter = projectID.flatMap { filters[$0] }
        var shown: [(CatalogService, [(Endpoint, String)])] = []
        if filter != nil || returnsAllWithoutFilter {
            for entry in entries {
                let endpoints = entry.endpoints.compactMap { pair -> (Endpoint, String)? in
                    guard filter?.contains(pair.endpoint.id) ?? true else { return nil }
                    return pair.url.filled(projectID: projectID, userID: userID).map { (pair.endpoint, $0) }
                }
                if filter == nil || !endpoints.isEmpty { shown.append((entry.service, endpoints)) }
            }
        }
        view.list("catalog", shown) { view, entry in
            view.list("endpoints", entry.1) { view, pair in
                let (endpoint, url) = pair
                view.put("id", endpoint.id)
                view.put("interface", endpoint.interface)
                view.put("region_id", endpoint.regionID)
                view.put("url", url)
                view.put("region", endpoint.regionID)
                for (name, value) in endpoint.extra { view.put(named: name, value) }
            }
            view.put("id", entry.0.id)
            view.put("type", entry.0.type)
            view.put("name", entry.0.name)
        }
    }
}

extension Database {
    /// The whole catalogue with everything that narrows it.
    func catalog(_ options: CatalogOptions) async throws(Fault) -> Catalog {
        let endpoints = try await all(Endpoint.self, "1 = 1 ORDER BY service_id, interface, id")
        var filters: [String: Set<String>] = [:]
        for pair in try await all(ProjectEndpoint.self) {
            filters[pair.projectID, default: []].insert(pair.endpointID)
        }
        let places = Dictionary(grouping: try await all(ProjectEndpointGroup.self), by: \.endpointGroupID)
        if !places.isEmpty {
            for group in try await all(EndpointGroup.self) {
                let ids = endpoints.filter(group.holds).map(\.id)
                guard !ids.isEmpty else { continue }
                for place in places[group.id] ?? [] { filters[place.projectID, default: []].formUnion(ids) }
            }
        }
        return Catalog(
            try await all(CatalogService.self, "enabled = 1 ORDER BY type, id"), endpoints, filters: filters,
            returnsAllWithoutFilter: options.returnsAllWithoutFilter)
    }
}
