// SPDX-License-Identifier: Apache-2.0
import Kernel
@testable import Placement
import Simulation
import Testing

/// The count of changes, and the index that is made by it.
struct RevisionTests {
    private func index(_ database: Database, after former: ProviderIndex? = nil) async throws -> ProviderIndex {
        try await database.snapshot { snapshot throws(Fault) in try IndexLoader.load(former, snapshot) }
    }

    private func hosts(_ count: Int) async throws -> Fixture {
        let fixture = try await Fixture()
        for number in 1...count {
            await fixture.provider(
                number, ["VCPU": 64, "MEMORY_MB": 4096, "DISK_GB": 100], traits: ["COMPUTE_NODE", "HW_CPU_X86_AVX"])
        }
        return fixture
    }

    @Test("An index takes 100 bytes at most for each inventory")
    func size() async throws {
        let index = try await index(hosts(200).cloud.database)
        #expect(index.stock.count == 600)
        #expect(index.bytes <= 100 * index.stock.count)
    }

    @Test("An index made from a former one is the one made from nothing")
    func renewal() async throws {
        let fixture = try await hosts(5)
        let database = fixture.cloud.database
        let former = try await index(database)
        await fixture.provider(6, ["VCPU": 4], parent: 3)
        await fixture.provider(7, ["DISK_GB": 4], aggregates: [1])
        #expect(await fixture.call("DELETE", "/resource_providers/\(Fixture.id(2))").status == 204)
        let body = Fixture.claim(4, ["VCPU": 3])
        #expect(await fixture.call("PUT", "/allocations/\(Fixture.id(100))", body).status == 204)
        let (renewed, whole) = (try await index(database, after: former), try await index(database))
        #expect(renewed.revision == whole.revision && renewed.revision > former.revision)
        #expect(renewed.entries.map(\.id) == whole.entries.map(\.id))
        #expect(renewed.trees == whole.trees)
        #expect(renewed.entries.map(\.parent) == whole.entries.map(\.parent))
        #expect(renewed.stock.map(\.used).reduce(0, +) == 3)
        #expect(renewed.stock.count == whole.stock.count)
    }

    @Test("What another process writes is seen by the next question")
    func others() async throws {
        let fixture = try await hosts(2)
        #expect(await fixture.candidates("resources=VCPU:60").count == 2)
        try await fixture.cloud.database.transaction { transaction throws(Fault) in
            let id = Fixture.id(1)
            try transaction.execute(
                "UPDATE placement_inventories SET used = 10 WHERE provider_id = \(id) AND resource_class = 'VCPU'")
            try Revision.count([id], transaction)
        }
        #expect(await fixture.candidates("resources=VCPU:60").count == 1)
    }

    @Test("More changes than are remembered are read as a whole")
    func wrap() async throws {
        let fixture = try await hosts(2)
        #expect(await fixture.candidates("resources=VCPU:1").count == 2)
        try await fixture.cloud.database.transaction { transaction throws(Fault) in
            for _ in 0...Revision.remembered {
                try Revision.count(["00000000-0000-4000-8000-999999999999"], transaction)
            }
            try transaction.execute("UPDATE placement_inventories SET used = 64")
            try Revision.count([Fixture.id(1), Fixture.id(2)], transaction)
        }
        #expect(await fixture.candidates("resources=VCPU:1").isEmpty)
    }

    @Test("Breadth first gives one candidate of each tree before the second of any")
    func breadth() async throws {
        let fixture = try await Fixture()
        for tree in [1, 2] {
            await fixture.provider(tree * 10)
            for child in 1...3 { await fixture.provider(tree * 10 + child, ["VGPU": 1], parent: tree * 10) }
        }
        let index = try await index(fixture.cloud.database)
        func trees(_ candidates: [Candidate]) -> [Int32] {
            candidates.map { index.entries[Int($0.picks[0])].tree }
        }
        var query = CandidateQuery()
        query.groups = [RequestGroup(suffix: "", resources: ["VGPU": 1])]
        let plan = try #require(CandidatePlan(query, at: "1.39", in: index))
        var deep = CandidateSearch(plan, in: index)
        var wide = CandidateSearch(plan, in: index)
        #expect(trees(deep.depthFirst(most: 4)) == [0, 0, 0, 1])
        #expect(trees(wide.breadthFirst(most: 4)) == [0, 1, 0, 1])
    }
}
