// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

struct NetworkAllocationTests {
    private static let draft = ComputeCloud.draft(["networks": "auto"])

    private func cloud(allocates: Bool) async throws -> ComputeCloud {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        cloud.network.state.withLock {
            $0.networks = [:]
            $0.allocates = allocates
        }
        return cloud
    }

    @Test("Servers of a project without a network are given one of the same, however many boot at once")
    func allocated() async throws {
        let cloud = try await cloud(allocates: true)
        var draft = Self.draft["server"]?.object ?? [:]
        draft["min_count"] = 3
        let answer = await cloud.call("POST", "/servers", ["server": .object(draft)], at: "2.37")
        #expect(answer.status == 202, "\(answer.json.text())")
        try await cloud.work()
        let servers = await cloud.call("GET", "/servers/detail", at: "2.37")["servers"].array ?? []
        #expect(servers.count == 3)
        for server in servers {
            #expect(server["status"]?.string == "ACTIVE")
            #expect(server["addresses"]?.object?.keys.sorted() == ["auto_allocated_network"])
        }
    }

    @Test("A server is refused where no network can be made for it; one that wants none is not")
    func refused() async throws {
        let cloud = try await cloud(allocates: false)
        let answer = await cloud.call("POST", "/servers", Self.draft, at: "2.37")
        #expect(answer.status == 400)
        #expect(answer.message == "Unable to automatically allocate a network for project project-a")
        let none = await cloud.call("POST", "/servers", ComputeCloud.draft(["networks": "none"]), at: "2.37")
        #expect(none.status == 202)
    }

    @Test("A network is made only for those who have none")
    func own() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        cloud.network.state.withLock { $0.allocates = true }
        let id = try await cloud.server(["networks": "auto"], at: "2.37")
        #expect(await cloud.show(id)["addresses"]?.object?.keys.sorted() == ["private"])
    }
}
