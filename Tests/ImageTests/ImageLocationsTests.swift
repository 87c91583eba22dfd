// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

/// Images whose bytes were in a store before.
struct ImageLocationsTests {
    private static let bytes: [UInt8] = [1, 2, 3, 4]
    private static let hash = Hex.encode(Digest.bytes(.sha512, bytes))
    private static let service = Caller.member(roles: ["member", "reader", "service"])

    /// A cloud whose store has bytes that no image knows, and their URL.
    private func cloud(_ options: ImageStoreOptions = ImageStoreOptions()) async throws -> (ImageCloud, String) {
        let cloud = try await ImageCloud(storeOptions: options)
        let draft = try await cloud.store.create("theirs", size: nil)
        try await draft.append(Self.bytes)
        try await draft.publish()
        return (cloud, draft.location)
    }

    private func add(_ cloud: ImageCloud, _ id: String, _ body: JSON, as caller: Caller = service) async -> Int {
        await cloud.call("POST", "/images/\(id)/locations", body, as: caller).status
    }

    private func task(_ cloud: ImageCloud, _ id: String) async -> JSON {
        await cloud.call("GET", "/images/\(id)/tasks", as: Self.service)["tasks"].array?.first ?? .null
    }

    @Test("A location makes the image active at once, and its hash follows")
    func hashFollows() async throws {
        let (cloud, url) = try await cloud()
        let id = await cloud.make()
        #expect(await add(cloud, id, ["url": .string(url)]) == 202)
        #expect(await cloud.show(id)["status"].string == "active")
        #expect(await cloud.show(id)["size"].integer == 4)
        #expect(await cloud.show(id)["os_hash_value"].isNull)
        #expect(await cloud.show(id)["os_hash_algo"].string == "sha512")
        #expect(await task(cloud, id)["status"]?.string == "processing")
        await ImageLocationHasher(cloud.service).pass()
        #expect(await task(cloud, id)["status"]?.string == "success")
        #expect(await task(cloud, id)["type"]?.string == "location_import")
        #expect(await cloud.show(id)["os_hash_value"].string == Self.hash)
        #expect(await cloud.show(id)["checksum"].string == Hex.encode(Digest.bytes(.md5, Self.bytes)))
        #expect(await cloud.download(id).bytes == Self.bytes)
        let list = await cloud.call("GET", "/images/\(id)/locations", as: Self.service)
        #expect(list.status == 200)
        #expect(String(decoding: list.bytes, as: UTF8.self) == #"[{"url":"memory://store/theirs","metadata":{}}]"#)
        #expect(await cloud.call("GET", "/images/\(id)/locations").status == 403)
    }

    @Test("A promised hash is compared before the image can be used", arguments: [true, false])
    func compared(isRight: Bool) async throws {
        let (cloud, url) = try await cloud()
        let id = await cloud.make()
        let hash = isRight ? Self.hash : String(repeating: "0", count: 128)
        let data: JSON = ["os_hash_algo": "sha512", "os_hash_value": .string(hash)]
        #expect(await add(cloud, id, ["url": .string(url), "validation_data": data]) == 202)
        #expect(await cloud.show(id)["status"].string == "importing")
        // A sudden end in between changes nothing.
        try await cloud.service.recover()
        #expect(await cloud.show(id)["status"].string == "importing")
        await ImageLocationHasher(cloud.service).pass()
        #expect(await cloud.show(id)["status"].string == (isRight ? "active" : "queued"))
        let task = await task(cloud, id)
        #expect(task["status"]?.string == (isRight ? "success" : "failure"))
        #expect(task["message"]?.string?.contains("not matched with actual os_hash_value") == !isRight)
    }

    @Test("Without do_secure_hash what is promised is believed")
    func believed() async throws {
        var options = ImageStoreOptions()
        options.hashesLocations = false
        let (cloud, url) = try await cloud(options)
        let id = await cloud.make()
        let data: JSON = ["os_hash_algo": "sha512", "os_hash_value": .string(Self.hash)]
        #expect(await add(cloud, id, ["url": .string(url), "validation_data": data]) == 202)
        #expect(await cloud.show(id)["os_hash_value"].string == Self.hash)
        #expect(await cloud.show(id)["status"].string == "active")
    }

    @Test("Data that is gone leaves a promised image waiting after all tries")
    func gone() async throws {
        let (cloud, url) = try await cloud()
        let id = await cloud.make()
        let data: JSON = ["os_hash_algo": "sha512", "os_hash_value": .string(Self.hash)]
        #expect(await add(cloud, id, ["url": .string(url), "validation_data": data]) == 202)
        try await cloud.store.delete(url)
        for _ in 0...3 { await ImageLocationHasher(cloud.service).pass() }
        #expect(await cloud.show(id)["status"].string == "queued")
    }

    @Test(
        "What is no location of a store, or badly promised, is refused",
        arguments: [
            [:], ["url": 1], ["url": "file:///etc/passwd"], ["url": "swift+config://ref1/a/b"], ["url": "nowhere"],
            ["url": "memory://store/none"],
            ["url": "memory://store/theirs", "validation_data": ["os_hash_algo": "md5"]],
            ["url": "memory://store/theirs", "validation_data": ["os_hash_algo": "md5", "os_hash_value": "zz"]],
            ["url": "memory://store/theirs", "validation_data": ["os_hash_algo": "md5", "os_hash_value": "00"]],
        ] as [JSON])
    func refused(body: JSON) async throws {
        let (cloud, _) = try await cloud()
        let id = await cloud.make()
        #expect(await add(cloud, id, body) == 400)
        #expect(await cloud.show(id)["status"].string == "queued")
    }

    @Test("Only services name locations of other stores than web servers, and only for waiting images")
    func callers() async throws {
        let (cloud, url) = try await cloud()
        let id = await cloud.make()
        #expect(await add(cloud, id, ["url": .string(url)], as: .member()) == 403)
        #expect(await add(cloud, id, ["url": .string(url)]) == 202)
        #expect(await add(cloud, id, ["url": .string(url)]) == 409)
    }
}
