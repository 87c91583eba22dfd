// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

/// Names in a DNS service outside the cloud.
struct NamePublisherTests {
    private static func cloud() async throws -> NetworkCloud {
        var options = NetworkOptions()
        options.externalDNS = "designate"
        options.dnsDomain = "cloud.example."
        return try await NetworkCloud(options: options)
    }

    @Test("A floating address has its own name, or the name of the port that it leads to, and loses it with it")
    func floating() async throws {
        let cloud = try await Self.cloud()
        let dns = FakeExternalNames(zones: ["example.org.", "inner.example."])
        let publisher = NamePublisher(cloud.service, dns)
        let (outside, _) = try await cloud.outside()
        let inner = try await cloud.network(["name": "inner", "dns_domain": "inner.example."])
        let subnet = try await cloud.subnet(inner)
        let port = try await cloud.port(inner, ["dns_name": "guest"])
        let router = try await cloud.make(
            "router", "/routers", ["external_gateway_info": ["network_id": .string(outside)]]
        ).id
        _ = await cloud.call("PUT", "/routers/\(router)/add_router_interface", ["subnet_id": .string(subnet)])
        func floating(_ more: JSONObject) async throws -> JSON {
            var members = more
            members["floating_network_id"] = .string(outside)
            return try await cloud.make("floatingip", "/floatingips", .object(members))
        }
        let own = try await floating(["dns_name": "shop", "dns_domain": "example.org."])
        let lent = try await floating(["port_id": .string(port.id)])
        try await publisher.publish()
        let names = await dns.names
        #expect(names["shop.example.org."]?.first?.description == own.text("floating_ip_address"))
        #expect(names["guest.inner.example."]?.first?.description == lent.text("floating_ip_address"))
        #expect(names.count == 2, "a project's own network means nothing outside")
        _ = await cloud.call("PUT", "/floatingips/\(lent.id)", ["floatingip": ["port_id": nil]])
        #expect(await cloud.call("DELETE", "/floatingips/\(own.id)").status == 204)
        try await publisher.publish()
        #expect(await dns.names.isEmpty)
    }

    @Test("A name without a domain, or the other way round, is refused, naming which")
    func halves() async throws {
        let cloud = try await Self.cloud()
        let (outside, _) = try await cloud.outside()
        for (given, missing, value) in [("dns_name", "dns_domain", "shop"), ("dns_domain", "dns_name", "example.org.")]
        {
            let answer = await cloud.call(
                "POST", "/floatingips",
                ["floatingip": .object(["floating_network_id": .string(outside), given: .string(value)])])
            #expect(answer.status == 400)
            #expect(
                answer.message == "Bad floatingip request: \(given) cannot be specified without a \(missing).")
        }
    }

    @Test("Ports are told of on networks that reach outside, those of publishing subnets alone where there are some")
    func ports() async throws {
        let cloud = try await Self.cloud()
        let dns = FakeExternalNames(zones: ["example.org.", "other.example."])
        let publisher = NamePublisher(cloud.service, dns)
        let flat = try await cloud.network(
            [
                "name": "flat", "dns_domain": "example.org.", "provider:network_type": "flat",
                "provider:physical_network": "p",
            ], as: .admin())
        _ = try await cloud.subnet(flat, "192.0.2.0/24", as: .admin())
        let port = try await cloud.port(flat, ["dns_name": "a"], as: .admin())
        let plain = try await cloud.network(["name": "plain", "dns_domain": "example.org."])
        _ = try await cloud.make(
            "subnet", "/subnets",
            [
                "network_id": .string(plain), "ip_version": 4, "cidr": "198.51.100.0/24", "dns_publish_fixed_ip": true,
            ])
        _ = try await cloud.subnet(plain, "10.0.0.0/24")
        let both = try await cloud.make(
            "port", "/ports", ["network_id": .string(plain), "dns_name": "b", "dns_domain": "other.example."])
        try await publisher.publish()
        var names = await dns.names
        #expect(names["a.example.org."]?.first?.description == port.addresses.first)
        let told = Set(both.addresses.filter { $0.hasPrefix("198.51.100.") })
        if !told.isEmpty { #expect(Set((names["b.other.example."] ?? []).map(\.description)) == told) }
        let renamed = await cloud.call("PUT", "/ports/\(port.id)", ["port": ["dns_name": "c"]], as: .admin())
        #expect(renamed.status == 200)
        try await publisher.publish()
        names = await dns.names
        #expect(names["a.example.org."] == nil && names["c.example.org."] != nil)
    }

    @Test("A service that is away delays nobody; what it refuses is told again later, and nothing is told twice")
    func patience() async throws {
        let cloud = try await Self.cloud()
        let dns = FakeExternalNames(zones: [])
        let publisher = NamePublisher(cloud.service, dns)
        let (outside, _) = try await cloud.outside()
        await dns.refuse(.unavailable("away"))
        _ = try await cloud.make(
            "floatingip", "/floatingips",
            ["floating_network_id": .string(outside), "dns_name": "shop", "dns_domain": "example.org."])
        await #expect(throws: Fault.self) { try await publisher.publish() }
        await dns.refuse(nil)
        try await publisher.publish()
        #expect(await dns.names.isEmpty, "there is no such zone")
        await dns.add(zone: "example.org.")
        try await publisher.publish()
        #expect(await dns.names.isEmpty, "not at once")
        try await cloud.cloud.database.transaction { transaction throws(Fault) in
            _ = try transaction.execute("UPDATE network_told_names SET again_at = 0")
        }
        try await publisher.publish()
        #expect(await dns.names.count == 1)
    }

    @Test("Keywords in a domain mean whoever writes the name, and what means nothing is no domain")
    func keywords() async throws {
        let cloud = try await Self.cloud()
        let dns = FakeExternalNames(zones: ["a.example.", "b.example."])
        let publisher = NamePublisher(cloud.service, dns)
        let network = try await cloud.network(
            [
                "name": "flat", "dns_domain": "<project_id>.<user_name>.example.", "provider:network_type": "flat",
                "provider:physical_network": "p", "shared": true,
            ], as: .admin())
        _ = try await cloud.subnet(network, as: .admin())
        #expect(await cloud.call("GET", "/networks/\(network)")["network"]["dns_domain"]?.string?.first == "<")
        let port = try await cloud.port(network, ["dns_name": "vm"])
        let spec = try await TopologyReader(cloud.cloud.database).everything().ports[port.id]
        let domain = try #require(spec?.dnsDomain)
        #expect(!domain.contains("<") && domain.hasSuffix(".example."), "\(domain)")
        await dns.add(zone: domain)
        try await publisher.publish()
        #expect(await dns.names.keys.sorted() == ["vm.\(domain)"])
        _ = await cloud.call("PUT", "/ports/\(port.id)", ["port": ["dns_domain": "a.example."]])
        try await publisher.publish()
        #expect(await dns.names.keys.sorted() == ["vm.a.example."], "the port's own")
        #expect(await cloud.call("DELETE", "/ports/\(port.id)").status == 204)
        let left = try await cloud.cloud.database.rows("SELECT COUNT(*) FROM network_resolved_domains")
        #expect(left.first?[0].int == 0)
        let odd = await cloud.call("POST", "/networks", ["network": ["dns_domain": "<region>.example."]])
        #expect(odd.status == 400)
    }

    @Test(
        "Domains end with a dot and are made of labels",
        arguments: [
            ("example.org", "'example.org' is not a FQDN"), ("-a.org.", "must not start or end with a hyphen"),
            ("a..org.", "Encountered an empty component"), ("a_b.org.", "alphanumeric or a hyphen"),
            ("a.1.", "must not be all numeric"),
        ])
    func domains(domain: String, words: String) async throws {
        let cloud = try await Self.cloud()
        let answer = await cloud.call("POST", "/networks", ["network": ["dns_domain": .string(domain)]])
        #expect(answer.status == 400 && answer.message.contains(words), "\(answer.message)")
        #expect(answer.message.hasPrefix("Invalid input for dns_domain. Reason: "))
    }
}
