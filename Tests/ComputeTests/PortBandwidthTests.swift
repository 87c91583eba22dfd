// SPDX-License-Identifier: Apache-2.0
import Clients
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Servers whose ports are promised a bandwidth.
struct PortBandwidthTests {
    private static let port = "44444444-4444-4444-8444-444444444444"
    private static let group = "55555555-5555-5555-8555-555555555555"
    private static let class_ = "NET_BW_IGR_KILOBIT_PER_SEC"

    /// A part of a host that has so much bandwidth on physical network p.
    private func offer(_ cloud: ComputeCloud, host: String, _ id: String, kilobits: Int) async {
        let list = await cloud.cloud.call(
            "placement", "GET", "/resource_providers", at: "1.36", as: .service(), query: "name=\(host)")
        let root = list["resource_providers"].array?.first?["uuid"]?.string ?? ""
        for (method, path, body) in [
            ("PUT", "/traits/CUSTOM_PHYSNET_P", nil), ("PUT", "/traits/CUSTOM_VNIC_TYPE_NORMAL", nil),
            (
                "POST", "/resource_providers",
                ["uuid": .string(id), "name": .string("\(host):br"), "parent_provider_uuid": .string(root)]
            ),
            (
                "PUT", "/resource_providers/\(id)/inventories",
                [
                    "resource_provider_generation": 0,
                    "inventories": .object(JSONObject([(Self.class_, .object(["total": .integer(Int64(kilobits))]))])),
                ]
            ),
            (
                "PUT", "/resource_providers/\(id)/traits",
                [
                    "resource_provider_generation": 1,
                    "traits": ["CUSTOM_PHYSNET_P", "CUSTOM_VNIC_TYPE_NORMAL"],
                ]
            ),
        ] as [(String, String, JSON?)] {
            let answer = await cloud.cloud.call("placement", method, path, body, at: "1.36", as: .service())
            #expect(answer.status < 300, "\(path): \(answer.json.text())")
        }
    }

    private func plug(_ cloud: ComputeCloud, kilobits: Int) {
        let request: JSON = [
            "request_groups": [
                [
                    "id": .string(Self.group), "required": ["CUSTOM_PHYSNET_P", "CUSTOM_VNIC_TYPE_NORMAL"],
                    "resources": .object(JSONObject([(Self.class_, .integer(Int64(kilobits)))])),
                ]
            ], "same_subtree": [.string(Self.group)],
        ]
        cloud.network.state.withLock { state in
            state.ports[Self.port] = [
                "id": .string(Self.port), "network_id": .string(FakeNetwork.network), "project_id": "project-a",
                "mac_address": "fa:16:3e:00:00:77", "status": "DOWN", "security_groups": [],
                "fixed_ips": [["subnet_id": "s1", "ip_address": "10.0.0.77"]], "device_id": "",
                "binding:profile": ["kept": "yes"], "resource_request": request,
            ]
        }
    }

    private func profile(_ cloud: ComputeCloud) -> JSON {
        cloud.network.state.withLock { $0.ports[Self.port]?["binding:profile"] ?? .null }
    }

    private func held(_ cloud: ComputeCloud, _ server: String) async -> JSON {
        await cloud.cloud.call("placement", "GET", "/allocations/\(server)", at: "1.36", as: .service())["allocations"]
    }

    @Test("A server goes where its port's bandwidth is, the port is told which part of the host, and gives it back")
    func boots() async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        await cloud.flavor()
        let part = "66666666-6666-4666-8666-666666666666"
        await offer(cloud, host: "host-2", part, kilobits: 1000)
        plug(cloud, kilobits: 600)
        let id = try await cloud.server(["networks": [["port": .string(Self.port)]]], at: "2.72")
        let server = await cloud.show(id, at: "2.72")
        #expect(server["status"] == "ACTIVE")
        #expect(server["OS-EXT-SRV-ATTR:host"] == "host-2")
        #expect(await held(cloud, id)[part]?["resources"]?[Self.class_] == 600)
        #expect(profile(cloud) == ["kept": "yes", "allocation": [Self.group: .string(part)]])
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(profile(cloud) == ["kept": "yes"])
        #expect(await held(cloud, id).object?.isEmpty == true)
    }

    @Test("Bandwidth that nobody has is no valid host, and the port stays as it was")
    func refused() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        await offer(cloud, host: "host-1", "66666666-6666-4666-8666-666666666666", kilobits: 1000)
        plug(cloud, kilobits: 1001)
        let draft = ComputeCloud.draft(["networks": [["port": .string(Self.port)]]])
        let old = await cloud.call("POST", "/servers", draft, at: "2.71")
        #expect(old.status == 400 && old.message.hasSuffix("is not supported until microversion 2.72."))
        let id = try await cloud.server(["networks": [["port": .string(Self.port)]]], at: "2.72")
        let server = await cloud.show(id, at: "2.72")
        #expect(server["status"] == "ERROR")
        #expect(server["fault"]?["message"]?.string?.contains("No valid host") == true)
        #expect(await held(cloud, id).object?.isEmpty == true)
        #expect(profile(cloud) == ["kept": "yes"])
    }

    /// A server with a port, and the parts of two hosts that one of them has its bandwidth of.
    private func server(on cloud: ComputeCloud) async throws -> (String, parts: [String]) {
        await cloud.flavor()
        let parts = ["66666666-6666-4666-8666-666666666666", "77777777-7777-4777-8777-777777777777"]
        for (place, part) in parts.enumerated() {
            await offer(cloud, host: "host-\(place + 1)", part, kilobits: 1000)
        }
        plug(cloud, kilobits: 600)
        let id = try await cloud.server(["networks": [["port": .string(Self.port)]]], at: "2.72")
        return (id, parts)
    }

    @Test("A server that moves takes its bandwidth along, and the port is told of the other part")
    func moves() async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        let (id, parts) = try await server(on: cloud)
        let first = await held(cloud, id).object?.first { parts.contains($0.key) }?.key
        #expect(await cloud.act(id, ["migrate": nil], at: "2.72", as: .admin()).status == 202)
        try await cloud.work()
        let second = await held(cloud, id).object?.first { parts.contains($0.key) }?.key
        #expect(first != nil && second != nil && first != second)
        #expect(profile(cloud)["allocation"]?[Self.group]?.string == second)
        #expect(await cloud.act(id, ["revertResize": nil], at: "2.72", as: .admin()).status == 202)
        try await cloud.work()
        #expect(await held(cloud, id)[first ?? ""]?["resources"]?[Self.class_] == 600)
        #expect(profile(cloud)["allocation"]?[Self.group]?.string == first)
        #expect(try await Auditor(cloud.room).audit().isEmpty)
    }

    @Test(
        "A server whose move fails has its bandwidth where it was, and the port is told of that part",
        arguments: [false, true])
    func fails(isEvacuation: Bool) async throws {
        let storage = FakeBlockStorage()
        storage.add(VolumeMovesTests.data)
        let cloud = try await ComputeCloud(hosts: 2, storage: storage)
        let (id, parts) = try await server(on: cloud)
        let body: JSON = ["volumeAttachment": ["volumeId": .string(VolumeMovesTests.data)]]
        #expect(await cloud.call("POST", "/servers/\(id)/os-volume_attachments", body).status == 200)
        try await cloud.work()
        let home = await ServerMovesTests.host(cloud, id)
        if isEvacuation {
            await cloud.hosts[home]?.setUnreachable(true)
            for host in cloud.hosts.values { await host.refuseBoots(.conflict("The guest cannot be started (fake).")) }
            let down: JSON = ["host": .string(home), "binary": "nova-compute", "forced_down": true]
            _ = await cloud.call("PUT", "/os-services/force-down", down, at: "2.11", as: .admin())
            #expect(await cloud.act(id, ["evacuate": [:]], at: "2.72", as: .admin()).status == 200)
        } else {
            // The last that is done before it is there.
            storage.fail("complete", 400)
            #expect(await cloud.act(id, ["migrate": nil], at: "2.72", as: .admin()).status == 202)
        }
        try await cloud.work()
        #expect(await ServerMovesTests.host(cloud, id) == home)
        let part = parts[home == "host-1" ? 0 : 1]
        #expect(await held(cloud, id)[part]?["resources"]?[Self.class_] == 600)
        #expect(profile(cloud)["allocation"]?[Self.group]?.string == part)
        #expect(cloud.network.state.withLock { $0.ports[Self.port]?["binding:host_id"] } == .string(home))
    }

    @Test("A server that is forced somewhere takes bandwidth there, and is not forced where there is none")
    func forced() async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        let (id, parts) = try await server(on: cloud)
        let home = await ServerMovesTests.host(cloud, id)
        let other = home == "host-1" ? "host-2" : "host-1"
        func force(_ host: String) async throws {
            let wish: JSON = ["host": .string(host), "block_migration": "auto", "force": true]
            _ = await cloud.act(id, ["os-migrateLive": wish], at: "2.30", as: .admin())
            try await cloud.work()
        }
        try await force("host-3")
        #expect(await ServerMovesTests.host(cloud, id) == home)
        try await force(other)
        #expect(await ServerMovesTests.host(cloud, id) == other)
        let part = parts[other == "host-1" ? 0 : 1]
        #expect(await held(cloud, id)[part]?["resources"]?[Self.class_] == 600)
        #expect(profile(cloud)["allocation"]?[Self.group]?.string == part)
    }

    @Test(
        "A port that is plugged in later takes of the server's own host, is refused where that has none, and gives back"
    )
    func plugged() async throws {
        let cloud = try await ComputeCloud(hosts: 1)
        await cloud.flavor()
        let part = "66666666-6666-4666-8666-666666666666"
        await offer(cloud, host: "host-1", part, kilobits: 1000)
        let id = try await cloud.server(["networks": "none"], at: "2.72")
        plug(cloud, kilobits: 1001)
        let path = "/servers/\(id)/os-interface"
        let wish: JSON = ["interfaceAttachment": ["port_id": .string(Self.port)]]
        let refused = await cloud.call("POST", path, wish, at: "2.72")
        #expect(refused.status == 400)
        #expect(refused.message == "Failed to allocate additional resources to \(id) during interface attach")
        #expect(profile(cloud) == ["kept": "yes"])
        plug(cloud, kilobits: 600)
        #expect(await cloud.call("POST", path, wish, at: "2.72").status == 200)
        try await cloud.work()
        #expect(await held(cloud, id)[part]?["resources"]?[Self.class_] == 600)
        #expect(profile(cloud)["allocation"]?[Self.group]?.string == part)
        #expect(await cloud.call("DELETE", "\(path)/\(Self.port)", at: "2.72").status == 202)
        try await cloud.work()
        #expect(await held(cloud, id)[part] == nil)
        #expect(profile(cloud) == ["kept": "yes"])
        #expect(try await Auditor(cloud.room).audit().isEmpty)
    }
}
