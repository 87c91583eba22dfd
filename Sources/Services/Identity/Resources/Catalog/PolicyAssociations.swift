// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Which policy is for which endpoints: one endpoint, those of a service, or those of a service in a region.
struct PolicyAssociation: Record {
    static let table = "identity_policy_associations"

    let id: String
    let policyID: String
    let endpointID: String?
    let serviceID: String?
    let regionID: String?

    /// The rows for the same endpoints, whatever their policy: there is at most one.
    var place: SQL {
        "endpoint_id \(is: endpointID) AND service_id \(is: serviceID) AND region_id \(is: regionID)"
    }
}

extension PolicyAssociation: Resource {
    static let routes: [Route] =
        routes("endpoints/{endpoint_id}", "endpoint", "for_endpoint")
        + routes("services/{service_id}", "service", "for_service")
        + routes("services/{service_id}/regions/{region_id}", "service and region", "for_region_and_service") + [
            .get(
                "/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints", "List endpoints of policy",
                of: PolicyDocument.found, allow: .inspector("list_endpoints_for_policy"), endpoints),
            .get(
                "/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy", "Show policy of endpoint", of: Endpoint.found,
                allow: .inspector("get_policy_for_endpoint"), ofEndpoint),
        ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity policy associations
        CREATE TABLE identity_policy_associations (
            id VARCHAR(64) NOT NULL PRIMARY KEY, policy_id VARCHAR(64) NOT NULL, endpoint_id VARCHAR(64),
            service_id VARCHAR(64), region_id VARCHAR(255));
        CREATE INDEX identity_policy_associations_policy ON identity_policy_associations (policy_id);
        """
    ]

    private static func routes(_ end: String, _ noun: String, _ rule: String) -> [Route] {
        let path = "/policies/{policy_id}/OS-ENDPOINT-POLICY/" + end
        let find: Route.Finder<Found<PolicyAssociation>> = { request async throws(Fault) in
            try await found(request, end)
        }
        return [
            .put(
                path, "Associate policy with \(noun)", of: find,
                allow: .administrator("create_policy_association_" + rule), create, status: 204),
            .get(
                path, "Check policy association with \(noun)", of: find,
                allow: .inspector("check_policy_association_" + rule), check, status: 204),
            .delete(
                path, "Delete policy association with \(noun)", of: find,
                allow: .administrator("delete_policy_association_" + rule), delete),
        ]
    }

    /// What the path names, whether or not it is associated.
    private static func found(_ request: Request, _ end: String) async throws(Fault) -> Found<PolicyAssociation> {
        let policyID = request["policy_id"]
        guard try await request.database.count(PolicyDocument.self, "id = \(policyID)") > 0 else {
            return Found(missing: .notFound("policy", policyID), [:])
        }
        var ids: [String: String] = [:]
        for kind in ["endpoint", "service", "region"] where end.contains("{\(kind)_id}") {
            let id = request["\(kind)_id"]
            ids[kind] = id
            let count =
                switch kind {
                case "endpoint": try await request.database.count(Endpoint.self, "id = \(id)")
                case "service": try await request.database.count(CatalogService.self, "id = \(id)")
                default: try await request.database.count(Region.self, "id = \(id)")
                }
            guard count > 0 else { return Found(missing: .notFound(kind, id), [:]) }
        }
        return Found(
            PolicyAssociation(
                id: request.ids.hex(), policyID: policyID, endpointID: ids["endpoint"], serviceID: ids["service"],
                regionID: ids["region"]))
    }

    // MARK: Handlers

    static func create(_ request: Request, _ found: Found<PolicyAssociation>) async throws(Fault) -> Reply {
        let association = try found.get()
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(PolicyAssociation.self, association.place)
            try transaction.insert(association)
        }
        return .empty
    }

    static func check(_ request: Request, _ found: Found<PolicyAssociation>) async throws(Fault) -> Reply {
        let association = try found.get()
        _ = try await request.database.one(
            PolicyAssociation.self, association.place + " AND policy_id = \(association.policyID)",
            or: .notFound("Could not find policy association."))
        return .empty
    }

    static func delete(_ request: Request, _ found: Found<PolicyAssociation>) async throws(Fault) -> Reply {
        let association = try found.get()
        try await request.database.delete(
            PolicyAssociation.self, association.place + " AND policy_id = \(association.policyID)")
        return .empty
    }

    static func endpoints(_ request: Request, _ found: Found<PolicyDocument>) async throws(Fault) -> Reply {
        let id = try found.get().id
        let associations = try await request.database.all(PolicyAssociation.self, "policy_id = \(id)")
        let all = try await request.database.all(Endpoint.self, "1 = 1 ORDER BY id")
        let children = Dictionary(grouping: try await request.database.all(Region.self)) { $0.parentRegionID ?? "" }
        let endpoints = all.filter { endpoint in
            associations.contains { association in
                if let id = association.endpointID { return id == endpoint.id }
                guard association.serviceID == endpoint.serviceID else { return false }
                guard let top = association.regionID else { return true }
                return endpoint.regionID.map { within(top, children).contains($0) } ?? false
            }
        }
        return .list("endpoints", endpoints.map { $0.details }, page: try request.page())
    }

    /// A region and all that lie within it.
    private static func within(_ top: String, _ children: [String: [Region]]) -> Set<String> {
        var seen: Set<String> = []
        var open = [top]
        while let id = open.popLast() {
            guard seen.insert(id).inserted else { continue }
            open += (children[id] ?? []).map(\.id)
        }
        return seen
    }

    /// The policy of the endpoint itself, else of its service in its region or those around it, else of its service.
    static func ofEndpoint(_ request: Request, _ found: Found<Endpoint>) async throws(Fault) -> Reply {
        let endpoint = try found.get()
        let all = try await request.database.all(
            PolicyAssociation.self, "endpoint_id = \(endpoint.id) OR service_id = \(endpoint.serviceID)")
        let regions = Dictionary(try await request.database.all(Region.self).map { ($0.id, $0) }) { $1 }
        var policyID = all.first { $0.endpointID == endpoint.id }?.policyID
        var next = endpoint.regionID
        while policyID == nil, let id = next {
            policyID = all.first { $0.serviceID == endpoint.serviceID && $0.regionID == id }?.policyID
            next = regions[id]?.parentRegionID
        }
        guard let policyID = policyID ?? all.first(where: { $0.endpointID == nil && $0.regionID == nil })?.policyID
        else {
            throw .notFound("No policy is associated with endpoint \(endpoint.id).")
        }
        let policy = try await request.database.one(
            PolicyDocument.self, "id = \(policyID)", or: .notFound("policy", policyID))
        return .object("policy", policy.details)
    }
}
