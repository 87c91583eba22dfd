// SPDX-License-Identifier: Apache-2.0
import Clients
import Image
import Kernel
import Simulation
import Testing

struct ImageQuotasTests {
    @Test("All images of a project have so many bytes and no more, announced or not")
    func storage() async throws {
        var options = ImageOptions()
        options.storageQuota = 5
        let cloud = try await ImageCloud(options: options)
        #expect(await cloud.upload(await cloud.make(), [1, 2, 3]).status == 204)
        let id = await cloud.make()
        let refused = await cloud.upload(id, [1, 2, 3])
        #expect(refused.status == 413)
        #expect(refused.message.contains("2 bytes remaining"))
        #expect(await cloud.show(id)["status"].string == "queued")
        #expect(await cloud.upload(id, [1, 2]).status == 204)
        let staged = await cloud.cloud.send(
            "image", "PUT", "/v2/images/\(await cloud.make())/stage", bytes: [1], type: "application/octet-stream")
        #expect(staged.status == 413)
    }

    @Test("Of many who ask at once only so many get what is left, of bytes and of images")
    func together() async throws {
        var options = ImageOptions()
        options.storageQuota = 5
        options.usesKeystoneLimits = true
        let limits = [
            "image_count_total": 4, "image_size_total": -1, "image_stage_total": -1, "image_count_uploading": -1,
        ]
        let cloud = try await ImageCloud(options: options, ports: ImagePorts(transport: Limits(all: limits)))
        let ids = await withTaskGroup(of: String.self) { group in
            for _ in 0..<12 { group.addTask { await cloud.make() } }
            return await group.reduce(into: [String]()) { if !$1.isEmpty { $0.append($1) } }
        }
        #expect(ids.count == 4)
        let statuses = await withTaskGroup(of: Int.self) { group in
            for id in ids { group.addTask { await cloud.upload(id, [1, 2]).status } }
            return await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(statuses.sorted() == [204, 204, 413, 413])
        #expect(await cloud.list().count == 4)
    }

    /// Identity, as far as limits go.
    private struct Limits: Transport {
        let all: [String: Int]

        func send(
            _ service: String, _ request: HTTPRequest, as caller: Caller, requestID: String
        ) async -> HTTPResponse {
            let document: JSON
            switch request.path {
            case "/v3/services": document = ["services": [["id": "image-id", "type": "image"]]]
            case "/v3/registered_limits":
                let list = all.sorted { $0.key < $1.key }.map { name, limit -> JSON in
                    ["resource_name": .string(name), "default_limit": .integer(Int64(limit)), "region_id": "RegionOne"]
                }
                let foreign: JSON = [
                    "resource_name": "image_count_total", "default_limit": 0, "region_id": "elsewhere",
                ]
                document = ["registered_limits": .array(list + [foreign])]
            default: document = ["limits": []]
            }
            return HTTPResponse(status: 200, body: .bytes(document.bytes()))
        }
    }

    @Test("Identity's limits hold, and what is used of them is told")
    func unified() async throws {
        var options = ImageOptions()
        options.usesKeystoneLimits = true
        let limits = [
            "image_count_total": 2, "image_size_total": 1, "image_stage_total": 0, "image_count_uploading": -1,
        ]
        let cloud = try await ImageCloud(options: options, ports: ImagePorts(transport: Limits(all: limits)))
        let id = await cloud.make()
        #expect(await cloud.make() != "")
        let third = await cloud.call("POST", "/images", ImageCloud.raw)
        #expect(third.status == 413)
        #expect(
            third.message
                == "Project project-a is over a limit for [Resource image_count_total is over limit of 2 due to "
                + "current usage 2 and delta 1]")
        #expect(await cloud.upload(id, [UInt8](repeating: 0, count: 2 << 20)).status == 413)
        #expect(await cloud.upload(id, [UInt8](repeating: 0, count: 1 << 20)).status == 204)
        let usage = await cloud.call("GET", "/info/usage")["usage"]
        #expect(usage["image_count_total"] == ["usage": 2, "limit": 2])
        #expect(usage["image_size_total"] == ["usage": 1, "limit": 1])
        #expect(usage["image_count_uploading"] == ["usage": 0, "limit": -1])
    }

    @Test("Where limits are not used there is nothing to tell")
    func unused() async throws {
        #expect(try await ImageCloud().call("GET", "/info/usage")["usage"] == [:])
    }
}
