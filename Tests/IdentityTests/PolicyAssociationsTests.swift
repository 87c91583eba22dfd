// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct PolicyAssociationsTests {
    @Test("An endpoint has its own policy, else its region's or one around it, else its service's")
    func effective() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        _ = await cloud.call("PUT", "/v3/regions/far", ["region": [:]], token: admin)
        let inner: JSON = ["region": ["parent_region_id": "far"]]
        _ = await cloud.call("PUT", "/v3/regions/near", inner, token: admin)
        let service = await cloud.make("service", ["type": "t"], token: admin)
        let endpoint = await cloud.make(
            "endpoint",
            ["interface": "public", "url": "http://x", "service_id": .string(service), "region_id": "near"],
            token: admin)
        var policies: [String] = []
        for name in ["service", "region", "endpoint"] {
            policies.append(
                await cloud.make(
                    "policy", ["type": .string(name), "blob": "{}"], at: "/v3/policies", token: admin))
        }
        let effective = "/v3/endpoints/\(endpoint)/OS-ENDPOINT-POLICY/policy"
        #expect(await cloud.call("GET", effective, token: admin).status == 404)
        let places = ["services/\(service)", "services/\(service)/regions/far", "endpoints/\(endpoint)"]
        for (policy, place) in zip(policies, places) {
            let path = "/v3/policies/\(policy)/OS-ENDPOINT-POLICY/\(place)"
            #expect(await cloud.call("GET", path, token: admin).status == 404)
            #expect(await cloud.call("PUT", path, token: admin).status == 204)
            #expect(await cloud.call("PUT", path, token: admin).status == 204)
            #expect(await cloud.call("HEAD", path, token: admin).status == 204)
            #expect(await cloud.call("GET", effective, token: admin)["policy"]["id"]?.string == policy)
            let list = "/v3/policies/\(policy)/OS-ENDPOINT-POLICY/endpoints"
            let endpoints = await cloud.call("GET", list, token: admin)["endpoints"]
            #expect(endpoints.array?.compactMap { $0["id"]?.string } == [endpoint])
        }
        let own = "/v3/policies/\(policies[2])/OS-ENDPOINT-POLICY/\(places[2])"
        #expect(await cloud.call("DELETE", own, token: admin).status == 204)
        #expect(await cloud.call("GET", own, token: admin).status == 404)
        #expect(await cloud.call("GET", effective, token: admin)["policy"]["type"] == "region")
        #expect(await cloud.call("DELETE", "/v3/policies/\(policies[1])", token: admin).status == 204)
        #expect(await cloud.call("GET", effective, token: admin)["policy"]["type"] == "service")
    }

    @Test("What is not there cannot be associated", arguments: ["endpoints/none", "services/none"])
    func missing(place: String) async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let policy = await cloud.make("policy", ["type": "t", "blob": "{}"], at: "/v3/policies", token: admin)
        let path = "/v3/policies/\(policy)/OS-ENDPOINT-POLICY/\(place)"
        #expect(await cloud.call("PUT", path, token: admin).status == 404)
        let lost = "/v3/policies/none/OS-ENDPOINT-POLICY/\(place)"
        #expect(await cloud.call("PUT", lost, token: admin)["error"]["message"] == "Could not find policy: none.")
    }

    @Test(
        "Calls that went with PKI tokens say so",
        arguments: [
            ("/v3/OS-SIMPLE-CERT/ca", 410), ("/v3/OS-SIMPLE-CERT/certificates", 410),
            ("/v3/auth/tokens/OS-PKI/revoked", 403),
        ])
    func removed(path: String, status: Int) async throws {
        #expect(try await IdentityCloud().call("GET", path).status == status)
    }
}
