// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

struct FrontTests {
    static func cloud() async throws -> TestCloud { try await TestCloud(rooms: { _ in NotesService() }) }

    @Test("Creating answers 200 at first and 201 since 1.2", arguments: [("1.0", 200), ("1.1", 200), ("1.2", 201)])
    func createStatus(version: String, status: Int) async throws {
        let answer = try await Self.cloud().call("notes", "POST", "/v1/notes", ["note": ["title": "a"]], at: version)
        #expect(answer.status == status)
        #expect(answer["note"]["title"]?.string == "a")
        #expect((answer["note"]["colour"] != nil) == (version != "1.0"))
        #expect(answer.header("OpenStack-API-Version") == "notes \(version)")
        #expect(answer.header("X-Openstack-Request-Id")?.hasPrefix("req-") == true)
    }

    @Test(
        "Bad bodies get 400 and a message that names the member",
        arguments: [
            (["note": ["title": ""]], "title"), (["note": ["title": 7]], "title"),
            (["note": ["title": "a", "x": 1]], "'x'"),
            (["note": []], "note"), (["nota": ["title": "a"]], "note"),
            (["note": ["title": "a", "colour": "green"]], "colour"),
        ] as [(JSON, String)])
    func badBodies(body: JSON, member: String) async throws {
        let answer = try await Self.cloud().call("notes", "POST", "/v1/notes", body, at: "1.2")
        #expect(answer.status == 400)
        #expect(answer["fault"]["message"]?.string?.contains(member) == true)
    }

    @Test("A member of a later version is unknown to an earlier one")
    func laterMember() async throws {
        let answer = try await Self.cloud().call(
            "notes", "POST", "/v1/notes", ["note": ["title": "a", "colour": "red"]], at: "1.0")
        #expect(answer.status == 400)
    }

    @Test("Rules are judged on the target: readers read, members write, another project's row does not exist")
    func rules() async throws {
        let cloud = try await Self.cloud()
        let made = await cloud.call("notes", "POST", "/v1/notes", ["note": ["title": "a"]])
        let path = "/v1/notes/\(made["note"]["id"]?.string ?? "")"
        #expect(await cloud.call("notes", "GET", path, as: .reader()).status == 200)
        #expect(await cloud.call("notes", "DELETE", path, as: .reader()).status == 403)
        #expect(await cloud.call("notes", "GET", path, as: .member(project: "project-b")).status == 404)
        #expect(await cloud.call("notes", "POST", path + "/action", ["shout": nil]).status == 202)
        #expect(await cloud.call("notes", "POST", path + "/action", ["hush": nil]).status == 403)
        #expect(await cloud.call("notes", "POST", path + "/action", ["sing": nil]).status == 400)
        #expect(await cloud.call("notes", "DELETE", path).status == 204)
    }

    @Test("Pages link to the next one until the list ends")
    func pages() async throws {
        let cloud = try await Self.cloud()
        for title in ["d", "b", "a", "c", "e"] {
            _ = await cloud.call("notes", "POST", "/v1/notes", ["note": ["title": .string(title)]])
        }
        var seen: [String] = []
        var query = "limit=2"
        while true {
            let answer = await cloud.call("notes", "GET", "/v1/notes", query: query)
            seen += answer["notes"].array?.compactMap { $0["title"]?.string } ?? []
            guard let next = answer["notes_links"][0]?["href"]?.string else { break }
            query = String(next.split(separator: "?")[1])
        }
        #expect(seen == ["a", "b", "c", "d", "e"])
        let backward = await cloud.call("notes", "GET", "/v1/notes", query: "sort_key=title&sort_dir=desc")
        #expect(backward["notes"].array?.compactMap { $0["title"]?.string } == ["e", "d", "c"])
    }

    @Test("Unknown paths are 404, wrong methods 405 with Allow, wrong versions 406 or 400")
    func faults() async throws {
        let cloud = try await Self.cloud()
        #expect(await cloud.call("notes", "GET", "/v1/nothing").status == 404)
        let wrong = await cloud.call("notes", "PATCH", "/v1/notes")
        #expect(wrong.status == 405)
        #expect(wrong.header("Allow") == "GET, HEAD, POST")
        #expect(await cloud.call("notes", "GET", "/v1/notes", at: "1.9").status == 406)
        #expect(await cloud.call("notes", "GET", "/v1/notes", at: "one").status == 400)
        #expect(
            await cloud.call("notes", "GET", "/v1/notes", at: "latest").header("OpenStack-API-Version") == "notes 1.2")
        #expect(await cloud.call("notes", "GET", "/v1/notes", query: "limit=x").status == 400)
    }

    @Test("A body that is no JSON is refused before anything happens")
    func noJSON() async throws {
        let cloud = try await Self.cloud()
        let broken = await cloud.send(
            "notes", "POST", "/v1/notes", bytes: Array("{\"note\": ".utf8), type: "application/json")
        #expect(broken.status == 400)
        let form = await cloud.send("notes", "POST", "/v1/notes", bytes: Array("a=b".utf8), type: "text/plain")
        #expect(form.status == 415)
    }
}
