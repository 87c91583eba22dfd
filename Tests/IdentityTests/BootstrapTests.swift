// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct BootstrapTests {
    @Test("Running it again changes nothing but addresses that have moved")
    func again() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let lists = ["users", "projects", "roles", "services", "endpoints", "regions", "domains", "role_assignments"]
        var before: [String: JSON] = [:]
        for list in lists { before[list] = await cloud.call("GET", "/v3/\(list)", token: admin).json }
        try await cloud.bootstrap(port: 5000)
        for list in lists { #expect(await cloud.call("GET", "/v3/\(list)", token: admin).json == before[list]) }
        try await cloud.bootstrap(port: 15_000)
        let endpoints = await cloud.call("GET", "/v3/endpoints", token: admin)["endpoints"].array ?? []
        #expect(endpoints.count == 3)
        #expect(endpoints.allSatisfy { $0["url"] == "http://cloud.test:15000/v3" })
        #expect(await cloud.token() != "")
    }
}
