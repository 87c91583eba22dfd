// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct MeteringTests {
    private static func label(_ cloud: NetworkCloud, _ more: JSONObject = JSONObject(), as caller: Caller = .admin())
        async throws -> String
    {
        var members = more
        members["name"] = "traffic"
        return try await cloud.make("metering_label", "/metering/metering-labels", .object(members), as: caller).id
    }

    private static func rule(_ label: String, _ direction: String, _ more: JSONObject) -> JSON {
        var members = more
        members["metering_label_id"] = .string(label)
        members["direction"] = .string(direction)
        return .object(JSONObject([("metering_label_rule", .object(members))]))
    }

    private static let rules = "/metering/metering-label-rules"

    @Test("A label and its rules live and go together, and filters find them")
    func life() async throws {
        let cloud = try await NetworkCloud()
        let label = try await Self.label(cloud, ["description": "what comes and goes"])
        let shown = await cloud.call("GET", "/metering/metering-labels/\(label)", as: .admin())["metering_label"]
        #expect(shown["shared"] == false)
        #expect(shown.text("description") == "what comes and goes")
        let made = await cloud.call(
            "POST", Self.rules, Self.rule(label, "ingress", ["remote_ip_prefix": "10.0.0.0/24"]), as: .admin())
        #expect(made.status == 201)
        let rule = made["metering_label_rule"]
        #expect(rule.text("remote_ip_prefix") == "10.0.0.0/24")
        #expect(rule["excluded"] == false && rule["source_ip_prefix"] == .null)
        for (query, count) in [("id=\(rule.id)", 1), ("id=33", 0), ("direction=egress", 0), ("excluded=false", 1)] {
            let list = await cloud.call("GET", Self.rules, as: .admin(), query: query)["metering_label_rules"]
            #expect(list.array?.count == count, "\(query)")
        }
        #expect(await cloud.call("DELETE", "/metering/metering-labels/\(label)", as: .admin()).status == 204)
        let gone = await cloud.call("GET", Self.rules + "/\(rule.id)", as: .admin())
        #expect(gone.status == 404 && gone.message == "Metering label rule '\(rule.id)' does not exist.")
    }

    @Test("Members may not make labels, managers may; another project's label does not exist")
    func personas() async throws {
        let cloud = try await NetworkCloud()
        let draft: JSON = ["metering_label": ["name": "x"]]
        #expect(await cloud.call("POST", "/metering/metering-labels", draft).status == 403)
        let manager = Caller.member(roles: ["manager", "member", "reader"])
        let label = try await Self.label(cloud, as: manager)
        #expect(await cloud.call("GET", "/metering/metering-labels/\(label)").status == 200, "a member reads")
        let stranger = Caller.member(project: "other", roles: ["manager", "member", "reader"])
        #expect(await cloud.call("GET", "/metering/metering-labels/\(label)", as: stranger).status == 404)
        let foreign = await cloud.call(
            "POST", Self.rules, Self.rule(label, "egress", ["source_ip_prefix": "10.0.0.0/8"]), as: stranger)
        #expect(foreign.status == 404 && foreign.type == "MeteringLabelNotFound")
    }

    @Test(
        "Rules that make no sense are refused, naming what is wrong",
        arguments: [
            (["remote_ip_prefix": "10.0.0.128/25"], 409, "overlaps another"),
            (["remote_ip_prefix": "0.0.0.0/0"], 409, "overlaps another"),
            (["remote_ip_prefix": "10.2.0.1/33"], 400, "is not a valid IP subnet"),
            (["remote_ip_prefix": "10.2.0.0/24", "source_ip_prefix": "10.0.0.0/8"], 400, "in conjunction with"),
            ([:], 400, "at least one of the following parameters"),
            (["source_ip_prefix": "nonsense"], 400, "source_ip_prefix"),
        ] as [(JSONObject, Int, String)])
    func refused(members: JSONObject, status: Int, words: String) async throws {
        let cloud = try await NetworkCloud()
        let label = try await Self.label(cloud)
        #expect(
            await cloud.call(
                "POST", Self.rules, Self.rule(label, "ingress", ["remote_ip_prefix": "10.0.0.0/24"]), as: .admin()
            ).status == 201)
        let answer = await cloud.call("POST", Self.rules, Self.rule(label, "ingress", members), as: .admin())
        #expect(answer.status == status)
        #expect(answer.message.contains(words), "\(answer.message)")
        let way = await cloud.call(
            "POST", Self.rules, Self.rule(label, "up", ["remote_ip_prefix": "10.9.0.0/24"]), as: .admin())
        #expect(way.status == 400 && way.message.contains("direction"))
    }

    @Test("Blocks that lie across each other make one counter for what they share, and no endless many")
    func bounds() async throws {
        let cloud = try await NetworkCloud()
        let label = try await Self.label(cloud)
        var last = 0
        for n in 0..<40 where last != 409 {
            for side in ["source_ip_prefix", "destination_ip_prefix"] {
                last = await cloud.call(
                    "POST", Self.rules, Self.rule(label, "egress", JSONObject([(side, .string("10.\(n).0.0/16"))])),
                    as: .admin()
                ).status
            }
        }
        #expect(last == 409)
        let list = await cloud.call("GET", Self.rules, as: .admin())["metering_label_rules"].array ?? []
        #expect(list.count == 61 || list.count == 62, "30 x 30 crossings and the 60 themselves are 960")
    }

    @Test("What routers counted is added up under every label that counts it, once, and left out where a rule says so")
    func counting() async throws {
        let cloud = try await NetworkCloud()
        let router = try await cloud.make("router", "/routers", ["name": "edge"]).id
        let project = Caller.member().projectID ?? ""
        let own = try await Self.label(cloud, ["tenant_id": .string(project)])
        let everybody = try await Self.label(cloud, ["shared": true])
        func add(_ label: String, _ more: JSONObject) async {
            #expect(await cloud.call("POST", Self.rules, Self.rule(label, "egress", more), as: .admin()).status == 201)
        }
        await add(own, ["source_ip_prefix": "10.0.0.0/16"])
        await add(own, ["source_ip_prefix": "10.0.9.0/24", "excluded": true])
        await add(everybody, ["destination_ip_prefix": "198.51.100.0/24"])
        try await cloud.sync()
        let specs = await cloud.backend.topology.table(MeteringSpec.self)
        #expect(specs[project]?.regions.count == 2 && specs["*"]?.regions.count == 1)
        #expect(await cloud.backend.topology.routers[router]?.projectID == project)

        let meter = FakeTrafficMeter()
        let agent = TrafficMetering(cloud.service, meter, Metrics(), host: "h")
        func reading(_ region: String, _ packets: Int) -> MeterReading {
            MeterReading(
                place: "fake", counter: region, routerID: router, region: MeterRegion(region)!, packets: packets,
                bytes: packets * 100)
        }
        let plain = "egress 10.0.0.0/16 0.0.0.0/0"
        let left = "egress 10.0.9.0/24 0.0.0.0/0"
        let both = "egress 10.0.9.0/24 198.51.100.0/24"
        await meter.set([reading(plain, 5), reading(left, 7), reading(both, 11)])
        try await agent.measure()
        try await agent.measure()
        func packets(_ label: String) async throws -> Int? {
            try await cloud.cloud.database.rows(
                "SELECT packets FROM network_metering_totals WHERE label_id = \(label)"
            ).first?[0].int
        }
        #expect(try await packets(own) == 5)
        #expect(try await packets(everybody) == 11)
        // The switch began anew: what it shows is what came since.
        await meter.set([reading(plain, 2), reading(both, 12)])
        try await agent.measure()
        #expect(try await packets(own) == 7)
        #expect(try await packets(everybody) == 12)
        // A switch that does not answer is not one that lost its counters.
        await meter.setPlaces([])
        try await agent.measure()
        await meter.setPlaces(["fake"])
        try await agent.measure()
        #expect(try await packets(own) == 7)
        try await agent.report()
        let fresh = try await cloud.cloud.database.rows("SELECT SUM(fresh_packets) FROM network_metering_totals")
        #expect(fresh.first?[0].int == 0)
    }

    @Test("Told apart, what two labels count of one router is the router's twice and each label's once, as upstream")
    func shares() async throws {
        var options = NetworkOptions()
        options.isMeterGranular = true
        let cloud = try await NetworkCloud(options: options)
        let router = try await cloud.make("router", "/routers", ["name": "edge"]).id
        let project = Caller.member().projectID ?? ""
        let own = try await Self.label(cloud, ["tenant_id": .string(project)])
        let everybody = try await Self.label(cloud, ["shared": true])
        for label in [own, everybody] {
            let rule = Self.rule(label, "egress", ["source_ip_prefix": "10.0.0.0/16"])
            #expect(await cloud.call("POST", Self.rules, rule, as: .admin()).status == 201)
        }
        let meter = FakeTrafficMeter()
        let agent = TrafficMetering(cloud.service, meter, Metrics(), host: "h")
        let region = try #require(MeterRegion("egress 10.0.0.0/16 0.0.0.0/0"))
        await meter.set([
            MeterReading(place: "fake", counter: "c", routerID: router, region: region, packets: 5, bytes: 500)
        ])
        try await agent.measure()
        func packets(_ resource: String) async throws -> Int? {
            try await cloud.cloud.database.rows(
                "SELECT packets FROM network_metering_shares WHERE resource_id = \(resource)"
            ).first?[0].int
        }
        #expect(try await packets("label-\(own)") == 5)
        #expect(try await packets("router-\(router)-label-\(own)") == 5)
        #expect(try await packets("project-\(project)-label-\(everybody)") == 5)
        #expect(try await packets("router-\(router)") == 10)
        #expect(try await packets("project-\(project)") == 10)
        try await agent.report()
        #expect(try await packets("router-\(router)") == 0, "told")
    }
}
