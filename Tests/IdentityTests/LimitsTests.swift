// SPDX-License-Identifier: Apache-2.0
import Clients
import Identity
import Kernel
import Simulation
import Testing

struct LimitsTests {
    struct Town {
        let cloud: IdentityCloud
        let admin: String, service: String, domain: String, project: String

        init(_ model: LimitModel = .flat) async throws {
            var options = IdentityOptions()
            options.limits.model = model
            cloud = try await IdentityCloud(options)
            admin = await cloud.token()
            service = await cloud.make("service", ["type": "image", "name": "glance"], token: admin)
            domain = await cloud.make("domain", ["name": "far"], token: admin)
            project = await cloud.make("project", ["name": "p", "domain_id": .string(domain)], token: admin)
        }

        func register(_ change: JSON = [:]) async -> TestCloud.Answer {
            var body: JSON = ["service_id": .string(service), "resource_name": "images", "default_limit": 10]
            for (key, value) in change.object ?? [:] { body[key] = value }
            return await cloud.call("POST", "/v3/registered_limits", ["registered_limits": [body]], token: admin)
        }

        func limit(_ amount: Int, _ change: JSON = [:]) -> JSON {
            var body: JSON = [
                "service_id": .string(service), "resource_name": "images", "resource_limit": .integer(Int64(amount)),
            ]
            for (key, value) in change.object ?? [:] { body[key] = value }
            return body
        }

        func make(_ limits: JSON...) async -> TestCloud.Answer {
            await cloud.call("POST", "/v3/limits", ["limits": .array(limits)], token: admin)
        }

        var ofProject: JSON { ["project_id": .string(project)] }
        var ofDomain: JSON { ["domain_id": .string(domain)] }
    }

    @Test("A limit is registered, overridden for a project, changed, and taken away in that order")
    func life() async throws {
        let town = try await Town()
        #expect(await town.make(town.limit(5, town.ofProject)).status == 403)
        let made = await town.register(["description": "d"])
        #expect(made.status == 201)
        let registered = made["registered_limits"][0]
        #expect(registered?["default_limit"] == 10)
        #expect(registered?["region_id"] == .null)
        #expect(made.json["links"] == nil)
        #expect(await town.register().status == 409)
        let path = "/v3/registered_limits/" + (registered?["id"]?.string ?? "")
        let change: JSON = ["registered_limit": ["default_limit": 20]]
        #expect(
            await town.cloud.call("PATCH", path, change, token: town.admin)["registered_limit"]["default_limit"] == 20)
        let limit = await town.make(town.limit(5, town.ofProject))
        #expect(limit.status == 201)
        #expect(limit["limits"][0]?["domain_id"] == .null)
        #expect(await town.make(town.limit(5, town.ofProject)).status == 409)
        #expect(await town.cloud.call("PATCH", path, change, token: town.admin).status == 403)
        #expect(await town.cloud.call("DELETE", path, token: town.admin).status == 403)
        let own = "/v3/limits/" + (limit["limits"][0]?["id"]?.string ?? "")
        let less: JSON = ["limit": ["resource_limit": 0, "description": "none"]]
        #expect(await town.cloud.call("PATCH", own, less, token: town.admin)["limit"]["resource_limit"] == 0)
        #expect(await town.cloud.call("GET", own, token: town.admin)["limit"]["description"] == "none")
        #expect(await town.cloud.call("DELETE", own, token: town.admin).status == 204)
        #expect(await town.cloud.call("GET", own, token: town.admin).status == 404)
        #expect(await town.cloud.call("DELETE", path, token: town.admin).status == 204)
    }

    @Test("A registered limit outlives its region and its service, and is deleted then")
    func regionGone() async throws {
        let town = try await Town()
        let region = await town.cloud.make("region", ["id": "north"], token: town.admin)
        let made = await town.register(["region_id": .string(region)])
        let path = "/v3/registered_limits/" + (made["registered_limits"][0]?["id"]?.string ?? "")
        #expect(await town.cloud.call("DELETE", "/v3/regions/" + region, token: town.admin).status == 204)
        #expect(await town.cloud.call("DELETE", "/v3/services/" + town.service, token: town.admin).status == 204)
        #expect(await town.cloud.call("GET", path, token: town.admin)["registered_limit"]["region_id"] == "north")
        #expect(await town.cloud.call("DELETE", path, token: town.admin).status == 204)
    }

    @Test("A project that acts as a domain has a domain's limit, and limits go with what they are for")
    func places() async throws {
        let town = try await Town()
        _ = await town.register()
        let made = await town.make(
            town.limit(5, ["project_id": .string(town.domain)]), town.limit(4, town.ofProject))
        #expect(made["limits"][0]?["domain_id"]?.string == town.domain)
        #expect(made["limits"][0]?["project_id"] == .null)
        let list = await town.cloud.call("GET", "/v3/limits?project_id=\(town.project)", token: town.admin)
        #expect(list["limits"].array?.count == 1)
        _ = await town.cloud.call("DELETE", "/v3/projects/\(town.project)", token: town.admin)
        #expect(await town.cloud.call("GET", "/v3/limits", token: town.admin)["limits"].array?.count == 1)
    }

    @Test("A project sees its own limits, and nobody else's")
    func visibility() async throws {
        let town = try await Town()
        _ = await town.register()
        let made = await town.make(town.limit(4, town.ofProject), town.limit(9, town.ofDomain))
        let ann = await town.cloud.make("user", ["name": "ann", "password": "one"], token: town.admin)
        let member = await town.cloud.role("member", token: town.admin)
        let grant = "/v3/projects/\(town.project)/users/\(ann)/roles/\(member)"
        #expect(await town.cloud.call("PUT", grant, token: town.admin).status == 204)
        let token = await town.cloud.token("ann", "one", scope: ["project": ["id": .string(town.project)]])
        let seen = await town.cloud.call("GET", "/v3/limits", token: token)["limits"]
        #expect(seen.array?.count == 1)
        #expect(seen[0]?["project_id"]?.string == town.project)
        for (at, status) in [(0, 200), (1, 403)] {
            let path = "/v3/limits/" + (made["limits"][at]?["id"]?.string ?? "")
            #expect(await town.cloud.call("GET", path, token: token).status == status)
        }
        let other = await town.cloud.call("GET", "/v3/limits?project_id=\(town.domain)", token: token)
        #expect(other["limits"] == [])
        #expect(await town.cloud.call("GET", "/v3/limits/model", token: token)["model"]["name"] == "flat")
    }

    @Test("Under the strict model a project has no more than its domain")
    func strict() async throws {
        let town = try await Town(.strictTwoLevel)
        _ = await town.register()
        let tooMuch = await town.make(town.limit(11, town.ofProject))
        #expect(tooMuch.status == 403)
        #expect(tooMuch["error"]["message"]?.string?.contains("doesn't satisfy current hierarchy model") == true)
        #expect(await town.make(town.limit(20, town.ofDomain), town.limit(21, town.ofProject)).status == 403)
        let made = await town.make(town.limit(20, town.ofDomain), town.limit(15, town.ofProject))
        #expect(made.status == 201)
        let domain = "/v3/limits/" + (made["limits"][0]?["id"]?.string ?? "")
        let less: JSON = ["limit": ["resource_limit": 14]]
        #expect(await town.cloud.call("PATCH", domain, less, token: town.admin).status == 403)
        let child: JSON = ["project": ["name": "c", "parent_id": .string(town.project)]]
        let below = await town.cloud.make("project", child["project"] ?? [:], token: town.admin)
        let deeper = await town.cloud.call(
            "POST", "/v3/projects", ["project": ["name": "d", "parent_id": .string(below)]], token: town.admin)
        #expect(deeper.status == 403)
    }

    @Test(
        "Bad limits are refused and the message names the member",
        arguments: [
            (["resource_limit": -2], 400, "resource_limit"), (["resource_limit": "5"], 400, "resource_limit"),
            (["service_id": "none"], 400, "service_id"), (["region_id": "none"], 400, "region_id"),
            (["domain_id": "default"], 400, "domain_id"), (["project_id": "none"], 400, "project_id"),
            (["resource_name": ""], 400, "resource_name"), (["magic": 1], 400, "magic"),
            (["resource_name": "volumes"], 403, "registered limit"),
        ] as [(JSON, Int, String)])
    func badLimits(change: JSON, status: Int, word: String) async throws {
        let town = try await Town()
        _ = await town.register()
        var body = town.limit(5, town.ofProject)
        for (key, value) in change.object ?? [:] { body[key] = value }
        let answer = await town.make(body)
        #expect(answer.status == status)
        #expect(answer["error"]["message"]?.string?.contains(word) == true, "\(answer.json)")
    }

    @Test("Another room learns what holds for a project")
    func client() async throws {
        let town = try await Town()
        _ = await town.register()
        _ = await town.register(["resource_name": "bytes", "region_id": "RegionOne", "default_limit": 7])
        _ = await town.make(town.limit(4, town.ofProject))
        let caller = Caller(userID: "glance", projectID: "service", roles: ["admin", "service"])
        let front = town.cloud.front
        let client = UnifiedLimitsClient("image", region: "elsewhere", over: InProcess { front }, as: caller)
        #expect(try await client.limit(of: "images", project: town.project, requestID: "r") == 4)
        #expect(try await client.limit(of: "images", project: town.domain, requestID: "r") == 10)
        #expect(try await client.limit(of: "bytes", project: town.project, requestID: "r") == nil)
        let here = UnifiedLimitsClient("image", region: "RegionOne", over: InProcess { front }, as: caller)
        #expect(try await here.limits(project: town.project, requestID: "r") == ["images": 4, "bytes": 7])
        #expect(try await client.model(requestID: "r") == "flat")
    }
}
