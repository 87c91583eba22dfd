// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The strict model of two levels: no project may be given more than its domain has, no domain less than one of its
/// projects.
struct LimitTree {
    let transaction: Transaction

    /// Refuses limits that would not fit among those there are, or among themselves.
    func requireFit(_ limits: [Limit]) throws(Fault) {
        for limit in limits {
            guard let projectID = limit.projectID else {
                try requireAbove(limit)
                continue
            }
            let parentID = try transaction.first(Project.self, "id = \(projectID)")?.parentID ?? ""
            if let domain = limits.first(where: { $0.domainID == parentID && $0.isSame(resourceOf: limit) }) {
                // Asked for together, so the domain's present limit no longer matters.
                guard limit.resourceLimit <= domain.resourceLimit else { throw LimitTree.misfit(limit) }
                continue
            }
            var above = try value(limit, "domain_id = \(parentID)")
            if above == nil { above = try registered(limit) }
            if let above, above != 0, limit.resourceLimit > above { throw LimitTree.misfit(limit) }
        }
    }

    private func requireAbove(_ limit: Limit) throws(Fault) {
        for project in try transaction.all(Project.self, "domain_id = \(limit.domainID ?? "")") {
            if let below = try value(limit, "project_id = \(project.id)"), below != 0, limit.resourceLimit < below {
                throw LimitTree.misfit(limit)
            }
        }
    }

    private func value(_ limit: Limit, _ place: SQL) throws(Fault) -> Int? {
        try transaction.first(Limit.self, limit.resource + " AND " + place)?.resourceLimit
    }

    private func registered(_ limit: Limit) throws(Fault) -> Int? {
        try transaction.first(RegisteredLimit.self, limit.resource)?.defaultLimit
    }

    private static func misfit(_ limit: Limit) -> Fault {
        let place = limit.projectID.map { "project_id: \($0)" } ?? "domain_id: \(limit.domainID ?? "None")"
        return .forbidden(
            "Invalid resource limit: The resource limit (\(place), resource_name: \(limit.resourceName), "
                + "resource_limit: \(limit.resourceLimit), service_id: \(limit.serviceID), "
                + "region_id: \(limit.regionID ?? "None")) doesn't satisfy current hierarchy model..")
    }
}
