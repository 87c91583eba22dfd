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
        var search = CandidateSearch(query, at: request.version, in: request.database)
        let result = try await search.run()
        let reply = Reply.bare { view in
            view.list("allocation_requests", result.candidates) { view, candidate in write(candidate, &view) }
            view.nest("provider_summaries") { view in
                for supply in result.supplies { summarize(supply, asked, &view) }
            }
        }
        return reply.stamped(request)
    }

    private static func write(_ candidate: Candidate, _ view: inout View) {
        var groups: [(provider: String, takes: [Candidate.Take])] = []
        for take in candidate.takes {
            if let at = groups.firstIndex(where: { $0.provider == take.provider }) {
                groups[at].takes.append(take)
            } else {
                groups.append((take.provider, [take]))
            }
        }
        func resources(_ takes: [Candidate.Take], _ view: inout View) {
            view.nest("resources") { view in
                for take in takes { view.put(named: take.resourceClass, take.amount) }
            }
        }
        view.list("allocations", groups, until: "1.12") { view, group in
            view.nest("resource_provider") { $0.put("uuid", group.provider) }
            resources(group.takes, &view)
        }
        view.nest("allocations", since: "1.12") { view in
            for group in groups { view.nest(named: group.provider) { resources(group.takes, &$0) } }
        }
        view.nest("mappings", since: "1.34") { view in
            for (suffix, providers) in candidate.mappings.sorted(by: { $0.key < $1.key }) {
                view.put(named: suffix, providers)
            }
        }
    }

    private static func summarize(_ supply: Supply, _ asked: Set<String>, _ view: inout View) {
        let isWhole = view.version >= "1.27"
        view.nest(named: supply.id) { view in
            view.nest("resources") { view in
                for (name, row) in supply.stock.sorted(by: { $0.key < $1.key }) where isWhole || asked.contains(name) {
                    view.nest(named: name) { view in
                        view.put("capacity", row.units)
                        view.put("used", row.used)
                    }
                }
            }
            view.put("traits", StandardTraits.inOrder(supply.traits), since: "1.17")
            view.put("parent_provider_uuid", supply.provider.parentID, since: "1.29")
            view.put("root_provider_uuid", supply.provider.rootID, since: "1.29")
        }
    }
}
