// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// What the auditor finds and mends.
struct AuditorTests {
    @Test("A cloud at rest agrees with itself")
    func rest() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        _ = try await cloud.server(["min_count": 3])
        #expect(try await Auditor(cloud.room).audit() == [])
        #expect(await cloud.call("GET", "/placement-audit").status == 403)
    }

    @Test("Each kind of drift is found, mended as far as it may be, and then gone")
    func drift() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        var ids: [String] = []
        for _ in 0..<3 { ids.append(try await cloud.server()) }
        let database = cloud.room.database
        let admin = Caller.admin()
        // A server whose allocation went, one with too much, one whose row went, and a host whose memory shrank.
        _ = await cloud.cloud.call("placement", "DELETE", "/allocations/\(ids[0])", at: "1.36", as: admin)
        let held = await cloud.cloud.call("placement", "GET", "/allocations/\(ids[1])", at: "1.36", as: admin).json
        var body = held.object ?? [:]
        let provider = body["allocations"]?.object?.keys.first ?? ""
        body["allocations"] = [provider: ["resources": ["VCPU": 3, "MEMORY_MB": 512, "DISK_GB": 1]]]
        let put = await cloud.cloud.call(
            "placement", "PUT", "/allocations/\(ids[1])", .object(body), at: "1.36", as: admin)
        #expect(put.status == 204, "\(put.json.text())")
        _ = try await database.execute("UPDATE compute_servers SET deleted_at = 1 WHERE id = \(ids[2])")
        _ = try await database.execute(
            "UPDATE placement_inventories SET total = total - 1 WHERE resource_class = 'VCPU'")
        let found = await cloud.call("GET", "/placement-audit", as: admin)["placement_audit"]
        let kinds = Set((found["drifts"]?.array ?? []).compactMap { $0["kind"]?.string })
        let expected: Set = [
            "server_without_allocation", "wrong_amounts", "allocation_without_server", "wrong_inventory",
            "unknown_guest",
        ]
        #expect(kinds == expected, "\(found.text())")
        let mended = await cloud.call("POST", "/placement-audit", [:], as: admin)["placement_audit"]
        #expect(
            (mended["mended"]?.array ?? []).allSatisfy { $0["outcome"] == "done" }, "\(mended.text())")
        let left = try await Auditor(cloud.room).audit()
        // A guest that nobody knows is never touched.
        #expect(left.map(\.kind) == [.unknownGuest], "\(left)")
    }

    @Test("A guest that its host has lost is told of, not touched")
    func missing() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        try await cloud.hosts["host-1"]?.destroy(id)
        #expect(try await Auditor(cloud.room).audit().map(\.kind) == [.guestMissing])
    }
}
