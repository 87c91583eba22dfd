// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

struct ImportImageTests {
    private static let page = "http://images.example/cirros.img"

    @Test("Bytes come from the web into the stores that were named, and the task tells")
    func webDownload() async throws {
        let cloud = try await ImportCloud()
        cloud.web.put(Self.page, .redirect("https://mirror.example/x"))
        cloud.web.put("https://mirror.example/x", .bytes(Array("hello".utf8)))
        let id = await cloud.image.make()
        let shown = try await cloud.download(id, Self.page, ["stores": ["s1", "s0"]])
        #expect(shown["status"].string == "active")
        #expect(shown["checksum"].string == "5d41402abc4b2a76b9719d911017c592")
        #expect(shown["stores"].string == "s1,s0")
        #expect(shown["os_glance_importing_to_stores"].string == "")
        #expect(shown["os_glance_failed_import"].string == "")
        #expect(shown["os_glance_import_task"].isNull)
        #expect(await cloud.image.download(id).bytes == Array("hello".utf8))
        #expect(cloud.staging.locations.isEmpty)
        let task = await cloud.task(id)
        #expect(task["status"]?.string == "success")
        #expect(task["type"]?.string == "api_image_import")
        #expect(task["result"]?["image_id"]?.string == id)
        #expect(task["input"]?["backend"] == ["s1", "s0"])
        #expect(task["expires_at"]?.string != nil)
        #expect(try await cloud.image.cloud.database.count(ImageDepositRecord.self) == 0)
    }

    @Test("While an import runs nobody else imports, and the image says to which stores it goes")
    func lock() async throws {
        let cloud = try await ImportCloud()
        let id = await cloud.image.make()
        _ = await cloud.stage(id, [1, 2, 3])
        let body: JSON = ["method": ["name": "glance-direct"], "all_stores": true]
        #expect(await cloud.start(id, body).status == 202)
        let shown = await cloud.image.show(id)
        #expect(shown["status"].string == "importing")
        #expect(shown["os_glance_importing_to_stores"].string == "s0,s1")
        #expect(shown["os_glance_import_task"].string == (await cloud.task(id))["id"]?.string)
        #expect((await cloud.task(id))["status"]?.string == "pending")
        #expect(await cloud.start(id, body).status == 409)
        try await cloud.work()
        #expect(await cloud.image.show(id)["status"].string == "active")
    }

    @Test("Bytes that cannot be had leave a queued image, a failed task and nothing else")
    func failure() async throws {
        let cloud = try await ImportCloud()
        let id = await cloud.image.make()
        for page in [FakeRemoteImages.Page.redirect("http://10.0.0.1:22/"), .fault(.badRequest("gone"))] {
            cloud.web.put(Self.page, page)
            let shown = try await cloud.download(id, Self.page)
            #expect(shown["status"].string == "queued")
            #expect(shown["os_glance_failed_import"].string == "s0")
            #expect((await cloud.task(id))["status"]?.string == "failure")
        }
        #expect((await cloud.task(id))["message"]?.string == "gone")
        cloud.web.put(Self.page, .bytes(Array("QFI\u{fb}".unicodeScalars.map { UInt8($0.value) })))
        let wrong = await cloud.image.make(["disk_format": "qcow2", "container_format": "bare"])
        #expect(try await cloud.download(wrong, Self.page)["status"].string == "queued")
        #expect(cloud.staging.locations.isEmpty)
        #expect(cloud.stores.allSatisfy { $0.locations.isEmpty && $0.openDrafts == 0 })
        #expect(try await cloud.image.cloud.database.count(ImageDepositRecord.self) == 0)
    }

    @Test("One store that is full spoils all, or only itself, as was asked", arguments: [true, false])
    func oneStoreFails(all: Bool) async throws {
        let cloud = try await ImportCloud(capacities: [1 << 20, 2])
        cloud.web.put(Self.page, .bytes([1, 2, 3]))
        let id = await cloud.image.make()
        let shown = try await cloud.download(
            id, Self.page, ["all_stores": true, "all_stores_must_succeed": .bool(all)])
        #expect(shown["status"].string == (all ? "queued" : "active"))
        #expect(shown["os_glance_failed_import"].string == "s1")
        #expect(cloud.stores[0].locations.count == (all ? 0 : 1))
        #expect((await cloud.task(id))["status"]?.string == (all ? "failure" : "success"))
    }

    @Test("An active image is copied to further stores by administrators")
    func copy() async throws {
        let cloud = try await ImportCloud()
        let id = await cloud.image.make()
        #expect(await cloud.image.upload(id, [1, 2, 3]).status == 204)
        let body: JSON = ["method": ["name": "copy-image"], "stores": ["s1"]]
        #expect(await cloud.start(id, body).status == 403)
        #expect(await cloud.start(id, body, as: .admin()).status == 202)
        try await cloud.work()
        #expect(await cloud.image.show(id)["stores"].string == "s0,s1")
        let again = await cloud.start(id, body, as: .admin())
        #expect(again.status == 400)
        #expect(again.message == "Image is already present at store 's1'")
        let all: JSON = ["method": ["name": "copy-image"], "all_stores": true]
        #expect(await cloud.start(id, all, as: .admin()).status == 202)
    }

    @Test("A copy that fails leaves the image as it was")
    func copyFails() async throws {
        let cloud = try await ImportCloud(capacities: [1 << 20, 2])
        let id = await cloud.image.make()
        _ = await cloud.image.upload(id, [1, 2, 3])
        _ = await cloud.start(id, ["method": ["name": "copy-image"], "stores": ["s1"]], as: .admin())
        try await cloud.work()
        let shown = await cloud.image.show(id)
        #expect(shown["status"].string == "active")
        #expect(shown["stores"].string == "s0")
        #expect(shown["os_glance_failed_import"].string == "s1")
    }

    @Test("Deleting an image cancels its import")
    func cancel() async throws {
        let cloud = try await ImportCloud()
        cloud.web.put(Self.page, .stalled([1, 2, 3]))
        let id = await cloud.image.make()
        _ = await cloud.start(id, ["method": ["name": "web-download", "uri": .string(Self.page)]])
        let web = cloud.web
        try await cloud.work {
            if web.requests.isEmpty { return false }
            _ = await cloud.image.call("DELETE", "/images/\(id)")
            return try await cloud.image.service.queue.unfinished() == 0
        }
        #expect(cloud.staging.locations.isEmpty)
        #expect(cloud.staging.openDrafts == 0)
        let tasks = await cloud.image.call("GET", "/tasks", as: .admin())
        #expect(tasks["tasks"].array?.first?["status"]?.string == "failure")
    }

    @Test("An import that a sudden end broke off is taken up again")
    func resumed() async throws {
        let cloud = try await ImportCloud()
        cloud.web.put(Self.page, .stalled([1]))
        let id = await cloud.image.make()
        _ = await cloud.start(id, ["method": ["name": "web-download", "uri": .string(Self.page)]])
        let web = cloud.web
        try await cloud.work { !web.requests.isEmpty }
        try await cloud.image.service.recover()
        #expect(await cloud.image.show(id)["status"].string == "importing")
        cloud.web.put(Self.page, .bytes([1, 2, 3]))
        try await cloud.work()
        #expect(await cloud.image.show(id)["status"].string == "active")
        #expect(await cloud.image.download(id).bytes == [1, 2, 3])
        #expect(try await cloud.image.cloud.database.count(ImageDepositRecord.self) == 0)
    }

    @Test("Properties are injected, except for users with certain roles", arguments: ["member", "admin"])
    func injected(role: String) async throws {
        var imports = ImportOptions()
        imports.plugins = [.noOp, .metadata]
        imports.injected = ["from": "import", "os_glance_x": "never"]
        let cloud = try await ImportCloud(imports: imports)
        let id = await cloud.image.make()
        _ = await cloud.stage(id, [1])
        let caller = Caller.member(roles: [role, "member", "reader"])
        #expect(await cloud.start(id, ["method": ["name": "glance-direct"]], as: caller).status == 202)
        try await cloud.work()
        let shown = await cloud.image.show(id)
        #expect(shown["from"].string == (role == "admin" ? nil : "import"))
        #expect(shown["os_glance_x"].isNull)
    }

    @Test(
        "Bad requests are told what is wrong",
        arguments: [
            ([:], 400, "'method' field"), (["method": ["name": "magic"]], 400, "Unknown import method name 'magic'"),
            (["method": ["name": "web-download"]], 400, "does not pass filtering"),
            (["method": ["name": "web-download", "uri": "http://h:22/"]], 400, "does not pass filtering"),
            (["method": ["name": "glance-direct"]], 409, "needs to be staged"),
            (["method": ["name": "copy-image"]], 409, "Only images with status active"),
            (["method": ["name": "glance-download"]], 400, "'glance_region' needs to be set"),
            (["method": ["name": "web-download", "uri": "http://h/"], "all_stores": 1], 400, "boolean"),
            (["method": ["name": "web-download", "uri": "http://h/"], "stores": ["no"]], 409, "Unknown scheme 'no'"),
        ] as [(JSON, Int, String)])
    func badRequests(body: JSON, status: Int, part: String) async throws {
        let cloud = try await ImportCloud()
        let answer = await cloud.start(await cloud.image.make(), body)
        #expect(answer.status == status)
        #expect(answer.message.contains(part), "\(answer.message)")
    }
}
