// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

struct ServerSharesTests {
    @Test("Without shares' file systems none are listed or found, and hosts without virtiofs refuse them as upstream's")
    func none() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let (path, share) = ("/servers/\(id)/shares", "aaaaaaaa-0000-4000-8000-000000000001")
        let wish: JSON = ["share": ["share_id": .string(share)]]
        #expect(await cloud.call("GET", path, at: "2.96").status == 404)
        #expect(await cloud.call("GET", path, at: "2.97").json.text() == #"{"shares":[]}"#)
        let running = await cloud.call("POST", path, wish, at: "2.97")
        #expect(running.message == "Cannot 'create share' instance \(id) while it is in vm_state active")
        await cloud.act(id, ["os-stop": nil])
        try await cloud.work()
        let refused = await cloud.call("POST", path, wish, at: "2.97")
        #expect(refused.status == 409)
        #expect(
            refused.message
                == "Feature not supported because either compute or instance are not configured correctly.")
        #expect(await cloud.call("POST", path, ["share": ["share_id": "7"]], at: "2.97").status == 400)
        for method in ["GET", "DELETE"] {
            let missing = await cloud.call(method, path + "/" + share, at: "2.97")
            #expect(missing.status == 404 && missing.message == "Share \(share) could not be found.")
        }
    }
}
