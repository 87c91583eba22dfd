// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

struct ImageTasksTests {
    private static let body: JSON = [
        "type": "import",
        "input": [
            "import_from": "http://images.example/x", "import_from_format": "raw",
            "image_properties": ["name": "old way", "disk_format": "raw", "container_format": "bare", "a": "b"],
        ],
    ]

    @Test("A task imports an image of its own making")
    func legacy() async throws {
        let cloud = try await ImportCloud(isMulti: false)
        cloud.web.put("http://images.example/x", .bytes([1, 2]))
        #expect(await cloud.image.call("POST", "/tasks", Self.body).status == 403)
        let made = await cloud.image.call("POST", "/tasks", Self.body, as: .admin())
        #expect(made.status == 201)
        let id = try #require(made["id"].string)
        #expect(made.header("Location") == "/v2/tasks/\(id)")
        #expect(made["status"].string == "pending")
        try await cloud.work()
        let shown = await cloud.image.call("GET", "/tasks/\(id)", as: .admin())
        #expect(shown["status"].string == "success")
        let image = await cloud.image.show(shown["result"]["image_id"]?.string ?? "", as: .admin())
        #expect(image["status"].string == "active")
        #expect(image["name"].string == "old way")
        #expect(image["a"].string == "b")
    }

    @Test("Tasks are listed by status and type, paged, and never deleted by hand")
    func list() async throws {
        let cloud = try await ImportCloud()
        for _ in 0..<3 { _ = await cloud.image.call("POST", "/tasks", Self.body, as: .admin()) }
        func list(_ query: String) async -> TestCloud.Answer {
            await cloud.image.cloud.call("image", "GET", "/v2/tasks", as: .admin(), query: query)
        }
        #expect(await list("")["tasks"].array?.count == 3)
        #expect(await list("status=success")["tasks"].array?.count == 0)
        #expect(await list("type=import&limit=2")["tasks"].array?.count == 2)
        #expect(await list("limit=2")["next"].string?.contains("marker=") == true)
        #expect(await list("status=done").status == 400)
        #expect(await list("marker=x").status == 400)
        let id = await list("")["tasks"].array?.first?["id"]?.string ?? ""
        let refused = await cloud.image.call("DELETE", "/tasks/\(id)", as: .admin())
        #expect(refused.status == 405)
        #expect(refused.header("Allow") == "GET")
    }

    @Test("Both schemas are there")
    func schemas() async throws {
        let cloud = try await ImageCloud()
        #expect(await cloud.call("GET", "/schemas/task")["properties"]["input"] != nil)
        let items = await cloud.call("GET", "/schemas/tasks")["properties"]["tasks"]?["items"]
        #expect(items?["properties"]?["input"] == nil)
        #expect(items?["properties"]?["status"] != nil)
    }

    @Test("What is over is forgotten after its time")
    func expiry() async throws {
        var imports = ImportOptions()
        imports.taskTimeToLive = .zero
        let cloud = try await ImportCloud(imports: imports)
        _ = await cloud.image.call("POST", "/tasks", Self.body, as: .admin())
        try await cloud.work()
        #expect(await cloud.image.call("GET", "/tasks", as: .admin())["tasks"].array?.isEmpty == true)
        _ = await cloud.image.call("POST", "/tasks", Self.body, as: .admin())
        #expect(try await cloud.image.cloud.database.count(ImageTask.self) == 1)
    }

    @Test(
        "Bad bodies are refused",
        arguments: [
            ([:], "'type' is required"), (["type": "import"], "'input' is required"),
            (["type": "api_image_import", "input": [:]], "is not one of"),
            (["type": "import", "input": [:]], "'import_from' field"),
            (
                [
                    "type": "import",
                    "input": ["import_from": "file:///x", "import_from_format": "", "image_properties": [:]],
                ], "File based imports are not allowed"
            ),
            (
                [
                    "type": "import",
                    "input": ["import_from": "http://h:1/", "import_from_format": "", "image_properties": [:]],
                ], "does not pass filtering"
            ),
        ] as [(JSON, String)])
    func badBodies(body: JSON, part: String) async throws {
        let answer = try await ImageCloud().call("POST", "/tasks", body, as: .admin())
        #expect(answer.status == 400)
        #expect(answer.message.contains(part), "\(answer.message)")
    }
}
