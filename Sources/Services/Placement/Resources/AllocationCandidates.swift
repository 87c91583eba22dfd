// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Who could serve a request, as bodies that `PUT /allocations/{consumer}` takes, and what each of them has.
enum AllocationCandidates: Resource {
    static let routes: [Route] = [
        .get(
            "/allocation_candidates", "List allocation candidates", of: Anything.from,
            allow: .adminOrService("allocation_candidates:list"), index, since: "1.10")
    ]

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let query = try CandidateQuery(request)
        let asked = Set(query.groups.flatMap(\.resources.keys))
        if let unknown = try await ResourceClass.unknown(asked, request.database) {
            throw .badRequest("Invalid resource class in resources parameter: \(Fault.noSuchClass(unknown))")
        }
        let traits = query.groups.reduce(into: query.rootTraits.names) { $0.formUnion($1.traits.names) }
        if let missing = try await Trait.unknown(traits, request.database) {
            throw .badRequest("No such trait(s): \(missing).")
        }
        let room = request.room(PlacementService.self)
        let index = try await room.index(in: request.database)
        let plan = CandidatePlan(query, at: request.version, in: index)
        let found = plan.map { search($0, index, query.limit, room.options, request.ids) } ?? []
        let reply = Reply.bare { view in
            CandidateAnswer(index: index, plan: plan, query: query, found: found).write(&view)
        }
        return reply.stamped(request)
    }

    private static func search(
        _ plan: CandidatePlan, _ index: ProviderIndex, _ limit: Int?, _ options: PlacementOptions,
        _ ids: any Identifiers
    ) -> [Candidate] {
        let limit = limit ?? .max
        let generated = options.candidatesMax < 0 ? Int.max : options.candidatesMax
        // A random choice is one of all that there are.
        let most = options.isRandom ? generated : min(generated, limit)
        var search = CandidateSearch(plan, in: index)
        // Whoever takes any set of providers wants to see all trees before all sets of one.
        var found =
            options.isBreadthFirst || plan.isDistinct ? search.breadthFirst(most: most) : search.depthFirst(most: most)
        guard options.isRandom else { return found }
        for at in found.indices.prefix(limit) { found.swapAt(at, at + ids.number(below: found.count - at)) }
        return Array(found.prefix(limit))
    }
}

/// Candidates as they are told, with the providers they take of.
struct CandidateAnswer {
    let index: ProviderIndex
    let plan: CandidatePlan?
    let query: CandidateQuery
    let found: [Candidate]

    func write(_ view: inout View) {
        let isObject = view.version >= "1.12"
        view.list("allocation_requests", found) { view, candidate in
            let takes = takes(candidate)
            if isObject {
                view.nest("allocations") { view in
                    for take in takes {
                        view.nest(named: index.entries[take.provider].id.text) { resources(take.amounts, &$0) }
                    }
                }
            } else {
                view.list("allocations", takes) { view, take in
                    view.nest("resource_provider") { $0.put("uuid", index.entries[take.provider].id.text) }
                    resources(take.amounts, &view)
                }
            }
            view.nest("mappings", since: "1.34") { mappings(candidate, &$0) }
        }
        view.nest("provider_summaries") { summaries(&$0) }
    }

    private typealias Amounts = [(resourceClass: Int32, amount: Int64)]

    /// What a candidate takes, by provider; the same class asked for by several groups is one amount.
    private func takes(_ candidate: Candidate) -> [(provider: Int, amounts: Amounts)] {
        var takes: [(provider: Int, amounts: Amounts)] = []
        guard let plan else { return takes }
        for (provider, demand) in zip(candidate.picks, plan.demands) where !demand.amounts.isEmpty {
            let provider = Int(provider)
            guard let at = takes.firstIndex(where: { $0.provider == provider }) else {
                takes.append((provider, demand.amounts))
                continue
            }
            for amount in demand.amounts {
                if let same = takes[at].amounts.firstIndex(where: { $0.resourceClass == amount.resourceClass }) {
                    takes[at].amounts[same].amount += amount.amount
                } else {
                    takes[at].amounts.append(amount)
                }
            }
        }
        return takes
    }

    private func resources(_ amounts: Amounts, _ view: inout View) {
        view.nest("resources") { view in
            for (resourceClass, amount) in amounts {
                view.put(named: index.names.classes[Int(resourceClass)], amount)
            }
        }
    }

    private func mappings(_ candidate: Candidate, _ view: inout View) {
        guard let plan else { return }
        for (at, group) in query.groups.enumerated() {
            let providers = zip(candidate.picks, plan.demands).filter { $0.1.group == at }.map { Int($0.0) }
            let ids = Set(providers).map { index.entries[$0].id }.sorted()
            view.put(named: group.suffix, ids.map(\.text))
        }
    }

    // MARK: Summaries

    /// Since 1.29 of all in the trees that are taken of, before of those that are taken of.
    private func summaries(_ view: inout View) {
        guard let plan else { return }
        let isWhole = view.version >= "1.29"
        var shown = [Bool](repeating: false, count: index.entries.count)
        for candidate in found {
            for (provider, demand) in zip(candidate.picks, plan.demands) where !demand.amounts.isEmpty {
                if !isWhole {
                    shown[Int(provider)] = true
                } else if case let tree = Int(index.entries[Int(provider)].tree), !shown[Int(index.trees[tree])] {
                    for member in index.range(ofTree: tree) { shown[member] = true }
                }
            }
        }
        let asked = Set(query.groups.flatMap(\.resources.keys))
        let hasAll = view.version >= "1.27"
        let traits = index.names.traitSets.map(StandardTraits.inOrder)
        for provider in shown.indices where shown[provider] {
            let entry = index.entries[provider]
            view.nest(named: entry.id.text) { view in
                view.nest("resources") { view in
                    for stock in index.stock[index.range(ofStock: provider)] {
                        let name = index.names.classes[Int(stock.resourceClass)]
                        guard hasAll || asked.contains(name) else { continue }
                        view.nest(named: name) { view in
                            view.put("capacity", stock.capacity)
                            view.put("used", stock.used)
                        }
                    }
                }
                view.put("traits", traits[Int(entry.traits)], since: "1.17")
                view.put(
                    "parent_provider_uuid", index.parent(of: provider).map { index.entries[$0].id.text }, since: "1.29")
                view.put("root_provider_uuid", index.entries[index.root(of: provider)].id.text, since: "1.29")
            }
        }
    }
}
