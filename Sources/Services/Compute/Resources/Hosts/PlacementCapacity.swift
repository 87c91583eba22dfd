// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A dry run of the scheduler: would so many servers fit, where, how many more, and what runs out. Apus's own addition
/// to the API.
enum PlacementCapacity: Resource {
    static let routes: [Route] = [
        .post(
            "/placement-capacity", "Ask whether servers would fit", of: Anything.from,
            allow: .adminOnly("placement-capacity:show"), show, status: 200)
    ]

    /// How many beyond those asked about are tried.
    private static let more = 10_000

    private static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("capacity")
        let flavorRef = try body.need("flavorRef", .reference)
        let imageRef = try body.option("imageRef", .uuid)
        let count = try body.take("count", .integer(1...10_000)) ?? 1
        let zone = try body.option("availability_zone", .text(1...255))
        let host = try body.option("host", .text(1...255))
        let project = try body.option("project_id", .text(1...64))
        let hints = try SchedulerHints.read(try body.take("hints", .any), "capacity.hints", request)
        try body.end()
        let flavor = try await Flavor.find(flavorRef, request)
        var properties: [String: String] = [:]
        if let imageRef {
            guard let image = try await request.compute.images.find(imageRef, requestID: request.id) else {
                throw .badRequest("Can not find requested image")
            }
            properties = image.guestProperties
        }
        let owner = project ?? request.caller.projectID ?? ""
        var task = SchedulingTask(
            subjects: (1...count + more).map { .init(id: "trial-\($0)", projectID: owner, userID: "") },
            flavor: flavor.snapshot, imageID: imageRef, imageProperties: properties,
            request: SchedulingRequest(hints: hints, zone: zone, host: host))
        task.groupID = hints["group"]?.string
        task.purpose = .trial
        let decision = try await Scheduler(request.compute, requestID: request.id).choose(task)
        return answer(decision, count)
    }

    private static func answer(_ decision: Decision, _ count: Int) -> Reply {
        let total = decision.choices.count
        var shares: [String: Int] = [:]
        for choice in decision.choices.prefix(count) { shares[choice.host.name, default: 0] += 1 }
        let hosts = shares.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(50)
        let exhausted = decision.exhausted.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        return .object("capacity") { view in
            view.put("fits", total >= count)
            view.put("count", count)
            view.put("placed", min(count, total))
            view.put("more", max(0, total - count))
            view.put("more_is_at_least", total == count + more)
            view.put("resources", decision.resources)
            view.put("hosts_considered", decision.considered)
            view.list("hosts", Array(hosts)) { view, share in
                view.put("host", share.key)
                view.put("servers", share.value)
            }
            view.list("runs_out", exhausted) { view, item in
                view.put("what", item.key)
                view.put("hosts", item.value)
            }
            view.list("removed", decision.dropped) { view, dropped in
                view.put("filter", dropped.filter)
                view.put("hosts", dropped.hosts)
                view.put("reason", dropped.reason)
                view.put("examples", dropped.examples)
            }
            view.list("nearest_misses", decision.misses) { view, miss in
                view.put("host", miss.host)
                view.put("step", miss.step)
                view.put("reason", miss.reason)
            }
            view.put("remedy", total >= count ? "" : decision.remedy)
        }
    }
}
