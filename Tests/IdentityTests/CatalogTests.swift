// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct CatalogTests {
    @Test("A service and its endpoints appear in the catalogue, with places filled, and go together")
    func life() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let made = await cloud.call("POST", "/v3/services", ["service": ["type": "t", "name": "n"]], token: admin)
        #expect(made.status == 201)
        #expect(made["service"]["enabled"] == true)
        #expect(made["service"]["description"] == nil)
        let service = made["service"]["id"]?.string ?? ""
        let endpoint: JSON = [
            "endpoint": [
                "interface": "public", "url": "http://x/AUTH_$(project_id)s", "service_id": .string(service),
                "region": "far",
            ]
        ]
        let there = await cloud.call("POST", "/v3/endpoints", endpoint, token: admin)
        #expect(there.status == 201)
        #expect(there["endpoint"]["region"] == "far")
        #expect(there["endpoint"]["region_id"] == "far")
        #expect(await cloud.call("GET", "/v3/regions/far", token: admin).status == 200)
        let login = IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject)
        let token = await cloud.call("POST", "/v3/auth/tokens", login)["token"]
        let project = token["project"]?["id"]?.string ?? ""
        let entry = token["catalog"]?.array?.first { $0["type"] == "t" }
        #expect(entry?["endpoints"]?[0]?["url"]?.string == "http://x/AUTH_\(project)")
        let system = await cloud.call(
            "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret", scope: ["system": ["all": true]]))
        let bare = system["token"]["catalog"]?.array?.first { $0["type"] == "t" }
        #expect(bare?["endpoints"] == [])
        #expect(await cloud.call("DELETE", "/v3/services/\(service)", token: admin).status == 204)
        let id = there["endpoint"]["id"]?.string ?? ""
        #expect(await cloud.call("GET", "/v3/endpoints/\(id)", token: admin).status == 404)
    }

    @Test(
        "Bad endpoints are 400 and the message names the member",
        arguments: [
            (["url": "nowhere"], "url"), (["url": "http://x/%(magic)s"], "url"), (["interface": "secret"], "interface"),
            (["service_id": "none"], "service"), (["region_id": "none"], "region"), (["enabled": "yes"], "enabled"),
        ] as [(JSON, String)])
    func badEndpoints(change: JSON, member: String) async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let service = await cloud.make("service", ["type": "t"], token: admin)
        var body: JSON = ["interface": "public", "url": "http://x", "service_id": .string(service)]
        for (key, value) in change.object ?? [:] { body[key] = value }
        let answer = await cloud.call("POST", "/v3/endpoints", ["endpoint": body], token: admin)
        #expect(answer.status == 400)
        #expect(answer["error"]["message"]?.string?.lowercased().contains(member) == true, "\(answer.json)")
    }

    @Test("Regions have the names they are given, lie within one another, and stay while they are used")
    func regions() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        #expect(await cloud.call("PUT", "/v3/regions/a", ["region": ["description": "x"]], token: admin).status == 201)
        let again = await cloud.call("POST", "/v3/regions", ["region": ["id": "a"]], token: admin)
        #expect(again.status == 409)
        let inner: JSON = ["region": ["id": "b", "parent_region_id": "a"]]
        #expect(await cloud.call("POST", "/v3/regions", inner, token: admin).status == 201)
        let circle: JSON = ["region": ["parent_region_id": "b"]]
        #expect(await cloud.call("PATCH", "/v3/regions/a", circle, token: admin).status == 400)
        let lost: JSON = ["region": ["parent_region_id": "none"]]
        #expect(await cloud.call("POST", "/v3/regions", lost, token: admin).status == 404)
        #expect(await cloud.call("GET", "/v3/regions?parent_region_id=a", token: admin)["regions"][0]?["id"] == "b")
        #expect(await cloud.call("DELETE", "/v3/regions/RegionOne", token: admin).status == 403)
        #expect(await cloud.call("DELETE", "/v3/regions/a", token: admin).status == 204)
        #expect(await cloud.call("GET", "/v3/regions/b", token: admin).status == 404)
    }
}
