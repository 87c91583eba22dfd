// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct PortsTests {
    @Test("A port's MAC address may be any but nobody's and everybody's")
    func oddMACs() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let port = try await cloud.port(network)
        for (mac, status) in [("11:22:33:44:55:66", 200), ("00:00:00:00:00:00", 400), ("ff:ff:ff:ff:ff:ff", 400)] {
            let change: JSON = ["port": ["mac_address": .string(mac)]]
            let answer = await cloud.call("PUT", "/ports/\(port.id)", change, as: .admin())
            #expect(answer.status == status, "\(mac): \(answer.json.text())")
        }
    }

    @Test("A port gets an address, a MAC address and the default security group")
    func create() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let subnet = try await cloud.subnet(network)
        let port = try await cloud.port(network)
        #expect(port.addresses.count == 1)
        #expect(port["fixed_ips"]?[0]?.text("subnet_id") == subnet)
        #expect(port.text("mac_address").hasPrefix("fa:16:3e:"))
        #expect(port.text("status") == "DOWN")
        #expect(port["security_groups"]?.array?.count == 1)
        #expect(port["binding:host_id"] == nil)
        #expect(port.text("binding:vnic_type") == "normal")
        #expect(await cloud.call("GET", "/ports/\(port.id)")["port"] == port)
        let admin = await cloud.call("GET", "/ports/\(port.id)", as: .admin())["port"]
        #expect(admin.text("binding:vif_type") == "unbound")
    }

    @Test("Addresses are given in every form they may be asked for")
    func fixedIPs() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let first = try await cloud.subnet(network)
        let second = try await cloud.subnet(network, "10.0.1.0/24")
        let bySubnet = try await cloud.port(network, ["fixed_ips": [["subnet_id": .string(second)]]])
        #expect(bySubnet.addresses[0].hasPrefix("10.0.1."))
        let byAddress = try await cloud.port(network, ["fixed_ips": [["ip_address": "10.0.1.77"]]])
        #expect(byAddress["fixed_ips"] == [["subnet_id": .string(second), "ip_address": "10.0.1.77"]])
        let both = try await cloud.port(
            network,
            ["fixed_ips": [["subnet_id": .string(first), "ip_address": "10.0.0.5"], ["subnet_id": .string(second)]]])
        #expect(both.addresses.count == 2)
        #expect(try await cloud.port(network, ["fixed_ips": []]).addresses == [])
        let moved = await cloud.call(
            "PUT", "/ports/\(both.id)",
            ["port": ["fixed_ips": [["ip_address": "10.0.0.5"], ["ip_address": "10.0.0.6"]]]])
        #expect(moved["port"].addresses == ["10.0.0.5", "10.0.0.6"])
    }

    @Test(
        "Addresses that cannot be given are refused",
        arguments: [
            ([["ip_address": "10.0.0.5"]], 409, "IpAddressAlreadyAllocated"),
            ([["ip_address": "10.9.0.5"]], 400, "InvalidIpForNetwork"),
            ([["ip_address": "10.0.0.255"]], 400, "InvalidIpForNetwork"),
            ([["ip_address": "there"]], 400, "HTTPBadRequest"),
            ([["subnet_id": "6f8a5b4c-0000-4000-8000-000000000000"]], 404, "SubnetNotFound"),
        ] as [(JSON, Int, String)])
    func refused(asked: JSON, status: Int, type: String) async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        _ = try await cloud.subnet(network)
        _ = try await cloud.port(network, ["fixed_ips": [["ip_address": "10.0.0.5"]]])
        let answer = await cloud.call(
            "POST", "/ports", ["port": ["network_id": .string(network), "fixed_ips": asked]])
        #expect(answer.status == status)
        #expect(answer.type == type)
    }

    @Test("No address is given twice, however many ask at once, and the last one is followed by a refusal")
    func concurrency() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        _ = try await cloud.subnet(network, "10.0.0.0/27")
        let answers = await withTaskGroup(of: TestCloud.Answer.self) { group in
            for _ in 0..<40 {
                group.addTask { await cloud.call("POST", "/ports", ["port": ["network_id": .string(network)]]) }
            }
            var answers: [TestCloud.Answer] = []
            for await answer in group { answers.append(answer) }
            return answers
        }
        let given = answers.flatMap { $0["port"].addresses }
        // 32 without network, broadcast, gateway and the metadata port's own.
        #expect(given.count == 28)
        #expect(Set(given).count == 28)
        #expect(answers.filter { $0.status == 409 }.allSatisfy { $0.type == "IpAddressGenerationFailure" })
    }

    @Test("A bound port is down until the back end says that it is up, and Compute is told")
    func binding() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        _ = try await cloud.subnet(network)
        let port = try await cloud.port(
            network, ["device_id": "3b5f6f1e-0000-4000-8000-000000000001", "device_owner": "compute:nova"])
        let bound = await cloud.call(
            "PUT", "/ports/\(port.id)",
            ["port": ["binding:host_id": "host-1", "binding:profile": ["migrating_to": "x"]]], as: .service())
        #expect(bound.status == 200)
        #expect(bound["port"].text("binding:vif_type") == "ovs")
        #expect(bound["port"]["binding:vif_details"]?["port_filter"]?.bool == true)
        #expect(bound["port"].text("status") == "DOWN")
        var events = await cloud.backend.events().makeAsyncIterator()
        try await cloud.sync()
        let event = try #require(await events.next())
        #expect(event.portID == port.id)
        try await cloud.service.sync.record(event)
        #expect(await cloud.call("GET", "/ports/\(port.id)")["port"].text("status") == "ACTIVE")
        #expect(
            cloud.told.events.last == [
                "name": "network-vif-plugged", "server_uuid": "3b5f6f1e-0000-4000-8000-000000000001",
                "tag": .string(port.id), "status": "completed",
            ])
        #expect(await cloud.call("PUT", "/ports/\(port.id)", ["port": ["binding:host_id": "h"]]).status == 403)
    }

    @Test("A function of a card is bound as the mechanism for those binds, on networks that are outside")
    func functions() async throws {
        let cloud = try await NetworkCloud()
        let made = await cloud.call(
            "POST", "/networks",
            [
                "network": [
                    "provider:network_type": "vlan", "provider:physical_network": "external",
                    "provider:segmentation_id": 7,
                ]
            ], as: .admin())
        #expect(made.status == 201, "\(made.json.text())")
        let (vlan, inside) = (made["network"]["id"]?.string ?? "", try await cloud.network(as: .admin()))
        func bound(
            _ network: String, _ kind: String, _ profile: JSON = [:], as caller: Caller = .admin()
        ) async -> TestCloud.Answer {
            await cloud.call(
                "POST", "/ports",
                [
                    "port": [
                        "network_id": .string(network), "binding:vnic_type": .string(kind),
                        "binding:host_id": "host-1", "binding:profile": profile,
                    ]
                ], as: caller)
        }
        let direct = await bound(vlan, "direct")["port"]
        #expect(direct.text("binding:vif_type") == "hw_veb", "\(direct.text())")
        #expect(
            direct["binding:vif_details"] == [
                "port_filter": false, "connectivity": "l2", "vlan": "7", "bound_drivers": ["0": "sriovnicswitch"],
            ])
        #expect(await bound(vlan, "direct-physical")["port"].text("binding:vif_type") == "hostdev_physical")
        #expect(await bound(inside, "macvtap")["port"].text("binding:vif_type") == "binding_failed")
        let smart = await bound(vlan, "direct", ["capabilities": ["switchdev"]], as: .service())
        #expect(smart["port"].text("binding:vif_type") == "ovs", "\(smart.json.text())")
        let found = await cloud.call("GET", "/ports", as: .admin(), query: "binding:vif_type=hw_veb")
        #expect(found["ports"].array?.contains { $0["id"] == direct["id"] } == true)
    }

    @Test(
        "Members of their own rule need a right",
        arguments: [
            ["device_owner": "network:dhcp"], ["mac_address": "fa:16:3e:00:00:01"], ["port_security_enabled": false],
            ["fixed_ips": [["ip_address": "10.0.0.9"]]], ["binding:host_id": "h"],
        ] as [JSONObject])
    func rules(members: JSONObject) async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network(["shared": true], as: .admin())
        _ = try await cloud.subnet(network, as: .admin())
        var body = members
        body["network_id"] = .string(network)
        let answer = await cloud.call("POST", "/ports", ["port": .object(body)])
        #expect(answer.status == 403)
        #expect(answer.message.contains("rule:create_port:\(members.keys[0])"))
    }

    @Test("Port security, groups and pairs go together as upstream has it")
    func security() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        _ = try await cloud.subnet(network)
        let port = try await cloud.port(
            network, ["allowed_address_pairs": [["ip_address": "10.0.0.0/28"]], "name": "p"])
        #expect(port["allowed_address_pairs"]?[0]?.text("mac_address") == port.text("mac_address"))
        let path = "/ports/\(port.id)"
        let kept = await cloud.call("PUT", path, ["port": ["port_security_enabled": false]])
        #expect(kept.type == "AddressPairAndPortSecurityRequired")
        let grouped = await cloud.call(
            "PUT", path, ["port": ["port_security_enabled": false, "allowed_address_pairs": []]])
        #expect(grouped.type == "PortSecurityPortHasSecurityGroup")
        let off = await cloud.call(
            "PUT", path,
            ["port": ["port_security_enabled": false, "allowed_address_pairs": [], "security_groups": []]])
        #expect(off.status == 200)
        let none = try await cloud.port(network, ["security_groups": []])
        #expect(none["security_groups"] == [])
        let strange = await cloud.call(
            "POST", "/ports",
            [
                "port": [
                    "network_id": .string(network), "security_groups": ["6f8a5b4c-0000-4000-8000-000000000000"],
                ]
            ])
        #expect(strange.type == "SecurityGroupNotFound")
    }

    @Test("Ports are found by their addresses")
    func filters() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let subnet = try await cloud.subnet(network)
        let port = try await cloud.port(network, ["fixed_ips": [["ip_address": "10.0.0.77"]]])
        _ = try await cloud.port(network)
        func found(_ query: String) async -> [String] {
            await cloud.call("GET", "/ports", query: query)["ports"].array?.map(\.id) ?? []
        }
        #expect(await found("fixed_ips=ip_address%3D10.0.0.77") == [port.id])
        #expect(await found("fixed_ips=subnet_id%3D\(subnet)").count == 3)
        #expect(await found("fixed_ips=ip_address_substr%3D0.77&fixed_ips=subnet_id%3D\(subnet)") == [port.id])
        #expect(await found("mac_address=\(port.text("mac_address"))") == [port.id])
    }

    @Test("IPv6 ports make their own address where the subnet says so")
    func slaac() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let early = try await cloud.port(network, ["mac_address": "fa:16:3e:00:00:01"])
        _ = try await cloud.make(
            "subnet", "/subnets",
            [
                "network_id": .string(network), "ip_version": 6, "cidr": "2001:db8::/64", "ipv6_ra_mode": "slaac",
                "ipv6_address_mode": "slaac",
            ])
        #expect(await cloud.call("GET", "/ports/\(early.id)")["port"].addresses == ["2001:db8::f816:3eff:fe00:1"])
        let late = try await cloud.port(network, ["mac_address": "fa:16:3e:00:00:02"])
        #expect(late.addresses == ["2001:db8::f816:3eff:fe00:2"])
    }

    @Test("One more address of the same subnet is another one than those that stay")
    func oneMoreAddress() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let subnet = try await cloud.subnet(network)
        let port = try await cloud.port(network)
        let more = await cloud.call(
            "PUT", "/ports/\(port.id)",
            [
                "port": [
                    "fixed_ips": [
                        ["subnet_id": .string(subnet), "ip_address": .string(port.addresses[0])],
                        ["subnet_id": .string(subnet)],
                    ]
                ]
            ])
        #expect(Set(more["port"].addresses).count == 2)
        #expect(more["port"].addresses.first == port.addresses[0])
    }

    @Test("A body asks for so many ports at once and no more, and then none is made")
    func bulk() async throws {
        var options = NetworkOptions()
        options.bulkMaximum = 3
        let cloud = try await NetworkCloud(options: options)
        let network = try await cloud.network()
        func ask(_ count: Int) async -> TestCloud.Answer {
            let port: JSON = ["network_id": .string(network)]
            return await cloud.call("POST", "/ports", ["ports": .array(Array(repeating: port, count: count))])
        }
        #expect(await ask(3).status == 201)
        let refused = await ask(4)
        #expect(refused.status == 413 && refused.message.contains("ports names 4"), "\(refused.message)")
        let ports = await cloud.call("GET", "/ports", query: "network_id=\(network)&device_owner=")["ports"]
        #expect(ports.array?.count == 3)
    }
}
