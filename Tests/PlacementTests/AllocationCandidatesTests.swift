// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

struct AllocationCandidatesTests {
    @Test("Those with room are found, in the shape of the version")
    func shapes() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8, "MEMORY_MB": 1024], traits: ["HW_CPU_X86_AVX"])
        await fixture.provider(2, ["VCPU": 1, "MEMORY_MB": 1024])
        await fixture.provider(3, ["VCPU": 8])
        #expect(await fixture.candidates("resources=VCPU:2,MEMORY_MB:64") == ["1:MEMORY_MB=64,VCPU=2"])
        let query = "resources=VCPU:2"
        let old = await fixture.call("GET", "/allocation_candidates", at: "1.10", query: query)
        #expect(
            old["allocation_requests"][0]
                == ["allocations": [["resource_provider": ["uuid": .string(Fixture.id(1))], "resources": ["VCPU": 2]]]])
        #expect(
            old["provider_summaries"][Fixture.id(1)] == ["resources": ["VCPU": ["capacity": 8, "used": 0]]])
        let new = await fixture.call("GET", "/allocation_candidates", query: query)
        #expect(new["allocation_requests"][0]?["mappings"] == ["": [.string(Fixture.id(1))]])
        let summary = new["provider_summaries"][Fixture.id(1)]
        #expect(Set(summary?["resources"]?.object?.keys ?? []) == ["MEMORY_MB", "VCPU"])
        #expect(summary?["traits"] == ["HW_CPU_X86_AVX"])
        #expect(summary?["root_provider_uuid"]?.string == Fixture.id(1))
        #expect(await fixture.candidates("resources=VCPU:2&limit=1").count == 1)
    }

    @Test("Candidates are bodies that a claim takes, and what is claimed is no longer offered")
    func claimable() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 2])
        let answer = await fixture.call("GET", "/allocation_candidates", query: "resources=VCPU:2")
        var body = answer["allocation_requests"][0]?.object ?? JSONObject()
        for (name, value) in ["project_id": "p", "user_id": "u", "consumer_generation": nil, "consumer_type": "X"]
            as JSONObject
        {
            body[name] = value
        }
        #expect(await fixture.call("PUT", "/allocations/\(Fixture.id(9))", .object(body)).status == 204)
        #expect(await fixture.candidates("resources=VCPU:1") == [])
    }

    @Test("Traits, aggregates and trees narrow the choice")
    func filters() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8], traits: ["HW_CPU_X86_AVX"], aggregates: [100])
        await fixture.provider(2, ["VCPU": 8], traits: ["HW_CPU_X86_AVX2"], aggregates: [101])
        await fixture.provider(3, ["VCPU": 8])
        let base = "resources=VCPU:1&"
        #expect(await fixture.candidates(base + "required=HW_CPU_X86_AVX") == ["1:VCPU=1"])
        #expect(await fixture.candidates(base + "required=!HW_CPU_X86_AVX") == ["2:VCPU=1", "3:VCPU=1"])
        #expect(
            await fixture.candidates(base + "required=in:HW_CPU_X86_AVX,HW_CPU_X86_AVX2") == ["1:VCPU=1", "2:VCPU=1"])
        #expect(await fixture.candidates(base + "member_of=\(Fixture.id(100))") == ["1:VCPU=1"])
        #expect(await fixture.candidates(base + "member_of=!\(Fixture.id(100))") == ["2:VCPU=1", "3:VCPU=1"])
        #expect(await fixture.candidates(base + "in_tree=\(Fixture.id(3))") == ["3:VCPU=1"])
        #expect(await fixture.candidates(base + "in_tree=\(Fixture.id(77))") == [])
        #expect(await fixture.candidates(base + "root_required=HW_CPU_X86_AVX2") == ["2:VCPU=1"])
    }

    @Test("A tree's providers serve together since 1.29")
    func nested() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["MEMORY_MB": 1024])
        await fixture.provider(2, ["VCPU": 4], parent: 1)
        await fixture.provider(3, ["VCPU": 4], parent: 1)
        let query = "resources=VCPU:2,MEMORY_MB:64"
        #expect(await fixture.candidates(query) == ["1:MEMORY_MB=64 2:VCPU=2", "1:MEMORY_MB=64 3:VCPU=2"])
        #expect(await fixture.candidates(query, at: "1.28") == [])
        #expect(await fixture.candidates("resources=VCPU:2", at: "1.28") == ["2:VCPU=2", "3:VCPU=2"])
        let all = await fixture.call("GET", "/allocation_candidates", query: "resources=VCPU:2")
        #expect(all["provider_summaries"].object?.count == 3)
    }

    @Test("A shared provider lends to the trees in its aggregate")
    func sharing() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 4], aggregates: [100])
        await fixture.provider(2, ["VCPU": 4])
        await fixture.provider(3, ["DISK_GB": 100], traits: ["MISC_SHARES_VIA_AGGREGATE"], aggregates: [100])
        #expect(await fixture.candidates("resources=VCPU:1,DISK_GB:5") == ["1:VCPU=1 3:DISK_GB=5"])
        #expect(await fixture.candidates("resources=DISK_GB:5") == ["3:DISK_GB=5"])
        #expect(await fixture.candidates("resources=DISK_GB:5&limit=5") == ["3:DISK_GB=5"])
        #expect(await fixture.candidates("resources=VCPU:1,DISK_GB:5&in_tree=\(Fixture.id(1))") == [])
    }

    @Test("Each named group is served by one provider; isolate keeps groups apart")
    func groups() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8])
        await fixture.provider(2, ["SRIOV_NET_VF": 4], parent: 1)
        await fixture.provider(3, ["SRIOV_NET_VF": 1], parent: 1, traits: ["HW_NIC_SRIOV"])
        let base = "resources=VCPU:1&resources1=SRIOV_NET_VF:1&resources2=SRIOV_NET_VF:1&group_policy="
        #expect(
            await fixture.candidates(base + "none")
                == [
                    "1:VCPU=1 2:SRIOV_NET_VF=1 3:SRIOV_NET_VF=1", "1:VCPU=1 2:SRIOV_NET_VF=1 3:SRIOV_NET_VF=1",
                    "1:VCPU=1 2:SRIOV_NET_VF=2",
                ])
        #expect(await fixture.candidates(base + "isolate").allSatisfy { $0.contains("3:SRIOV_NET_VF=1") })
        #expect(
            await fixture.candidates(base + "none&required2=HW_NIC_SRIOV")
                == ["1:VCPU=1 2:SRIOV_NET_VF=1 3:SRIOV_NET_VF=1"])
        #expect(
            await fixture.candidates(
                "resources_A=VCPU:1&resources_B=SRIOV_NET_VF:2&group_policy=none&same_subtree=_A,_B")
                == ["1:VCPU=1 2:SRIOV_NET_VF=2"])
        #expect(
            await fixture.candidates(
                "resources_A=SRIOV_NET_VF:1&resources_B=SRIOV_NET_VF:1&group_policy=isolate&same_subtree=_A,_B") == [])
        let missing = await fixture.call(
            "GET", "/allocation_candidates", query: "resources1=VCPU:1&resources2=VCPU:1")
        #expect(missing.detail.contains("group_policy"))
    }

    @Test(
        "Requests that are wrong or too new are refused",
        arguments: [
            ("1.39", ""), ("1.39", "resources="), ("1.39", "resources=VCPU:x"), ("1.39", "resources=CUSTOM_NO:1"),
            ("1.39", "resources=VCPU:1&required=NOPE"), ("1.39", "resources=VCPU:1&limit=0"),
            ("1.15", "resources=VCPU:1&limit=1"), ("1.16", "resources=VCPU:1&required=HW_CPU_X86_AVX"),
            ("1.20", "resources=VCPU:1&member_of=00000000-0000-4000-8000-000000000001"),
            ("1.24", "resources1=VCPU:1"), ("1.32", "resources_A=VCPU:1"), ("1.39", "required=HW_CPU_X86_AVX"),
            ("1.39", "resources=VCPU:1&required=HW_CPU_X86_AVX,!HW_CPU_X86_AVX"), ("1.39", "resources=VCPU:1&x=1"),
            ("1.39", "resources=VCPU:1&same_subtree=_A"), ("1.35", "resources=VCPU:1&required1=HW_CPU_X86_AVX"),
        ])
    func refused(version: String, query: String) async throws {
        let answer = try await Fixture().call("GET", "/allocation_candidates", at: version, query: query)
        #expect(answer.status == 400, "\(answer.json.text())")
    }

    @Test("Groups that ask for the same trade places, unless the caller has no use for that")
    func twins() async throws {
        let fixture = try await Fixture()
        for tree in [1, 2] {
            await fixture.provider(tree * 10, ["VCPU": 8])
            for child in 1...3 { await fixture.provider(tree * 10 + child, ["VGPU": 1], parent: tree * 10) }
            await fixture.provider(tree * 10 + 4, ["VGPU": 2], parent: tree * 10)
        }
        let pair = "group_policy=none&resources=VCPU:1&resources1=VGPU:1&resources2=VGPU:1"
        // Each of four with each other, and the one that has two with itself.
        #expect(await fixture.candidates(pair).count == 26)
        let distinct = await fixture.distinct(pair)
        #expect(distinct.count == 14)
        let first = await fixture.distinct(pair + "&limit=2").compactMap { $0["allocations"]?.object?.keys }
        #expect(Set(first.flatMap(\.self)).isSuperset(of: [Fixture.id(10), Fixture.id(20)]), "one of each tree first")
        // Who asks for more than that is another group.
        #expect(await fixture.distinct(pair + "&resources3=VGPU:2").count == 6)
        #expect(await fixture.distinct(pair.replacing("none", with: "isolate")).count == 12)
        let five = (1...5).map { "&resources\($0)=VGPU:1" }.joined()
        #expect(await fixture.distinct("group_policy=none" + five).count == 2)
        #expect(await fixture.distinct("group_policy=none&resources6=VGPU:1" + five).isEmpty)
    }

    @Test("Before 1.10 there are no candidates")
    func tooOld() async throws {
        #expect(
            try await Fixture().call("GET", "/allocation_candidates", at: "1.9", query: "resources=VCPU:1").status
                == 404)
    }

    @Test("200 servers find room and are claimed at once among 300 hosts")
    func crowd() async throws {
        let fixture = try await Fixture()
        for number in 1...300 { await fixture.provider(number, ["VCPU": 8, "MEMORY_MB": 4096, "DISK_GB": 100]) }
        let answer = await fixture.call(
            "GET", "/allocation_candidates", query: "resources=VCPU:1,MEMORY_MB:64,DISK_GB:1&limit=200")
        let requests = answer["allocation_requests"].array ?? []
        #expect(requests.count == 200)
        #expect(Set(requests.compactMap { $0["allocations"]?.object?.keys.first }).count == 200)
        var body = JSONObject()
        for (at, request) in requests.enumerated() {
            body[Fixture.id(1000 + at)] = [
                "allocations": request["allocations"] ?? nil, "project_id": "p", "user_id": "u",
                "consumer_generation": nil, "consumer_type": "INSTANCE",
            ]
        }
        #expect(await fixture.call("POST", "/allocations", .object(body)).status == 204)
        let usages = await fixture.call("GET", "/usages", query: "project_id=p")
        #expect(usages["usages"]["INSTANCE"]?["VCPU"]?.integer == 200)
    }
}
