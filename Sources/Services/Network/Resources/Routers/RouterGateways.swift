// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Several ways out of one router, added, moved and taken away together.
package enum RouterGateways: Resource {
    package static let routes: [Route] = [
        .put(
            "/routers/{id}/add_external_gateways", "Add external gateways to router", of: Router.visible,
            allow: .rule("add_external_gateways", NetworkRules.adminOrMember), add),
        .put(
            "/routers/{id}/update_external_gateways", "Update external gateways of router", of: Router.visible,
            allow: .rule("update_external_gateways", NetworkRules.adminOrMember), update),
        .put(
            "/routers/{id}/remove_external_gateways", "Remove external gateways from router", of: Router.visible,
            allow: .rule("remove_external_gateways", NetworkRules.adminOrMember), remove),
    ]

    /// More ways out than anybody needs, and few enough to be made in one transaction.
    fileprivate static let maximum = 32
    fileprivate static let tooMany = Fault.httpBadRequest(
        "Invalid input for external_gateways. Reason: a router has at most \(maximum) gateways.")

    /// The gateways named; nil when the member is not there, which asks for nothing.
    private static func asked(
        _ request: Request, _ deed: String, _ router: Router, judgesMembers: Bool = true
    ) throws(Fault) -> [GatewayWish]? {
        var body = try request.body("router")
        let member = "external_gateways"
        guard body.peek(member) != nil else {
            try body.end()
            return nil
        }
        let rule = "\(deed):\(member)"
        guard request.may(rule, on: router) else { throw request.index.envelope.refusal(rule) }
        var wishes: [GatewayWish] = []
        // The openstack command says so that it means none.
        if body.peek(member)?.object?.isEmpty == true {
            _ = try body.take(member, .any)
            try body.end()
            return []
        }
        let entries = try body.takeObjects(member) ?? []
        guard entries.count <= maximum else { throw tooMany }
        for var entry in entries {
            wishes.append(try GatewayWish(&entry, request, judgesMembers ? rule : nil, on: router))
        }
        try body.end()
        return wishes
    }

    private static func change(
        _ request: Request, _ id: String,
        _ edit: @escaping @Sendable (Transaction, inout Router) throws(Fault) -> Void
    ) async throws(Fault) -> Reply {
        let router = try await Router.change(request, id) { transaction, router throws(Fault) in
            try edit(transaction, &router)
            try transaction.touch(.router, router.id, request)
        }
        return try await router.reply(request)
    }

    private static func add(_ request: Request, _ found: Router) async throws(Fault) -> Reply {
        guard let wishes = try asked(request, "add_external_gateways", found) else {
            return try await found.reply(request)
        }
        return try await change(request, found.id) { transaction, router throws(Fault) in
            for wish in wishes { try router.add(wish, transaction, request) }
        }
    }

    private static func remove(_ request: Request, _ found: Router) async throws(Fault) -> Reply {
        guard
            let wishes = try asked(request, "remove_external_gateways", found, judgesMembers: false), !wishes.isEmpty
        else { return try await found.reply(request) }
        return try await change(request, found.id) { transaction, router throws(Fault) in
            guard try !router.gateways(transaction).isEmpty else {
                throw .neutron(
                    400, "UnableToRemoveGateways", "Unable to remove extra gateways from a router \(router.id)")
            }
            for wish in wishes {
                guard let port = try router.match(wish, transaction, isNeeded: true) else { throw router.unmatched }
                try router.drop(port, transaction, request)
            }
        }
    }

    /// The router's gateways become these; the first is the one that `external_gateway_info` shows.
    private static func update(_ request: Request, _ found: Router) async throws(Fault) -> Reply {
        guard let wishes = try asked(request, "update_external_gateways", found) else {
            return try await found.reply(request)
        }
        return try await change(request, found.id) { transaction, router throws(Fault) in
            guard let first = wishes.first else { return try router.leaveGateways(transaction, request) }
            var kept: Set<String> = []
            var missing: [GatewayWish] = []
            if let port = try router.match(first, transaction, isNeeded: false) {
                router.gatewayPortID = port.id
                router.gatewayNetworkID = port.networkID
            }
            // Addresses may change hands within one request: what goes, goes first.
            var moves: [(Port, [AskedIP])] = []
            for wish in wishes.dropFirst() {
                guard let port = try router.match(wish, transaction, isNeeded: false, besides: kept) else {
                    missing.append(wish)
                    continue
                }
                kept.insert(port.id)
                if let asked = wish.fixedIPs { moves.append((port, asked)) }
            }
            for port in try router.gateways(transaction)
            where port.id != router.gatewayPortID && !kept.contains(port.id) {
                try router.drop(port, transaction, request)
            }
            try router.lead(to: first, transaction, request)
            for (port, asked) in moves { try router.moveGateway(port.id, to: asked, transaction, request) }
            for wish in missing { try router.add(wish, transaction, request) }
        }
    }
}

extension Router {
    fileprivate mutating func add(
        _ wish: GatewayWish, _ transaction: Transaction, _ request: Request
    ) throws(Fault) {
        guard gatewayPortID != nil, let id = wish.network else { return try lead(to: wish, transaction, request) }
        guard try gateways(transaction).count < RouterGateways.maximum else { throw RouterGateways.tooMany }
        let network = try wish.check(id, transaction, request)
        _ = try makeGateway(wish, on: network, transaction, request)
    }

    fileprivate mutating func drop(
        _ port: Port, _ transaction: Transaction, _ request: Request
    ) throws(Fault) {
        guard port.id != gatewayPortID else { return try leaveGateway(transaction, request) }
        try checkReleased(port.id, transaction)
        try port.remove(transaction, request)
    }

    /// The gateway that is meant: by its addresses, or as the only one on its network.
    fileprivate func match(
        _ wish: GatewayWish, _ transaction: Transaction, isNeeded: Bool, besides taken: Set<String> = []
    ) throws(Fault) -> Port? {
        let candidates = try gateways(transaction).filter { $0.networkID == wish.network && !taken.contains($0.id) }
        guard let asked = wish.fixedIPs else {
            guard candidates.count < 2 else { throw unmatched }
            return candidates.first
        }
        let addresses = asked.compactMap(\.address)
        let found = candidates.first { port in port.fixedIPs.entries.contains { addresses.contains($0.address) } }
        if found == nil, isNeeded, !candidates.isEmpty { throw unmatched }
        return found
    }

    fileprivate var unmatched: Fault {
        .neutron(
            400, "UnableToMatchGateways",
            "Unable to match a requested gateway port to existing gateway ports for router \(id)")
    }
}
