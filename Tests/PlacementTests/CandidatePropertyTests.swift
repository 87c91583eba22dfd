// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

/// Candidates against the plain reference, over random books that change between the questions. `make property` asks
/// 100,000 times; APUS_SEED repeats one seed.
struct CandidatePropertyTests {
    static let questions = 100

    static let seeds: [UInt64] = {
        if let seed = Environment.variable("APUS_SEED").flatMap(UInt64.init) { return [seed] }
        let cases = Environment.variable("APUS_PROPERTY_CASES").flatMap(Int.init) ?? 2000
        return (0..<max(1, cases / questions)).map(UInt64.init)
    }()

    @Test("Candidates are those that the plain way finds", arguments: seeds)
    func candidates(seed: UInt64) async throws {
        var books = try await RandomBooks(seed: seed)
        for question in 0..<Self.questions {
            for _ in 0..<(question == 0 ? 30 : books.number(3)) { await books.change() }
            let wish = books.wish()
            let world = try await World(books.fixture.cloud.database)
            let answer = await books.fixture.call("GET", "/allocation_candidates", query: wish.query)
            let note = "seed \(seed), question \(question): \(wish.query)"
            try #require(answer.status == 200, "\(note): \(answer.json.text())")
            let requests = (answer["allocation_requests"].array ?? []).map(Self.way)
            let found = Set(requests)
            let ways = world.ways(wish)
            try #require(found.count == requests.count, "\(note): one way twice")
            if let limit = wish.limit {
                try #require(found.isSubset(of: ways) && found.count == min(limit, ways.count), "\(note)")
            } else {
                try #require(found == ways, "\(note): \(found.count) found, \(ways.count) there are")
                let distinct = await books.fixture.distinct(wish.query).map(Self.way)
                try #require(Set(distinct.map(\.takes)) == Set(ways.map(\.takes)), "\(note), distinct")
                try #require(distinct.count <= ways.count && Set(distinct).isSubset(of: ways), "\(note), distinct")
            }
            let problem = Self.problem(answer["provider_summaries"].object ?? JSONObject(), found, world)
            try #require(problem == nil, "\(note): \(problem ?? "")")
        }
    }

    private static func way(_ request: JSON) -> Way {
        var way = Way()
        for (id, part) in request["allocations"]?.object ?? JSONObject() {
            for (name, amount) in part["resources"]?.object ?? JSONObject() {
                way.takes[id, default: [:]][name] = amount.integer ?? 0
            }
        }
        for (suffix, ids) in request["mappings"]?.object ?? JSONObject() {
            way.mappings[suffix] = Set((ids.array ?? []).compactMap(\.string))
        }
        return way
    }

    /// What is wrong with the summaries of an answer.
    private static func problem(_ summaries: JSONObject, _ found: Set<Way>, _ world: World) -> String? {
        let roots = Set(found.flatMap { $0.takes.keys }.compactMap { world.holders[$0]?.root })
        let shown = world.holders.filter { roots.contains($0.value.root) }
        guard Set(summaries.keys) == Set(shown.keys) else { return "summaries of \(summaries.keys)" }
        for (id, holder) in shown {
            let summary = summaries[id] ?? .null
            let traits = Set((summary["traits"]?.array ?? []).compactMap(\.string))
            guard traits == holder.traits, summary["root_provider_uuid"]?.string == holder.root,
                summary["parent_provider_uuid"]?.string == holder.parent
            else { return "\(id) is \(summary.text())" }
            let resources = summary["resources"]?.object ?? JSONObject()
            guard Set(resources.keys) == Set(holder.shelves.keys) else { return "\(id) has \(resources.keys)" }
            for (name, shelf) in holder.shelves {
                let amounts = resources[name] ?? .null
                guard amounts["used"]?.integer == shelf.used,
                    amounts["capacity"]?.integer == Int(shelf.capacity.rounded(.towardZero))
                else { return "\(id) \(name): \(amounts.text()), but \(shelf.used) of \(shelf.capacity)" }
            }
        }
        return nil
    }
}
