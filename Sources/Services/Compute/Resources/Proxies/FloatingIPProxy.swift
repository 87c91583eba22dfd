// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Floating addresses as Compute handed them out before Network did; Network answers, in the caller's name. The calls
/// are gone since 2.36, the actions on servers since 2.44.
enum FloatingIPProxy: Resource {
    static let routes: [Route] = [
        .get(
            "/os-floating-ips", "List floating addresses", of: OwnScope.from, allow: .reader("os-floating-ips:list"),
            index, until: "2.36"),
        .post(
            "/os-floating-ips", "Allocate a floating address", of: OwnScope.from,
            allow: .member("os-floating-ips:create"), create, status: 200, until: "2.36"),
        .get(
            "/os-floating-ips/{id}", "Show a floating address", of: OwnScope.from,
            allow: .reader("os-floating-ips:show"), show, until: "2.36"),
        .delete(
            "/os-floating-ips/{id}", "Release a floating address", of: OwnScope.from,
            allow: .member("os-floating-ips:delete"), delete, status: 202, until: "2.36"),
        .action(
            ServerActions.path, "addFloatingIp", "Give a server a floating address", of: Server.visible,
            allow: .member("os-floating-ips:add"), add, until: "2.44"),
        .action(
            ServerActions.path, "removeFloatingIp", "Take a floating address from a server", of: Server.visible,
            allow: .member("os-floating-ips:remove"), remove, until: "2.44"),
    ]
}

// MARK: - Handlers

extension FloatingIPProxy {
    private static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let found = try await network(request).document(
            "GET", "/floatingips", query: [("project_id", scope.projectID)], requestID: request.id)
        let pools = try await pools(request)
        return .list(
            "floating_ips",
            (found["floatingips"]?.array ?? []).map { address in { write(address, pools, &$0) } })
    }

    private static func show(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let address = try await find(request)
        let pools = try await pools(request)
        return .object("floating_ip") { write(address, pools, &$0) }
    }

    private static func create(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let wanted = request.json?["pool"]?.string
        let externals = try await NetworkProxy.externals(request)
        guard
            let pool = wanted == nil
                ? externals.first : externals.first(where: { $0.id == wanted || $0.name == wanted })
        else {
            throw .notFound(wanted.map { "Floating IP pool not found: \($0)" } ?? "No more floating IPs available.")
        }
        let made: JSON
        do throws(Fault) {
            made = try await network(request).document(
                "POST", "/floatingips", ["floatingip": ["floating_network_id": .string(pool.id)]],
                requestID: request.id)
        } catch {
            let place = wanted.map { " in pool \($0)" } ?? ""
            switch error.status {
            case 409 where error.message.contains("uota"): throw .forbidden("IP allocation over quota\(place).")
            case 409: throw .notFound("No more floating IPs\(place.isEmpty ? " available" : place).")
            default: throw error
            }
        }
        return .object("floating_ip") { write(made["floatingip"] ?? .null, [pool.id: pool.name], &$0) }
    }

    private static func delete(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        _ = try await find(request)
        _ = try await network(request).document("DELETE", "/floatingips/" + request["id"], requestID: request.id)
        return .empty
    }

    private static func add(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("addFloatingIp")
        let address = try body.need("address", .ipAddress)
        let fixed = try body.take("fixed_address", .ipAddress)
        try body.end()
        guard !server.ports.isEmpty else { throw .badRequest("Instance network is not ready yet") }
        let all = server.ports.flatMap { port in
            port.addresses.filter { $0.kind == "fixed" }.map { (port: port.portID, address: $0) }
        }
        guard !all.isEmpty else { throw .badRequest("No fixed IPs associated to instance") }
        if let fixed, !all.contains(where: { $0.address.address == fixed }) {
            throw .badRequest("Specified fixed address not assigned to instance")
        }
        guard let place = all.first(where: { fixed == nil ? $0.address.version == 4 : $0.address.address == fixed })
        else {
            throw .badRequest(
                "Unable to associate floating IP \(address) to any fixed IPs for instance \(server.id). Instance has "
                    + "no fixed IPv4 addresses to associate.")
        }
        let floating = try await byAddress(address, request)
        let target: JSON = ["port_id": .string(place.port), "fixed_ip_address": .string(place.address.address)]
        do throws(Fault) {
            _ = try await network(request).document(
                "PUT", "/floatingips/" + (floating["id"]?.string ?? ""), ["floatingip": target], requestID: request.id)
        } catch {
            throw error.status == 404 || error.status == 403 ? error : .badRequest(error.message)
        }
        try await refresh(server, request)
        return .empty
    }

    private static func remove(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("removeFloatingIp")
        let address = try body.need("address", .ipAddress)
        try body.end()
        let floating = try await byAddress(address, request)
        guard let port = floating["port_id"]?.string, server.ports.contains(where: { $0.portID == port }) else {
            throw .conflict("Floating IP \(address) is not associated with instance \(server.id).")
        }
        _ = try await network(request).document(
            "PUT", "/floatingips/" + (floating["id"]?.string ?? ""), ["floatingip": ["port_id": .null]],
            requestID: request.id)
        try await refresh(server, request)
        return .empty
    }
}

// MARK: - Towards Network

extension FloatingIPProxy {
    private static func network(_ request: Request) -> NetworkClient {
        request.compute.network.acting(as: request.caller)
    }

    private static func find(_ request: Request) async throws(Fault) -> JSON {
        let id = request["id"]
        do throws(Fault) {
            return try await network(request).document("GET", "/floatingips/\(id)", requestID: request.id)["floatingip"]
                ?? .null
        } catch {
            throw error.status == 404 ? .notFound("Floating IP not found for ID \(id)") : error
        }
    }

    private static func byAddress(_ address: String, _ request: Request) async throws(Fault) -> JSON {
        let found = try await network(request).document(
            "GET", "/floatingips", query: [("floating_ip_address", address)], requestID: request.id)
        guard let only = found["floatingips"]?.array?.first else { throw .notFound("floating IP not found") }
        return only
    }

    private static func pools(_ request: Request) async throws(Fault) -> [String: String] {
        Dictionary(
            try await NetworkProxy.externals(request).map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first })
    }

    private static func refresh(_ server: Server, _ request: Request) async throws(Fault) {
        let (queue, requestID) = (request.compute.queue, request.id)
        try await request.database.transaction { transaction throws(Fault) in
            try RefreshServer.enqueue(server.id, queue, requestID, transaction)
        }
    }

    private static func write(_ address: JSON, _ pools: [String: String], _ view: inout View) {
        let network = address["floating_network_id"]?.string ?? ""
        let holder = address["port_details"]?["device_id"]?.string
        view.put("fixed_ip", address["fixed_ip_address"]?.string)
        view.put("id", address["id"] ?? "")
        view.put("instance_id", holder?.isEmpty == true ? nil : holder)
        view.put("ip", address["floating_ip_address"] ?? "")
        view.put("pool", pools[network] ?? network)
    }
}
