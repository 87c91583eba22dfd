// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Identity's limits as the service asks about them that enforces them.
package struct UnifiedLimitsClient: Sendable {
    private let service: String
    private let region: String
    private let identity: ServiceClient

    /// - Parameters:
    ///   - service: the type of the service whose resources are limited: `image`.
    ///   - region: where that service stands; limits of another region do not concern it.
    package init(
        _ service: String, region: String, over transport: any Transport, as caller: Caller
    ) {
        self.service = service
        self.region = region
        identity = ServiceClient("identity", base: "/v3", over: transport, as: caller)
    }

    /// How much of a resource a project may have; -1 is any amount, nil that nobody has set a limit on it.
    package func limit(of resource: String, project: String, requestID: String) async throws(Fault) -> Int? {
        try await limits(project: project, requestID: requestID)[resource]
    }

    /// All limits of the service that hold for a project, by the name of the resource.
    package func limits(project: String, requestID: String) async throws(Fault) -> [String: Int] {
        let (registered, own) = try await parts(project: project, requestID: requestID)
        return registered.merging(own) { $1 }
    }

    /// What everybody may have, and what a project may have instead, by the name of the resource.
    package func parts(
        project: String, requestID: String
    ) async throws(Fault) -> (registered: [String: Int], own: [String: Int]) {
        let found = try await identity.call("GET", "/services", query: [("type", service)], requestID: requestID)
        var (everybody, mine): ([String: Int], [String: Int]) = ([:], [:])
        for service in found["services"]?.array ?? [] {
            guard let id = service["id"]?.string else { continue }
            let registered = try await identity.call(
                "GET", "/registered_limits", query: [("service_id", id)], requestID: requestID)
            let own = try await identity.call(
                "GET", "/limits", query: [("service_id", id), ("project_id", project)], requestID: requestID)
            merge(registered["registered_limits"], "default_limit", into: &everybody)
            merge(own["limits"], "resource_limit", into: &mine)
        }
        return (everybody, mine)
    }

    /// The name of the model that says how limits of a project and its domain go together: `flat`.
    package func model(requestID: String) async throws(Fault) -> String {
        try await identity.call("GET", "/limits/model", requestID: requestID)["model"]?["name"]?.string ?? "flat"
    }

    /// A limit of the own region counts more than one of all regions.
    private func merge(_ list: JSON?, _ member: String, into limits: inout [String: Int]) {
        let items = list?.array ?? []
        let everywhere = items.filter { $0["region_id"]?.string == nil }
        let here = items.filter { $0["region_id"]?.string == region }
        for item in everywhere + here {
            guard let name = item["resource_name"]?.string else { continue }
            limits[name] = item[member]?.integer
        }
    }
}

extension OptionReader {
    /// `[oslo_limit] endpoint_region_name`, which every service whose limits Identity may hold reads.
    package mutating func limitsRegion() -> String {
        section("oslo_limit")
        return string(
            "endpoint_region_name", default: "RegionOne",
            help: "The region of the cloud: Identity's limits of another region do not hold, those of none do.")
    }
}
