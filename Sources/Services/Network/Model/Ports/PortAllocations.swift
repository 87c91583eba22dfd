// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What a server's ports take of Placement when some of them come under another policy. All of the server's ports are
/// counted anew, so that it may be said again after an end at any moment.
struct PortAllocation: Sendable {
    /// What the ports' profiles say from now on, by port.
    let allocations: [String: JSONObject]
    private let request: Request
    private let before: PlacementClient.Claim
    private let after: PlacementClient.Claim

    /// When a port is put under another policy.
    init?(_ request: Request, _ port: Port) async throws(Fault) {
        guard let said = request.json?["port"]?["qos_policy_id"] else { return nil }
        try await self.init(request, [port], server: port.deviceID, changing: port.id, to: said.string)
    }

    /// When a network is put under another policy: one for each server with ports that have none of their own.
    static func all(_ request: Request, _ network: Network) async throws(Fault) -> [PortAllocation] {
        guard let said = request.json?["network"]?["qos_policy_id"] else { return [] }
        let ports = try await request.database.all(
            Port.self,
            """
            network_id = \(network.id) AND device_owner LIKE 'compute:%' \
            AND id NOT IN (SELECT object_id FROM network_qos_bindings)
            """)
        var found: [PortAllocation] = []
        for (server, ports) in Dictionary(grouping: ports, by: \.deviceID).sorted(by: { $0.key < $1.key }) {
            let one = try await PortAllocation(request, ports, server: server, changing: network.id, to: said.string)
            if let one { found.append(one) }
        }
        return found
    }

    /// Nil when nothing was allocated for the ports: then what their policy promises is no matter of Placement's, as
    /// upstream.
    /// - Parameter object: the port or the network that comes under the policy.
    private init?(
        _ request: Request, _ ports: [Port], server: String, changing object: String, to policy: String?
    ) async throws(Fault) {
        let ports = ports.filter { port in
            port.deviceOwner.hasPrefix("compute:") && port.profile["allocation"]?.object?.isEmpty == false
        }
        guard !ports.isEmpty else { return nil }
        let database = request.database
        var policies = try await QoSBinding.policies(database, of: ports.flatMap { [$0.id, $0.networkID] })
        let old = try await ResourceRequests.all(database, ports, policies)
        policies[object] = policy
        let new = try await ResourceRequests.all(database, ports, policies)
        var carried: [String: JSONObject] = [:]
        for port in ports {
            carried[port.id] = PortAllocation.carry(
                port.profile["allocation"]?.object ?? JSONObject(), from: old[port.id] ?? .null,
                to: new[port.id] ?? .null)
        }
        allocations = carried
        guard let held = try await request.network.placement.holding(server, requestID: request.id) else { return nil }
        let touched = Set(ports.flatMap { ($0.profile["allocation"]?.object ?? [:]).compactMap(\.value.string) })
        // Everything that ports take, of whichever part: the old amounts of all go, the new ones come.
        var way = held.allocations
        for provider in touched {
            for name in way[provider]?.keys.filter({ $0.hasPrefix("NET_") }) ?? [] { way[provider]?[name] = nil }
        }
        let others = try await database.all(Port.self, "device_id = \(server)").filter { carried[$0.id] == nil }
        let theirs = try await QoSBinding.policies(database, of: others.flatMap { [$0.id, $0.networkID] })
        let asked = try await ResourceRequests.all(database, others, theirs)
        for other in others {
            PortAllocation.add(
                asked[other.id] ?? .null, by: other.profile["allocation"]?.object ?? JSONObject(), to: &way, of: touched
            )
        }
        for port in ports {
            PortAllocation.add(new[port.id] ?? .null, by: carried[port.id] ?? JSONObject(), to: &way, of: touched)
        }
        self.request = request
        before = held
        after = PlacementClient.Claim(
            consumer: held.consumer, allocations: way.filter { !$0.value.isEmpty }, project: held.project,
            user: held.user, generation: held.generation)
    }

    /// Writes down where a port has it from.
    func note(in port: inout Port) {
        if let allocation = allocations[port.id] { port.profile["allocation"] = .object(allocation) }
    }

    /// Writes down where its ports have it from.
    func note(_ transaction: Transaction) throws(Fault) {
        for var port in try transaction.all(Port.self, "id", in: allocations.keys.sorted()) {
            note(in: &port)
            let noted = port
            try transaction.replace(noted, where: "id = \(noted.id)", or: Port.notFound(noted.id))
        }
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
