// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Repairs of old rows that can be made while a cloud runs, and checks that none are needed: what placement-manage's
/// online data migrations and placement-status look at, under their names.
package enum Upkeep {
    package struct Step: Sendable {
        package let name: String
        /// Mends at most so many rows; gives how many need it, and how many were mended.
        package let run: @Sendable (_ database: Database, _ most: Int) async throws(Fault) -> (found: Int, done: Int)
    }

    package struct Result: Sendable {
        package enum Code: Int, Sendable {
            case success, warning, failure
            package var word: String { ["Success", "Warning", "Failure"][rawValue] }
        }
        package let check: String
        package let code: Code
        package let details: String?

        package init(_ check: String, _ code: Code, _ details: String? = nil) {
            self.check = check
            self.code = code
            self.details = details
        }
    }

    package static let migrations = [
        Step(name: "set_root_provider_ids", run: setRoots),
        Step(name: "create_incomplete_consumers", run: makeConsumers),
    ]

    private static let rootless: SQL = "root_id NOT IN (SELECT r.id FROM placement_providers r)"
    private static let ownerless: SQL = """
        SELECT DISTINCT a.consumer_id FROM placement_allocations a
        WHERE a.consumer_id NOT IN (SELECT c.id FROM placement_consumers c)
        """

    package static func checks(_ database: Database) async throws(Fault) -> [Result] {
        let rootless = try await database.count(Provider.self, rootless)
        let ownerless = try await database.rows(ownerless).count
        return [
            Result(
                "Missing Root Provider IDs", rootless > 0 ? .failure : .success,
                rootless > 0
                    ? "There is at least one resource provider table record which misses its root provider id. "
                        + "Run \"apus placement db online_data_migrations\"." : nil),
            Result(
                "Incomplete Consumers", ownerless > 0 ? .warning : .success,
                ownerless > 0
                    ? "There are \(ownerless) incomplete consumers table records for existing allocations. "
                        + "Run \"apus placement db online_data_migrations\"." : nil),
        ]
    }

    /// Gives providers the root that their parents lead to.
    private static func setRoots(_ database: Database, _ most: Int) async throws(Fault) -> (found: Int, done: Int) {
        try await database.transaction { transaction throws(Fault) in
            let lost = try transaction.all(Provider.self, rootless + " ORDER BY id")
            for provider in lost.prefix(most) {
                var top = provider
                var steps = 0
                while let parent = top.parentID, steps < 1000,
                    let above = try transaction.first(Provider.self, "id = \(parent)")
                {
                    top = above
                    steps += 1
                }
                try transaction.update(Provider.self, set: "root_id = \(top.id)", where: "id = \(provider.id)")
                try Revision.count([Revision.everything], transaction)
            }
            return (lost.count, min(lost.count, most))
        }
    }

    /// Gives allocations that belong to nobody a consumer of nobody's.
    private static func makeConsumers(_ database: Database, _ most: Int) async throws(Fault) -> (found: Int, done: Int)
    {
        try await database.transaction { transaction throws(Fault) in
            let ids = try transaction.rows(ownerless).compactMap { $0[0].text }
            for id in ids.prefix(most) {
                try transaction.insert(
                    Consumer(
                        id: id, projectID: Consumer.unnamed, userID: Consumer.unnamed, type: nil, generation: 0))
            }
            return (ids.count, min(ids.count, most))
        }
    }
}
