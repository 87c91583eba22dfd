// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

@testable import Compute

/// Paths as clients and catalogs of old write them.
struct OldPathsTests {
    private static let project = "0123456789abcdef0123456789abcdef"
    private static let member = Caller.member(project: project)

    @Test("A project may stand in the path when it is the token's own, and stands in the links then")
    func projects() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let base = "/v2.1/" + Self.project
        func call(_ method: String, _ path: String, _ body: JSON? = nil, as caller: Caller) async -> TestCloud.Answer {
            await cloud.cloud.call("compute", method, base + path, body, at: "2.1", as: caller)
        }
        let draft = ComputeCloud.draft(["networks": "none"])
        let made = await cloud.cloud.call("compute", "POST", base + "/servers", draft, at: "2.37", as: Self.member)
        #expect(made.status == 202, "\(made.json.text())")
        let id = made["server"]["id"]?.string ?? ""
        #expect(made.header("Location") == "http://cloud.test\(base)/servers/\(id)")
        let links = await call("GET", "/servers/\(id)", as: Self.member)["server"]["links"]
        #expect(links?[0]?["href"]?.string == "http://cloud.test\(base)/servers/\(id)")
        #expect(links?[1]?["href"]?.string == "http://cloud.test/\(Self.project)/servers/\(id)")
        let stranger = await call("GET", "/servers", as: .member(project: "project-b"))
        #expect(stranger.status == 400)
        #expect(
            stranger.message == "Malformed request URL: URL's project_id '\(Self.project)' doesn't match Context's "
                + "project_id 'project-b'")
        #expect(await call("GET", "/nothing", as: Self.member).status == 404)
        #expect(await cloud.call("GET", "/no-project/servers").status == 404)
    }

    @Test("Version 2.0 is 2.1 that knows of no microversions, and overlooks what it does not know")
    func old() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        func call(_ method: String, _ path: String, _ body: JSON? = nil) async -> TestCloud.Answer {
            await cloud.cloud.call("compute", method, "/v2" + path, body, at: "2.90", as: .member())
        }
        let made = await call("POST", "/servers", ComputeCloud.draft(["nonsense": 7]))
        #expect(made.status == 202, "\(made.json.text())")
        #expect(made.header("OpenStack-API-Version") == nil && made.header("Vary") == nil)
        let id = made["server"]["id"]?.string ?? ""
        let shown = await call("GET", "/servers/\(id)")["server"]
        #expect(shown["description"] == nil, "of 2.19")
        #expect(shown["links"]?[0]?["href"]?.string == "http://cloud.test/v2/servers/\(id)")
        #expect(await call("POST", "/servers", ComputeCloud.draft(["flavorRef": nil])).status == 400)
        #expect(await call("GET", "").json["version"]?["id"] == "v2.0")
        #expect(await call("GET", "/").json["version"]?["id"] == "v2.0")
    }
}
