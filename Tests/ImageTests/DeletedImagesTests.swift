// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

struct DeletedImagesTests {
    private static let id = "6c5a0a52-2d7a-4b1a-9f0a-0d6c4b1c2a11"
    private static let body: JSON = [
        "id": .string(id), "name": "a", "disk_format": "raw", "container_format": "bare", "colour": "red",
        "tags": ["t"],
    ]

    @Test("The id of a deleted image is not given again")
    func once() async throws {
        let cloud = try await ImageCloud()
        #expect(await cloud.make(Self.body) == Self.id)
        #expect(await cloud.call("DELETE", "/images/\(Self.id)").status == 204)
        #expect(await cloud.call("POST", "/images", Self.body).status == 409)
        #expect(await cloud.call("POST", "/images/\(Self.id)/actions/restore", as: .admin()).status == 409)
    }

    @Test("With delayed deletion the bytes stay for their time, and the image can be brought back by administrators")
    func restored() async throws {
        var options = ImageOptions()
        options.delaysDeletion = true
        options.scrubTime = .seconds(3600)
        let cloud = try await ImageCloud(options: options)
        _ = await cloud.make(Self.body)
        _ = await cloud.upload(Self.id, [1, 2])
        #expect(await cloud.call("DELETE", "/images/\(Self.id)").status == 204)
        #expect(await cloud.show(Self.id).status == 404)
        await ImageScrubber(cloud.service).pass()
        #expect(cloud.store.locations.count == 1)
        #expect(await cloud.call("POST", "/images/\(Self.id)/actions/restore").status == 403)
        #expect(await cloud.call("POST", "/images/\(Self.id)/actions/restore", as: .admin()).status == 204)
        #expect(await cloud.show(Self.id)["status"].string == "active")
        #expect(await cloud.list("colour=red&tag=t") == ["a"])
        #expect(await cloud.download(Self.id).bytes == [1, 2])
    }

    @Test("When the delay is over the bytes go for good")
    func scrubbed() async throws {
        var options = ImageOptions()
        options.delaysDeletion = true
        let cloud = try await ImageCloud(options: options)
        _ = await cloud.make(Self.body)
        _ = await cloud.upload(Self.id, [1, 2])
        _ = await cloud.call("DELETE", "/images/\(Self.id)")
        #expect(cloud.store.locations.count == 1)
        await ImageScrubber(cloud.service).pass()
        #expect(cloud.store.locations.isEmpty)
        #expect(await cloud.call("POST", "/images/\(Self.id)/actions/restore", as: .admin()).status == 409)
        #expect(await cloud.call("POST", "/images", Self.body).status == 409)
    }
}
