// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What a server's ports take of Placement when one of them comes under another policy. All of the server's ports are
/// counted anew, so that it may be said again after an end at any moment.
struct PortAllocation: Sendable {
    /// What the port's profile says from now on.
    let allocation: JSONObject
    private let request: Request
    private let before: PlacementClient.Claim
    private let after: PlacementClient.Claim

    /// Nil when nothing was allocated for the port: then what its policy promises is between hosts alone, as upstream.
    init?(_ request: Request, _ port: Port) async throws(Fault) {
        guard let said = request.json?["port"]?["qos_policy_id"], port.deviceOwner.hasPrefix("compute:"),
            let given = port.profile["allocation"]?.object, !given.isEmpty
        else { return nil }
        let database = request.database
        var policies = try await QoSBinding.policies(database, of: [port.id, port.networkID])
        let old = try await ResourceRequests.all(database, [port], policies)[port.id] ?? .null
        policies[port.id] = said.string
        let new = try await ResourceRequests.all(database, [port], policies)[port.id] ?? .null
        allocation = PortAllocation.carry(given, from: old, to: new)
        guard
            let held = try await request.network.placement.holding(port.deviceID, requestID: request.id)
        else { return nil }
        // Everything that ports take, of whichever part: the old amounts of all go, the new ones come.
        var way = held.allocations
        for provider in Set(given.compactMap(\.value.string)) {
            for name in way[provider]?.keys.filter({ $0.hasPrefix("NET_") }) ?? [] { way[provider]?[name] = nil }
        }
        let others = try await database.all(Port.self, "device_id = \(port.deviceID) AND id <> \(port.id)")
        let theirs = try await QoSBinding.policies(database, of: others.flatMap { [$0.id, $0.networkID] })
        let asked = try await ResourceRequests.all(database, others, theirs)
        let touched = Set(given.compactMap(\.value.string))
        for other in others {
            PortAllocation.add(
                asked[other.id] ?? .null, by: other.profile["allocation"]?.object ?? JSONObject(), to: &way, of: touched
            )
        }
        PortAllocation.add(new, by: allocation, to: &way, of: touched)
        self.request = request
        before = held
        after = PlacementClient.Claim(
            consumer: held.consumer, allocations: way.filter { !$0.value.isEmpty }, project: held.project,
            user: held.user, generation: held.generation)
    }

    /// Takes it, or says that there is not so much.
    func take() async throws(Fault) {
        guard after.allocations != before.allocations else { return }
        do throws(Fault) {
            try await request.network.placement.claim([after], requestID: request.id)
        } catch {
            guard error.status == 409 else { throw error }
            throw .neutron(
                409, "QosPlacementAllocationUpdateConflict",
                "Updating placement allocation with \(after.allocations) for consumer \(after.consumer) failed. The "
                    + "requested resources would exceed the capacity available.")
        }
    }

    /// Gives it back when the port stays as it was.
    func giveBack() async {
        guard after.allocations != before.allocations else { return }
        let now: PlacementClient.Claim?
        do throws(Fault) {
            now = try await request.network.placement.holding(after.consumer, requestID: request.id)
        } catch { return }
        let claim = PlacementClient.Claim(
            consumer: before.consumer, allocations: before.allocations, project: before.project, user: before.user,
            generation: now?.generation)
        try? await request.network.placement.claim([claim], requestID: request.id)
    }

    /// Groups are named by their rules; what asks for the same kind of thing is had of the same part.
    private static func carry(_ given: JSONObject, from old: JSON, to new: JSON) -> JSONObject {
        func groups(_ request: JSON) -> [JSON] { request["request_groups"]?.array ?? [] }
        var carried = JSONObject()
        for group in groups(new) {
            guard let id = group["id"]?.string,
                let like = groups(old).first(where: { $0["required"] == group["required"] }),
                let provider = given[like["id"]?.string ?? ""]
            else { continue }
            carried[id] = provider
        }
        return carried
    }

    private static func add(
        _ request: JSON, by allocation: JSONObject, to way: inout PlacementClient.Way, of touched: Set<String>
    ) {
        for group in request["request_groups"]?.array ?? [] {
            guard let provider = allocation[group["id"]?.string ?? ""]?.string, touched.contains(provider) else {
                continue
            }
            for (name, amount) in group["resources"]?.object ?? JSONObject() {
                way[provider, default: [:]][name, default: 0] += amount.integer ?? 0
            }
        }
    }
}
