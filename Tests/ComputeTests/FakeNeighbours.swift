// SPDX-License-Identifier: Apache-2.0
import Kernel
import Synchronization

/// Network's API as far as Compute calls it: networks that are there from the start, and ports that come and go.
final class FakeNetwork: Service {
    static let index = ServiceIndex(
        type: "network", name: "neutron", title: "Network", port: 9696, mount: "/network", base: "/v2.0",
        versions: .none, envelope: .plain, wording: .nova, resources: [Routes.self])

    static let network = "22222222-2222-4222-8222-222222222222"
    static let second = "33333333-3333-4333-8333-333333333333"
    static let allocated = "44444444-4444-4444-8444-444444444444"

    struct State {
        var networks: [String: JSONObject] = [:]
        /// Projects that a network is shared with, by network.
        var sharedWith: [String: Set<String>] = [:]
        var ports: [String: JSONObject] = [:]
        /// Hosts beside those that ports are on, by port.
        var bindings: [String: [String: JSONObject]] = [:]
        var floating: [JSON] = []
        var groups: [JSON] = [["id": "sg-web", "name": "web", "project_id": "project-a"]]
        var subnets: [JSON] = [
            [
                "id": "s1", "ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "enable_dhcp": true,
                "dns_nameservers": ["9.9.9.9"], "host_routes": [],
            ]
        ]
        var addresses = 9
        /// Whether projects without a network can be given one.
        var allocates = false
        /// Whether ports are up as soon as they are bound.
        var comesUp = true
        /// Every call fails with this status while it is set.
        var failure: Int?

        /// What somebody sees of the networks.
        fileprivate func networks(for caller: Caller) -> [JSONObject] {
            if caller.has(role: "admin") || caller.has(role: "service") { return Array(networks.values) }
            let project = caller.projectID ?? ""
            return networks.compactMap { id, network in
                if network["project_id"]?.string == project { return network }
                if network["shared"]?.bool == true || network["router:external"]?.bool == true { return network }
                guard sharedWith[id]?.contains(project) == true else { return nil }
                var network = network
                network["shared"] = true
                return network
            }
        }
    }

    let state: Mutex<State>

    init() {
        let one: JSONObject = [
            "id": .string(FakeNetwork.network), "name": "private", "project_id": "project-a",
            "router:external": false, "shared": false, "mtu": 1442, "subnets": ["s1"],
        ]
        state = Mutex(State(networks: [FakeNetwork.network: one]))
    }

    /// One more network of the project.
    func addSecond() {
        state.withLock {
            var other = $0.networks[FakeNetwork.network] ?? [:]
            other["id"] = .string(FakeNetwork.second)
            other["name"] = "second"
            $0.networks[FakeNetwork.second] = other
        }
    }

    var ports: [JSONObject] { state.withLock { Array($0.ports.values) } }

    fileprivate func run<Value>(_ deed: (inout State) throws(Fault) -> Value) throws(Fault) -> Value {
        try state.withLock { state throws(Fault) in
            if let status = state.failure { throw Fault(status, "the network is out of order") }
            return try deed(&state)
        }
    }

    fileprivate func create(_ draft: JSONObject, id: String) throws(Fault) -> JSONObject {
        try run { state in
            var port = draft
            state.addresses += 1
            let address = draft["fixed_ips"]?[0]?["ip_address"]?.string ?? "10.0.0.\(state.addresses)"
            port["id"] = .string(id)
            port["status"] = state.comesUp ? "ACTIVE" : "DOWN"
            port["mac_address"] = .string("fa:16:3e:00:00:" + Hex.encode([UInt8(state.addresses % 256)]))
            port["fixed_ips"] = [["subnet_id": "s1", "ip_address": .string(address)]]
            if port["security_groups"] == nil { port["security_groups"] = ["sg-default"] }
            state.ports[id] = port
            return port
        }
    }
}

extension FakeNetwork {
    enum Routes: Resource {
        static let routes: [Route] = [
            .get("/networks", "List", of: Anything.from, allow: .anyone("get_networks")) {
                request, _ async throws(Fault) in
                let all = try request.fake.run { $0.networks(for: request.caller) }
                return .json(["networks": .array(all.filter { request.admits($0) }.map(JSON.object))])
            },
            .get("/networks/{id}", "Show", of: Anything.from, allow: .anyone("get_network")) {
                request, _ async throws(Fault) in
                let id = request["id"]
                let seen = try request.fake.run { $0.networks(for: request.caller) }
                guard let network = seen.first(where: { $0["id"]?.string == id }) else { throw .notFound("no network") }
                return .json(["network": .object(network)])
            },
            .open("GET", "/auto-allocated-topology/{project}", "Show") { request async throws(Fault) in
                let (isDry, id) = (request.query("fields") == "dry-run", FakeNetwork.allocated)
                return .json([
                    "auto_allocated_topology": [
                        "id": .string(
                            try request.fake.run { state throws(Fault) in
                                guard state.allocates else { throw Fault.conflict("no default pools") }
                                guard !isDry else { return "dry-run=pass" }
                                let network: JSONObject = [
                                    "id": .string(id), "name": "auto_allocated_network", "mtu": 1442, "subnets": ["s1"],
                                    "project_id": .string(request["project"]), "router:external": false,
                                    "shared": false,
                                ]
                                state.networks[id] = network
                                return id
                            })
                    ]
                ])
            },
            .open("GET", "/ports", "List") { request async throws(Fault) in
                let all = try request.fake.run { Array($0.ports.values) }
                return .json(["ports": .array(all.filter { request.admits($0) }.map(JSON.object))])
            },
            .open("GET", "/ports/{id}", "Show") { request async throws(Fault) in
                guard let port = try request.fake.run({ $0.ports[request["id"]] }) else { throw .notFound("no port") }
                return .json(["port": .object(port)])
            },
            .open("POST", "/ports", "Create", status: 201) { request async throws(Fault) in
                let draft = request.json?["port"]?.object ?? [:]
                return .json(["port": .object(try request.fake.create(draft, id: request.ids.uuid()))])
            },
            .open("PUT", "/ports/{id}", "Update") { request async throws(Fault) in
                let id = request["id"]
                let port = try request.fake.run { state throws(Fault) in
                    guard var port = state.ports[id] else { throw Fault.notFound("no port") }
                    let host = request.json?["port"]?["binding:host_id"]
                    if let host, host != port["binding:host_id"], !state.comesUp { port["status"] = "DOWN" }
                    for (name, value) in request.json?["port"]?.object ?? [:] { port[name] = value }
                    // An address that only names its subnet is drawn.
                    let wanted = port["fixed_ips"]?.array ?? []
                    port["fixed_ips"] = .array(
                        wanted.map { wish in
                            guard wish["ip_address"] == nil else { return wish }
                            state.addresses += 1
                            return ["subnet_id": "s1", "ip_address": .string("10.0.0.\(state.addresses)")]
                        })
                    state.ports[id] = port
                    return port
                }
                return .json(["port": .object(port)])
            },
            .open("POST", "/ports/{id}/bindings", "Bind", status: 201) { request async throws(Fault) in
                let (id, host) = (request["id"], request.json?["binding"]?["host"]?.string ?? "")
                return .json([
                    "binding": .object(
                        try request.fake.run { state throws(Fault) in
                            guard state.ports[id] != nil else { throw Fault.notFound("no port") }
                            guard state.bindings[id]?[host] == nil, state.ports[id]?["binding:host_id"] != .string(host)
                            else { throw Fault.conflict("bound already") }
                            let binding = request.json?["binding"]?.object ?? [:]
                            state.bindings[id, default: [:]][host] = binding
                            return binding
                        })
                ])
            },
            .open("PUT", "/ports/{id}/bindings/{host}/activate", "Activate") { request async throws(Fault) in
                let (id, host) = (request["id"], request["host"])
                try request.fake.run { state throws(Fault) in
                    guard let binding = state.bindings[id]?.removeValue(forKey: host) else {
                        throw Fault.notFound("no binding")
                    }
                    if let left = state.ports[id]?["binding:host_id"]?.string {
                        state.bindings[id]?[left] = ["host": .string(left)]
                    }
                    state.ports[id]?["binding:host_id"] = .string(host)
                    state.ports[id]?["binding:profile"] = binding["profile"]
                }
                return .json([:])
            },
            .open("DELETE", "/ports/{id}/bindings/{host}", "Unbind", status: 204) { request async throws(Fault) in
                guard
                    try request.fake.run({ $0.bindings[request["id"]]?.removeValue(forKey: request["host"]) }) != nil
                else { throw .notFound("no binding") }
                return .empty
            },
            .open("DELETE", "/ports/{id}", "Delete", status: 204) { request async throws(Fault) in
                guard try request.fake.run({ $0.ports.removeValue(forKey: request["id"]) }) != nil else {
                    throw .notFound("no port")
                }
                return .empty
            },
            .open("GET", "/subnets", "List") { request async throws(Fault) in
                .json(["subnets": .array(try request.fake.run { $0.subnets })])
            },
            .open("GET", "/floatingips", "List") { request async throws(Fault) in
                let port = request.query("port_id")
                let all = try request.fake.run { $0.floating.filter { $0["port_id"]?.string == port } }
                return .json(["floatingips": .array(all)])
            },
            .open("GET", "/security-groups", "List") { request async throws(Fault) in
                .json(["security_groups": .array(try request.fake.run { $0.groups })])
            },
        ]
    }
}

extension Request {
    fileprivate var fake: FakeNetwork { room(FakeNetwork.self) }

    /// Whether an item has what the query asks for, as text.
    fileprivate func admits(_ item: JSONObject) -> Bool {
        for name in ["project_id", "device_id", "network_id"] {
            if let wanted = query(name), item[name]?.string != wanted { return false }
        }
        for name in ["shared", "router:external"] {
            if query(name) != nil, item[name]?.bool != true { return false }
        }
        if let wanted = query("fixed_ips") {
            return item["fixed_ips"]?[0]?["ip_address"]?.string.map { "ip_address=" + $0 } == wanted
        }
        return true
    }
}

extension VersionHistory {
    static let none = VersionHistory("fake", ["1.0": "All there is."])
}

extension Envelope {
    static let plain = Envelope(
        pageLinks: .none, refusal: { .forbidden("no: \($0)") },
        document: { fault, _, _ in ["error": ["message": .string(fault.message)]] })
}
