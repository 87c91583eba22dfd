// SPDX-License-Identifier: Apache-2.0
import Kernel
import Placement
import Simulation
import Testing

/// Repairs of old rows, and the checks that ask for them.
struct UpkeepTests {
    private static func run(_ name: String, _ database: Database, most: Int = 50) async throws -> [Int] {
        let step = try #require(Upkeep.migrations.first { $0.name == name })
        let (found, done) = try await step.run(database, most)
        return [found, done]
    }

    @Test("Sound books need no repair")
    func sound() async throws {
        let database = try await Fixture().cloud.database
        #expect(try await Upkeep.checks(database).map(\.code) == [.success, .success])
    }

    @Test("Allocations without a consumer get one, some at a time")
    func consumers() async throws {
        let database = try await Fixture().cloud.database
        for number in 1...3 {
            try await database.execute(
                """
                INSERT INTO placement_allocations (consumer_id, provider_id, resource_class, used)
                VALUES (\(Fixture.id(number)), \(Fixture.id(9)), 'VCPU', 1)
                """)
        }
        #expect(try await Upkeep.checks(database)[1].code == .warning)
        #expect(try await Self.run("create_incomplete_consumers", database, most: 2) == [3, 2])
        #expect(try await Self.run("create_incomplete_consumers", database) == [1, 1])
        #expect(try await Upkeep.checks(database)[1].code == .success)
    }

    @Test("Providers whose root is lost get the one their parents lead to")
    func roots() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 4])
        await fixture.provider(2, ["VCPU": 4], parent: 1)
        let database = fixture.cloud.database
        try await database.execute("UPDATE placement_providers SET root_id = 'lost' WHERE id = \(Fixture.id(2))")
        #expect(try await Upkeep.checks(database)[0].code == .failure)
        #expect(try await Self.run("set_root_provider_ids", database) == [1, 1])
        #expect(
            await fixture.call("GET", "/resource_providers/\(Fixture.id(2))")["root_provider_uuid"]
                == .string(Fixture.id(1)))
    }
}
