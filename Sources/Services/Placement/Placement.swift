// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Placement: who has how much of what, and who has taken it.
package final class PlacementService: Service {
    package static let index = ServiceIndex(
        type: "placement", name: "placement", title: "Placement", port: 8778, mount: "/placement", base: "",
        versions: .placement, envelope: .placement, wording: .placement, rulePrefix: "placement:", scopes: .project,
        baseRules: [
            "admin_api": "role:admin",
            "service_api": "role:service",
            "admin_or_service_api": "role:admin or role:service",
            "project_reader_api": "role:reader and project_id:%(project_id)s",
            "admin_or_project_reader_or_service_api": "role:admin or rule:project_reader_api or role:service",
        ],
        resources: [
            Versions.self, Provider.self, Inventory.self, ResourceClass.self, Trait.self, ProviderTrait.self,
            ProviderAggregate.self, Allocation.self, Usages.self, AllocationCandidates.self, Reshaper.self,
            Revision.self,
        ])

    package let database: Database
    package let clock: any WallClock
    package let ids: any Identifiers
    package let log: Log

    package let options: PlacementOptions
    private let indexes = Published<ProviderIndex>()

    package init(
        database: Database, clock: any WallClock, ids: any Identifiers, log: Log,
        options: PlacementOptions = PlacementOptions()
    ) {
        self.database = database
        self.clock = clock
        self.ids = ids
        self.log = log
        self.options = options
    }

    /// Who has what, as the database has it now: the index at hand when one look at the count of changes finds it
    /// current, else one made from it and what changed.
    func index(in database: Database) async throws(Fault) -> ProviderIndex {
        let known = indexes.value
        if let known, try await Revision.present(database.rows(Revision.query)) == known.revision { return known }
        let fresh = try await database.snapshot { snapshot throws(Fault) in try IndexLoader.load(known, snapshot) }
        indexes.offer(fresh) { $0.revision >= fresh.revision }
        return fresh
    }
}
