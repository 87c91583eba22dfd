// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Networks as Compute told of them before Network existed; Network answers, in the caller's name. Gone since 2.36.
enum NetworkProxy: Resource {
    static let routes: [Route] = [
        .get(
            "/os-networks", "List networks", of: OwnScope.from, allow: .reader("os-networks:list"), index,
            until: "2.36"),
        .get(
            "/os-networks/{id}", "Show a network", of: OwnScope.from, allow: .reader("os-networks:show"), show,
            until: "2.36"),
        .get(
            "/os-tenant-networks", "List a project's networks", of: OwnScope.from,
            allow: .reader("os-tenant-networks:list"), tenantIndex, until: "2.36"),
        .get(
            "/os-tenant-networks/{id}", "Show a project's network", of: OwnScope.from,
            allow: .reader("os-tenant-networks:show"), tenantShow, until: "2.36"),
        .get(
            "/os-floating-ip-pools", "List pools of floating addresses", of: Anything.from,
            allow: .anyone("os-floating-ip-pools"), pools, until: "2.36"),
    ]

    /// The one network the path names, as the caller sees it.
    private static func find(_ request: Request, _ message: String) async throws(Fault) -> JSON {
        do throws(Fault) {
            return try await request.compute.network.acting(as: request.caller)
                .document("GET", "/networks/" + request["id"], requestID: request.id)["network"] ?? .null
        } catch {
            throw error.status == 404 ? .notFound(message) : error
        }
    }

    private static func all(_ request: Request) async throws(Fault) -> [JSON] {
        try await request.compute.network.acting(as: request.caller)
            .document("GET", "/networks", requestID: request.id)["networks"]?.array ?? []
    }
}

// MARK: - Handlers

extension NetworkProxy {
    private static func index(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        .list("networks", try await all(request).map { network in { write(network, &$0) } })
    }

    private static func show(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let network = try await find(request, "Network not found")
        return .object("network") { write(network, &$0) }
    }

    private static func tenantIndex(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        .list("networks", try await all(request).map { network in { writeTenant(network, &$0) } })
    }

    private static func tenantShow(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let network = try await find(request, "Network not found")
        return .object("network") { writeTenant(network, &$0) }
    }

    /// A pool is an external network.
    private static func pools(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let networks = try await externals(request)
        return .list("floating_ip_pools", networks.map { network in { $0.put("name", network.name) } })
    }

    static func externals(_ request: Request) async throws(Fault) -> [(id: String, name: String)] {
        let found = try await request.compute.network.acting(as: request.caller)
            .document("GET", "/networks", query: [("router:external", "True")], requestID: request.id)
        return (found["networks"]?.array ?? []).map { network in
            let id = network["id"]?.string ?? ""
            let name = network["name"]?.string ?? ""
            return (id, name.isEmpty ? id : name)
        }
    }
}

// MARK: - Wire: of what networks once were two members are left; the others are null.

extension NetworkProxy {
    private static let empty: [String] = [
        "cidr", "netmask", "gateway", "broadcast", "dns1", "dns2", "cidr_v6", "gateway_v6", "netmask_v6",
    ]
    private static let emptyForAdministrators: [String] = [
        "created_at", "updated_at", "deleted_at", "deleted", "injected", "bridge", "vlan", "vpn_public_address",
        "vpn_public_port", "vpn_private_address", "dhcp_start", "project_id", "host", "bridge_interface", "multi_host",
        "priority", "rxtx_base", "mtu", "dhcp_server", "enable_dhcp", "share_address",
    ]

    private static func write(_ network: JSON, _ view: inout View) {
        view.put("id", network["id"] ?? "")
        view.put("label", network["name"] ?? "")
        for name in empty { view.put(named: name, JSON.null) }
        guard view.request.caller.has(role: "admin") else { return }
        for name in emptyForAdministrators { view.put(named: name, JSON.null) }
    }

    private static func writeTenant(_ network: JSON, _ view: inout View) {
        view.put("id", network["id"] ?? "")
        view.put("cidr", "None")
        view.put("label", network["name"] ?? "")
    }
}
