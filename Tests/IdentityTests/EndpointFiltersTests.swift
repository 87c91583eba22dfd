// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct EndpointFiltersTests {
    struct Town {
        let cloud: IdentityCloud
        let admin: String, project: String, service: String
        /// The public and the internal endpoint of the service, and a disabled one.
        let near: String, inner: String, closed: String

        init(_ options: IdentityOptions = IdentityOptions()) async throws {
            cloud = try await IdentityCloud(options)
            admin = await cloud.token()
            let login = IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject)
            project = await cloud.call("POST", "/v3/auth/tokens", login)["token"]["project"]?["id"]?.string ?? ""
            service = await cloud.make("service", ["type": "t", "name": "n"], token: admin)
            var ids: [String] = []
            for (interface, enabled) in [("public", true), ("internal", true), ("admin", false)] {
                ids.append(
                    await cloud.make(
                        "endpoint",
                        [
                            "interface": .string(interface), "service_id": .string(service), "url": "http://x/%%a",
                            "enabled": .bool(enabled), "region_id": "RegionOne", "name": "extra",
                        ], token: admin))
            }
            (near, inner, closed) = (ids[0], ids[1], ids[2])
        }

        func call(_ method: String, _ path: String, _ body: JSON? = nil) async -> TestCloud.Answer {
            await cloud.call(method, "/v3/OS-EP-FILTER" + path, body, token: admin)
        }

        func group(_ filters: JSON) async -> String {
            await call("POST", "/endpoint_groups", ["endpoint_group": ["name": "g", "filters": filters]])[
                "endpoint_group"]["id"]?.string ?? ""
        }

        /// The endpoints that a fresh token of the project lists, by service type.
        func catalog() async -> [String: [String]] {
            let login = IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject)
            let token = await cloud.call("POST", "/v3/auth/tokens", login)["token"]
            var catalog: [String: [String]] = [:]
            for service in token["catalog"]?.array ?? [] {
                catalog[service["type"]?.string ?? ""] =
                    service["endpoints"]?.array?.compactMap { $0["id"]?.string }.sorted()
            }
            return catalog
        }
    }

    @Test("A project with endpoints of its own sees those in its catalogue and no others")
    func endpoints() async throws {
        let town = try await Town()
        #expect(await town.catalog()["t"] == [town.near, town.inner].sorted())
        #expect(await town.catalog()["identity"]?.count == 3)
        let path = "/projects/\(town.project)/endpoints/\(town.near)"
        #expect(await town.call("GET", path).status == 404)
        #expect(await town.call("PUT", path).status == 204)
        #expect(await town.call("PUT", path).status == 409)
        #expect(await town.call("HEAD", path).status == 204)
        #expect(await town.catalog() == ["t": [town.near]])
        let listed = await town.call("GET", "/projects/\(town.project)/endpoints")["endpoints"]
        #expect(listed.array?.compactMap { $0["id"]?.string } == [town.near])
        let projects = await town.call("GET", "/endpoints/\(town.near)/projects")["projects"]
        #expect(projects.array?.names() == ["admin"])
        #expect(await town.call("DELETE", path).status == 204)
        #expect(await town.call("DELETE", path).status == 404)
        #expect(await town.catalog()["identity"]?.count == 3)
        #expect(await town.call("PUT", "/projects/\(town.project)/endpoints/\(town.closed)").status == 204)
        #expect(await town.catalog() == [:])
        let gone = await town.cloud.call("DELETE", "/v3/endpoints/\(town.closed)", token: town.admin)
        #expect(gone.status == 204)
        #expect(await town.catalog()["identity"]?.count == 3)
        #expect(await town.call("PUT", "/projects/none/endpoints/\(town.near)").status == 404)
        #expect(await town.call("PUT", "/projects/\(town.project)/endpoints/none").status == 404)
    }

    @Test("A group stands for every endpoint that fits it, at any time")
    func groups() async throws {
        let town = try await Town()
        let id = await town.group(["interface": "internal", "service_id": .string(town.service)])
        let path = "/endpoint_groups/\(id)"
        let shown = await town.call("GET", path)["endpoint_group"]
        #expect(shown["filters"]?["interface"] == "internal")
        #expect(shown["description"] == .null)
        let fitting = await town.call("GET", path + "/endpoints")["endpoints"]
        #expect(fitting.array?.compactMap { $0["id"]?.string } == [town.inner])
        let pair = path + "/projects/\(town.project)"
        #expect(await town.call("GET", pair).status == 404)
        #expect(await town.call("PUT", pair).status == 204)
        #expect(await town.call("PUT", pair).status == 409)
        #expect(await town.call("GET", pair)["project_endpoint_group"]["project_id"]?.string == town.project)
        #expect(await town.catalog() == ["t": [town.inner]])
        #expect(await town.call("GET", path + "/projects")["projects"].array?.names() == ["admin"])
        let groups = await town.call("GET", "/projects/\(town.project)/endpoint_groups")["endpoint_groups"]
        #expect(groups.array?.names() == ["g"])
        let change: JSON = ["endpoint_group": ["filters": ["interface": "public"], "name": "h"]]
        #expect(await town.call("PATCH", path, change)["endpoint_group"]["name"] == "h")
        #expect(await town.catalog()["t"] == [town.near])
        #expect(await town.catalog()["identity"]?.count == 1)
        #expect(await town.call("GET", "/endpoint_groups?name=h")["endpoint_groups"].array?.count == 1)
        #expect(await town.call("DELETE", pair).status == 204)
        #expect(await town.call("DELETE", pair).status == 404)
        #expect(await town.call("PUT", pair).status == 204)
        #expect(await town.call("DELETE", path).status == 204)
        #expect(await town.call("GET", path).status == 404)
        #expect(await town.catalog()["identity"]?.count == 3)
    }

    @Test(
        "Bad groups are 400 and the message names the member",
        arguments: [
            (["name": "g"], "filters"), (["name": "g", "filters": [:]], "filters"),
            (["filters": ["interface": "public"]], "name"),
            (["name": "g", "filters": ["interface": "secret"]], "interface"),
            (["name": "g", "filters": ["enabled": true]], "service_id or region_id or interface"),
            (["name": "g", "filters": ["interface": "public"], "magic": 1], "magic"),
        ] as [(JSON, String)])
    func badGroups(body: JSON, word: String) async throws {
        let answer = try await Town().call("POST", "/endpoint_groups", ["endpoint_group": body])
        #expect(answer.status == 400)
        #expect(answer["error"]["message"]?.string?.contains(word) == true, "\(answer.json)")
    }

    @Test("Projects without endpoints of their own see none when the operator wants it so")
    func strict() async throws {
        var options = IdentityOptions()
        options.catalog.returnsAllWithoutFilter = false
        let town = try await Town(options)
        #expect(await town.catalog() == [:])
        _ = await town.call("PUT", "/projects/\(town.project)/endpoints/\(town.near)")
        #expect(await town.catalog() == ["t": [town.near]])
    }

    @Test("What endpoints have beyond the known members stands in the catalogue, and %% is one sign")
    func extras() async throws {
        let town = try await Town()
        let catalog = await town.cloud.call("GET", "/v3/auth/catalog", token: town.admin)["catalog"]
        let endpoint = catalog.array?.first { $0["type"] == "t" }?["endpoints"]?[0]
        #expect(endpoint?["name"] == "extra")
        #expect(endpoint?["url"] == "http://x/%a")
        #expect(endpoint?["enabled"] == nil)
    }
}
