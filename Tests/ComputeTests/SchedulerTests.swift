// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// Where servers may go and where they go: filters, weighers, groups, batches, and what is told of it.
struct SchedulerTests {
    /// A condition on three hosts, and those that remain.
    struct Case: Sendable, CustomTestStringConvertible {
        let filter: String
        var specs: JSONObject = [:]
        var hints: JSONObject = [:]
        /// Of an aggregate that holds host-1.
        var metadata: JSONObject = [:]
        let remaining: [String]

        var testDescription: String { filter }
    }

    static let cases = [
        Case(filter: "ComputeCapabilitiesFilter", specs: ["capabilities:hypervisor_type": "s== xen"], remaining: []),
        Case(
            filter: "ComputeCapabilitiesFilter", specs: ["capabilities:vcpus_total": ">= 4"],
            remaining: ["host-1", "host-2", "host-3"]),
        Case(
            filter: "ComputeCapabilitiesFilter", specs: ["capabilities:cpu_info:vendor": "<in> Apus"],
            remaining: ["host-1", "host-2", "host-3"]),
        Case(
            filter: "AggregateInstanceExtraSpecsFilter", specs: ["aggregate_instance_extra_specs:ssd": "true"],
            metadata: ["ssd": "true"], remaining: ["host-1"]),
        Case(
            filter: "AggregateMultiTenancyIsolation", metadata: ["filter_tenant_id": "somebody,else"],
            remaining: ["host-2", "host-3"]),
        Case(
            filter: "AggregateTypeAffinityFilter", metadata: ["instance_type": "other, f-large"],
            remaining: ["host-2", "host-3"]),
        Case(
            filter: "AggregateNumInstancesFilter", metadata: ["max_instances_per_host": "0"],
            remaining: [
                "host-2", "host-3",
            ]),
        Case(filter: "AggregateIoOpsFilter", metadata: ["max_io_ops_per_host": "0"], remaining: ["host-2", "host-3"]),
        Case(filter: "JsonFilter", hints: ["query": #"["=", "$host", "host-2"]"#], remaining: ["host-2"]),
        Case(
            filter: "JsonFilter",
            hints: ["query": #"["and", [">", "$free_ram_mb", 1024], ["not", ["in", "$host", "host-1"]]]"#],
            remaining: ["host-2", "host-3"]),
        Case(
            filter: "SimpleCIDRAffinityFilter", hints: ["build_near_host_ip": "127.0.0.9", "cidr": "/24"],
            remaining: ["host-1", "host-2", "host-3"]),
        Case(filter: "SimpleCIDRAffinityFilter", hints: ["build_near_host_ip": "10.0.0.1"], remaining: []),
        Case(filter: "NUMATopologyFilter", specs: ["hw:numa_nodes": "1"], remaining: []),
        Case(filter: "PciPassthroughFilter", specs: ["pci_passthrough:alias": "gpu:1"], remaining: []),
        Case(filter: "AllHostsFilter", remaining: ["host-1", "host-2", "host-3"]),
    ]

    @Test("A filter that is enabled leaves out the hosts it is about, and is named", arguments: cases)
    func filters(_ item: Case) async throws {
        var options = ComputeOptions()
        options.scheduler.enabledFilters = [item.filter]
        options.pci.aliases = [.init(name: "gpu", vendorID: "10de")]
        let cloud = try await ComputeCloud(hosts: 3, options: options)
        await cloud.flavor()
        let admin = Caller.admin()
        if !item.specs.isEmpty {
            let set = await cloud.call(
                "POST", "/flavors/small/os-extra_specs", ["extra_specs": .object(item.specs)], as: admin)
            #expect(set.status == 200, "\(set.json.text())")
        }
        if !item.metadata.isEmpty { await aggregate(cloud, item.metadata) }
        let told = await capacity(cloud, count: 100, hints: item.hints)
        let hosts = (told["hosts"]?.array ?? []).compactMap { $0["host"]?.string }.sorted()
        #expect(hosts == item.remaining, "\(told.text())")
        if item.remaining.count < 3 {
            #expect((told["removed"]?.array ?? []).contains { $0["filter"]?.string == item.filter }, "\(told.text())")
        }
    }

    private func aggregate(_ cloud: ComputeCloud, _ metadata: JSONObject, host: String = "host-1") async {
        let admin = Caller.admin()
        _ = await cloud.call("POST", "/os-aggregates", ["aggregate": ["name": "a"]], as: admin)
        let path = "/os-aggregates/1/action"
        _ = await cloud.call("POST", path, ["add_host": ["host": .string(host)]], as: admin)
        let set = await cloud.call("POST", path, ["set_metadata": ["metadata": .object(metadata)]], as: admin)
        #expect(set.status == 200, "\(set.json.text())")
    }

    private func capacity(
        _ cloud: ComputeCloud, count: Int, hints: JSONObject = [:], _ more: JSONObject = [:]
    ) async -> JSON {
        var asked: JSONObject = ["flavorRef": "small", "count": .integer(Int64(count)), "hints": .object(hints)]
        for (name, value) in more { asked[name] = value }
        let answer = await cloud.call("POST", "/placement-capacity", ["capacity": .object(asked)], as: .admin())
        #expect(answer.status == 200, "\(answer.json.text())")
        return answer["capacity"]
    }

    @Test("A dry run tells what fits, how many more, and what runs out; it takes nothing and is for administrators")
    func capacity() async throws {
        let each = HostResources.fake(vcpus: 2, memoryMiB: 8192, diskGiB: 100)
        let cloud = try await ComputeCloud(hosts: 3, each: each)
        await cloud.flavor("small", vcpus: 2, ram: 1024, disk: 1)
        let told = await capacity(cloud, count: 5)
        #expect(told["fits"] == true)
        #expect(told["more"] == 7, "\(told.text())")
        #expect(told["runs_out"]?[0]?["what"] == "VCPU", "\(told.text())")
        #expect(told["runs_out"]?[0]?["hosts"] == 3)
        let much = await capacity(cloud, count: 13)
        #expect(much["fits"] == false)
        #expect(much["placed"] == 12)
        #expect((await capacity(cloud, count: 1))["more"] == 11)
        let body: JSON = ["capacity": ["flavorRef": "small"]]
        #expect(await cloud.call("POST", "/placement-capacity", body).status == 403)
        #expect(await cloud.call("POST", "/placement-capacity", ["capacity": ["count": 1]], as: .admin()).status == 400)
    }

    @Test("Traits that flavor or image require or forbid decide, and the lacking one is named")
    func traits() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let admin = Caller.admin()
        let name = "CUSTOM_FAST"
        let id = try await cloud.room.database.rows("SELECT id FROM compute_hosts WHERE name = 'host-2'")[0].text("id")
        _ = await cloud.cloud.call("placement", "PUT", "/traits/\(name)", at: "1.36", as: admin)
        let path = "/resource_providers/\(id ?? "")/traits"
        let now = await cloud.cloud.call("placement", "GET", path, at: "1.36", as: admin)
        let had = now["traits"].array ?? []
        #expect(had.contains("COMPUTE_NODE"), "\(now.json.text())")
        let put: JSON = [
            "resource_provider_generation": now["resource_provider_generation"],
            "traits": .array(had + [.string(name)]),
        ]
        #expect(await cloud.cloud.call("placement", "PUT", path, put, at: "1.36", as: admin).status == 200)
        try await HostReporter(cloud.room).report()
        for (wish, host) in [("required", "host-2"), ("forbidden", "host-1")] {
            let specs: JSON = ["extra_specs": ["trait:CUSTOM_FAST": .string(wish)]]
            _ = await cloud.call("POST", "/flavors/small/os-extra_specs", specs, as: admin)
            let told = await capacity(cloud, count: 3)
            #expect(told["hosts"]?.array?.compactMap { $0["host"]?.string } == [host], "\(told.text())")
        }
        let specs: JSON = ["extra_specs": ["trait:HW_CPU_X86_AVX512F": "required", "trait:CUSTOM_FAST": "required"]]
        _ = await cloud.call("POST", "/flavors/small/os-extra_specs", specs, as: admin)
        let none = await capacity(cloud, count: 1)
        #expect(none["removed"]?[0]?["reason"]?.string?.contains("HW_CPU_X86_AVX512F") == true, "\(none.text())")
    }

    @Test("Memory spreads servers, a negative multiplier packs them, and an aggregate may set its own")
    func weighing() async throws {
        var options = ComputeOptions()
        for (multiplier, expected) in [(1.0, 3), (-1.0, 1)] {
            for name in ["ram", "cpu", "disk"] {
                options.scheduler.multipliers[name + "_weight_multiplier"] = multiplier
            }
            options.scheduler.multipliers["io_ops_weight_multiplier"] = 0
            let cloud = try await ComputeCloud(hosts: 3, options: options)
            await cloud.flavor()
            let told = await capacity(cloud, count: 3)
            #expect(told["hosts"]?.array?.count == expected, "\(told.text())")
        }
    }

    @Test("A batch lands whole or not at all, and a failed one holds nothing")
    func batches() async throws {
        let each = HostResources.fake(vcpus: 2, memoryMiB: 4096, diskGiB: 100)
        let cloud = try await ComputeCloud(hosts: 2, each: each)
        await cloud.flavor("small", vcpus: 1, ram: 512, disk: 50)
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft(["min_count": 5])).status == 202)
        try await cloud.work()
        let states = try await cloud.room.database.rows("SELECT vm_state FROM compute_servers")
        #expect(states.allSatisfy { $0.text("vm_state") == "error" })
        #expect(try await cloud.room.database.rows("SELECT * FROM placement_allocations").isEmpty)
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft(["min_count": 4])).status == 202)
        try await cloud.work()
        let active = try await cloud.room.database.rows("SELECT id FROM compute_servers WHERE vm_state = 'active'")
        #expect(active.count == 4)
    }

    @Test("Two requests at once cannot race past a group's policy", arguments: ["affinity", "anti-affinity"])
    func races(_ policy: String) async throws {
        let cloud = try await ComputeCloud(hosts: 4)
        await cloud.flavor()
        let group: JSON = ["server_group": ["name": "g", "policy": .string(policy)]]
        let id = await cloud.call("POST", "/os-server-groups", group, at: "2.64")["server_group"]["id"] ?? ""
        for _ in 0..<4 {
            var draft = ComputeCloud.draft().object ?? [:]
            draft["os:scheduler_hints"] = ["group": id]
            #expect(await cloud.call("POST", "/servers", .object(draft)).status == 202)
        }
        try await cloud.work()
        let rows = try await cloud.room.database.rows("SELECT host, vm_state FROM compute_servers")
        #expect(Set(rows.map { $0.text("host") }).count == (policy == "affinity" ? 1 : 4))
        #expect(rows.allSatisfy { $0.text("vm_state") == "active" })
    }

    @Test("A server that a host refuses is tried on another, and the host is remembered for it")
    func refusals() async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        await cloud.flavor()
        let database = cloud.room.database
        for name in ["host-1", "host-2"] { await cloud.hosts[name]?.setTrouble(.init(failures: 1)) }
        let made = await cloud.call("POST", "/servers", ComputeCloud.draft())
        let id = made["server"]["id"]?.string ?? ""
        // A host that does nothing cannot undo anything either: it is mended as soon as it has refused.
        for name in ["host-1", "host-2"] {
            try await cloud.work {
                try await database.count(
                    OperationRecord.self, "state = 'undoing' AND payload LIKE \("%" + name + "%")") > 0
            }
            await cloud.hosts[name]?.setTrouble(.init())
        }
        try await cloud.work()
        let server = await cloud.show(id)
        #expect(server["status"] == "ACTIVE", "\(server.text())")
        #expect(server["OS-EXT-SRV-ATTR:host"] == "host-3")
        let failed = try await cloud.room.database.rows("SELECT name FROM compute_hosts WHERE failed_builds > 0")
        #expect(failed.compactMap { $0.text("name") }.sorted() == ["host-1", "host-2"])
        let next = try await cloud.server()
        #expect(await cloud.show(next)["OS-EXT-SRV-ATTR:host"] == "host-3")
        #expect(try await cloud.room.database.rows("SELECT * FROM placement_consumers").count == 2)
    }

    @Test("host_status follows the host's reports, for those who may see it")
    func hostStatus() async throws {
        let clock = SimulatedClock()
        let cloud = try await ComputeCloud(hosts: 1, clock: clock)
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.show(id, at: "2.16")["host_status"] == "UP")
        #expect(await cloud.show(id, at: "2.16", as: .member())["host_status"] == nil)
        let admin = Caller.admin()
        let named: JSON = ["host": "host-1", "binary": "nova-compute"]
        _ = await cloud.call("PUT", "/os-services/disable", named, as: admin)
        #expect(await cloud.show(id, at: "2.16")["host_status"] == "MAINTENANCE")
        let down: JSON = ["host": "host-1", "binary": "nova-compute", "forced_down": true]
        _ = await cloud.call("PUT", "/os-services/force-down", down, at: "2.11", as: admin)
        #expect(await cloud.show(id, at: "2.16")["host_status"] == "DOWN")
        _ = try await cloud.room.database.execute(
            "UPDATE compute_hosts SET is_forced_down = 0, is_disabled = 0, reported_at = reported_at - 61000000")
        #expect(await cloud.show(id, at: "2.16")["host_status"] == "UNKNOWN")
    }

    static let badHints: [(JSONObject, Int)] = [
        (["group": "no-uuid"], 400), (["different_host": "x"], 400), (["same_host": ["x"]], 400),
        (["build_near_host_ip": "x"], 400), (["cidr": "24"], 400), (["query": 1], 400), (["anything": [1]], 202),
        (["different_host": [.string(ComputeCloud.image)]], 202), (["query": #"["=", "$host", "host-1"]"#], 202),
    ]

    @Test("Hints are checked as upstream's schema has them", arguments: badHints)
    func hints(_ hints: JSONObject, status: Int) async throws {
        let cloud = try await ComputeCloud(hosts: 1)
        await cloud.flavor()
        var draft = ComputeCloud.draft().object ?? [:]
        draft["os:scheduler_hints"] = .object(hints)
        #expect(await cloud.call("POST", "/servers", .object(draft)).status == status)
    }

    @Test("A zone or host that is not there is refused; a forced host decides the zone and asks no filter")
    func destinations() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let admin = Caller.admin()
        for (members, version) in [
            (["availability_zone": "nowhere"] as JSONObject, "2.1"), (["host": "host-9"], "2.74"),
            (["host": "host-1", "hypervisor_hostname": "host-2"], "2.74"),
            (["availability_zone": "a:b:c:d"], "2.1"),
            (["availability_zone": "nova:host-1", "host": "host-2"], "2.74"),
        ] {
            var draft = members
            draft["networks"] = version == "2.1" ? nil : "auto"
            let answer = await cloud.call("POST", "/servers", ComputeCloud.draft(draft), at: version, as: admin)
            #expect(answer.status == 400, "\(answer.json.text())")
        }
        _ = await cloud.call(
            "PUT", "/os-services/disable", ["host": "host-2", "binary": "nova-compute"], as: admin)
        let forced = await cloud.call(
            "POST", "/servers", ComputeCloud.draft(["availability_zone": "nova:host-2"]), as: admin)
        try await cloud.work()
        let server = await cloud.show(forced["server"]["id"]?.string ?? "")
        #expect(server["OS-EXT-SRV-ATTR:host"] == "host-2", "\(server.text())")
    }
}
