// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct TrunksTests {
    @Test("A port inside a trunk follows the port that carries it, and is told with its tag")
    func subports() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        _ = try await cloud.subnet(network)
        let (outer, inner) = (try await cloud.port(network), try await cloud.port(network))
        let trunk = try await cloud.make(
            "trunk", "/trunks",
            [
                "port_id": .string(outer.id), "name": "t",
                "sub_ports": [
                    ["port_id": .string(inner.id), "segmentation_type": "vlan", "segmentation_id": 7]
                ],
            ])
        #expect(trunk["sub_ports"]?[0]?["segmentation_id"] == 7)
        #expect(trunk.text("status") == "DOWN")
        let bound = await cloud.call("PUT", "/ports/\(outer.id)", ["port": ["binding:host_id": "host-1"]], as: .admin())
        #expect(bound.status == 200)
        let shown = await cloud.call("GET", "/ports/\(inner.id)", as: .admin())["port"]
        #expect(shown.text("binding:host_id") == "host-1")
        #expect(shown.text("device_owner") == "trunk:subport")
        let details = await cloud.call("GET", "/ports/\(outer.id)")["port"]["trunk_details"]
        #expect(details?["sub_ports"]?[0]?.text("mac_address") == inner.text("mac_address"))
        try await cloud.sync()
        #expect(await cloud.backend.topology.ports[inner.id]?.subport == SubportSpec(parent: outer.id, tag: 7))
        try await cloud.service.sync.record(PortEvent(portID: outer.id, isUp: true, host: "host-1"))
        #expect(await cloud.call("GET", "/trunks/\(trunk.id)")["trunk"].text("status") == "ACTIVE")
    }

    @Test("A tag is used once in a trunk, a port in one trunk, and both stay while they are used")
    func conflicts() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        var ports: [JSON] = []
        for _ in 0..<4 { ports.append(try await cloud.port(network)) }
        func inside(_ n: Int, _ tag: Int) -> JSON {
            [
                "sub_ports": [
                    [
                        "port_id": .string(ports[n].id), "segmentation_type": "vlan",
                        "segmentation_id": .integer(Int64(tag)),
                    ]
                ]
            ]
        }
        let trunk = try await cloud.make("trunk", "/trunks", ["port_id": .string(ports[0].id)])
        let path = "/trunks/\(trunk.id)"
        #expect(await cloud.call("PUT", path + "/add_subports", inside(1, 5)).status == 200)
        #expect(await cloud.call("PUT", path + "/add_subports", inside(2, 5)).type == "DuplicateSubPort")
        #expect(await cloud.call("PUT", path + "/add_subports", inside(1, 6)).type == "TrunkPortInUse")
        #expect(await cloud.call("PUT", path + "/add_subports", inside(0, 6)).type == "ParentPortInUse")
        #expect(await cloud.call("PUT", path + "/add_subports", inside(3, 4095)).status == 400)
        #expect(await cloud.call("DELETE", "/ports/\(ports[0].id)").type == "PortInUseAsTrunkParent")
        #expect(await cloud.call("DELETE", "/ports/\(ports[1].id)").type == "PortInUseAsSubPort")
        #expect(await cloud.call("PUT", path, ["trunk": ["admin_state_up": false]]).status == 200)
        #expect(await cloud.call("PUT", path + "/remove_subports", inside(1, 5)).type == "TrunkDisabled")
        #expect(await cloud.call("PUT", path, ["trunk": ["admin_state_up": true]]).status == 200)
        let left = await cloud.call("PUT", path + "/remove_subports", inside(1, 5))
        #expect(left.status == 200 && left["sub_ports"] == .array([]))
        #expect(await cloud.call("DELETE", path).status == 204)
        #expect(await cloud.call("DELETE", "/ports/\(ports[0].id)").status == 204)
    }

    @Test("A port is bound to a second host, moves there, and leaves the first")
    func bindings() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let nova = Caller.service("nova")
        let port = try await cloud.port(
            network, JSONObject([("device_owner", "compute:nova"), ("binding:host_id", "host-1")]), as: .admin())
        let path = "/ports/\(port.id)/bindings"
        let made = await cloud.call("POST", path, ["binding": ["host": "host-2"]], as: nova)
        #expect(made.status == 201 && made["binding"].text("status") == "INACTIVE")
        #expect(
            await cloud.call("POST", path, ["binding": ["host": "host-2"]], as: nova).type == "PortBindingAlreadyExists"
        )
        try await cloud.sync()
        #expect(await cloud.backend.topology.ports[port.id]?.movingTo == "host-2")
        #expect(await cloud.call("PUT", path + "/host-2/activate", as: nova).status == 200)
        #expect(await cloud.call("PUT", path + "/host-2/activate", as: nova).type == "PortBindingAlreadyActive")
        let all = await cloud.call("GET", path, as: .admin())["bindings"].array ?? []
        #expect(all.map { $0.text("host") + " " + $0.text("status") } == ["host-2 ACTIVE", "host-1 INACTIVE"])
        try await cloud.sync()
        let spec = await cloud.backend.topology.ports[port.id]
        #expect(spec?.host == "host-2" && spec?.movingTo == nil)
        #expect(await cloud.call("DELETE", path + "/host-1", as: nova).status == 204)
        #expect(await cloud.call("GET", path + "/host-1", as: .admin()).type == "PortBindingNotFound")
        let plain = try await cloud.port(network)
        #expect(await cloud.call("GET", "/ports/\(plain.id)/bindings", as: .admin()).status == 400)
    }
}
