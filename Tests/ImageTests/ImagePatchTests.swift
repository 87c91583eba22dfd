// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

struct ImagePatchTests {
    @Test("A patch adds, replaces and removes, all of it or nothing")
    func deeds() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let patched = await cloud.patch(
            id,
            [
                ["op": "add", "path": "/os_distro", "value": "debian"], ["op": "add", "path": "/a~1b", "value": "1"],
                ["op": "replace", "path": "/tags", "value": ["x", "x", "y"]],
                ["op": "replace", "path": "/min_ram", "value": 64],
                ["op": "add", "path": "/os_distro", "value": "arch"],
            ])
        #expect(patched.status == 200)
        #expect(patched["os_distro"].string == "arch")
        #expect(patched["a/b"].string == "1")
        #expect(patched["tags"].array == ["x", "y"])
        #expect(patched["min_ram"].integer == 64)
        let half = await cloud.patch(
            id, [["op": "remove", "path": "/os_distro"], ["op": "replace", "path": "/nothing", "value": "1"]])
        #expect(half.status == 409)
        #expect(half.message == "Property nothing does not exist.")
        #expect(await cloud.show(id)["os_distro"].string == "arch")
        #expect(await cloud.patch(id, [["op": "remove", "path": "/os_distro"]]).status == 200)
        #expect(await cloud.show(id)["os_distro"].isNull)
        #expect(await cloud.patch(id, []).status == 200)
    }

    @Test("The older draft names the deed as the member, and does not add what is there")
    func oldDraft() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        #expect(await cloud.patch(id, [["replace": "/name", "value": "b"]], draft: "2.0")["name"].string == "b")
        #expect(await cloud.patch(id, [["add": "/p", "value": "1"]], draft: "2.0").status == 200)
        let again = await cloud.patch(id, [["add": "/p", "value": "2"]], draft: "2.0")
        #expect(again.status == 409)
        #expect(again.message == "Property p already present.")
        #expect(await cloud.patch(id, [["remove": "/p"]], draft: "2.0").status == 200)
        #expect(await cloud.patch(id, [["op": "remove", "path": "/p"]], draft: "2.0").status == 400)
    }

    private typealias Bad = (patch: JSON, status: Int, part: String)

    private static let bad: [Bad] = [
        (["op": "add"], 400, "array"), ([1], 400, "objects"), ([["path": "/a"]], 400, "`op`"),
        ([["op": "move", "path": "/a"]], 400, "`move`"), ([["op": "add"]], 400, "'path'"),
        ([["op": "add", "path": "/a"]], 400, "\"value\""),
        ([["op": "add", "path": "a", "value": "1"]], 400, "start with"),
        ([["op": "add", "path": "/a/", "value": "1"]], 400, "end with"),
        ([["op": "add", "path": "/a/b", "value": "1"]], 400, "Invalid JSON pointer"),
        ([["op": "add", "path": "/a~2", "value": "1"]], 400, "escape"),
        ([["op": "replace", "path": "/status", "value": "active"]], 403, "'status' is read-only"),
        ([["op": "replace", "path": "/id", "value": "x"]], 403, "'id' is read-only"),
        ([["op": "add", "path": "/os_glance_x", "value": "x"]], 403, "reserved"),
        ([["op": "remove", "path": "/name"]], 403, "name may not be removed"),
        ([["op": "replace", "path": "/owner", "value": "b"]], 403, "Owner can't be updated"),
        ([["op": "add", "path": "/locations/-", "value": ["url": "http://x"]]], 403, "locations are invisible"),
        ([["op": "replace", "path": "/min_disk", "value": "a"]], 400, "min_disk"),
        ([["op": "add", "path": "/p", "value": 5]], 400, "'p'"),
        ([["op": "replace", "path": "/visibility", "value": "x"]], 400, "visibility"),
    ]

    @Test("Bad patches are refused with the reason", arguments: bad.indices)
    func refused(number: Int) async throws {
        let (patch, status, part) = Self.bad[number]
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let answer = await cloud.patch(id, patch)
        #expect(answer.status == status)
        #expect(answer.message.contains(part), "\(answer.message)")
    }

    @Test("Another content type is 415 and says which ones are taken")
    func contentType() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let answer = await cloud.call("PATCH", "/images/\(id)", [])
        #expect(answer.status == 415)
        #expect(answer.header("Accept-Patch")?.contains("v2.1-json-patch") == true)
    }

    @Test("The formats of an image with data stay what they are")
    func formats() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let change: JSON = [["op": "replace", "path": "/disk_format", "value": "qcow2"]]
        #expect(await cloud.patch(id, change).status == 200)
        _ = await cloud.patch(id, [["op": "replace", "path": "/disk_format", "value": "raw"]])
        _ = await cloud.upload(id, [1])
        let refused = await cloud.patch(id, change)
        #expect(refused.status == 403)
        #expect(refused.message == "Attribute disk_format can be only replaced for a queued image.")
    }

    @Test("Tags come and go one at a time")
    func tags() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        #expect(await cloud.call("PUT", "/images/\(id)/tags/web").status == 204)
        #expect(await cloud.call("PUT", "/images/\(id)/tags/web").status == 204)
        #expect(await cloud.show(id)["tags"].array == ["web"])
        let long = String(repeating: "x", count: 256)
        #expect(await cloud.call("PUT", "/images/\(id)/tags/\(long)").status == 400)
        #expect(await cloud.call("DELETE", "/images/\(id)/tags/web").status == 204)
        #expect(await cloud.call("DELETE", "/images/\(id)/tags/web").status == 404)
        #expect(await cloud.call("PUT", "/images/\(id)/tags/web", as: .reader()).status == 403)
    }
}

struct ImageMembersTests {
    static let other = Caller.member("user-b", project: "project-b")

    @Test("A shared image is offered, accepted, listed and taken back")
    func sharing() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make(["name": "shared"])
        #expect(await cloud.show(id, as: Self.other).status == 404)
        let added = await cloud.call("POST", "/images/\(id)/members", ["member": "project-b"])
        #expect(added.status == 200)
        #expect(added["status"].string == "pending")
        #expect(added["schema"].string == "/v2/schemas/member")
        #expect(await cloud.show(id, as: Self.other).status == 200)
        #expect(await cloud.list(as: Self.other) == [])
        #expect(await cloud.list("member_status=pending", as: Self.other) == ["shared"])
        let path = "/images/\(id)/members/project-b"
        #expect(await cloud.call("PUT", path, ["status": "accepted"]).status == 403)
        #expect(await cloud.call("PUT", path, ["status": "maybe"], as: Self.other).status == 400)
        #expect(await cloud.call("PUT", path, ["status": "accepted"], as: Self.other).status == 200)
        #expect(await cloud.list(as: Self.other) == ["shared"])
        #expect(await cloud.call("GET", path)["status"].string == "accepted")
        #expect(await cloud.call("GET", "/images/\(id)/members")["members"].array?.count == 1)
        #expect(await cloud.call("DELETE", path, as: Self.other).status == 403)
        #expect(await cloud.call("DELETE", path).status == 204)
        #expect(await cloud.call("DELETE", path).status == 404)
        #expect(await cloud.show(id, as: Self.other).status == 404)
    }

    @Test("Members are added once, by the owner, to shared images")
    func refusals() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let path = "/images/\(id)/members"
        #expect(await cloud.call("POST", path, ["member": ""]).message == "Member can't be empty")
        #expect(await cloud.call("POST", path, ["x": "y"]).message == "Member to be added not specified")
        #expect(await cloud.call("POST", path, ["member": "project-b"]).status == 200)
        let again = await cloud.call("POST", path, ["member": "project-b"])
        #expect(again.status == 409)
        #expect(again.message == "Member project-b is duplicated for image \(id)")
        #expect(await cloud.call("POST", path, ["member": "project-c"], as: Self.other).status == 403)
        #expect(await cloud.call("GET", path + "/project-c").status == 404)
        let closed = await cloud.make(["visibility": "private"])
        let refused = await cloud.call("POST", "/images/\(closed)/members", ["member": "project-b"])
        #expect(refused.status == 403)
    }
}
