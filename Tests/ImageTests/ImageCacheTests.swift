// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

/// A far store and the cache of this machine.
struct ImageCacheTests {
    private let far = FakeImageStore(name: "far")
    private let near = FakeImageStore(name: "near")

    private func cloud(
        flavor: ImageCacheOptions.Flavor = .management, maxSize: Int = 1 << 20, kind: ImageStoreKind = .s3,
        near other: FakeImageStore? = nil
    ) async throws -> ImageCloud {
        let entry = ImageStores.Entry(id: "far", kind: kind, store: far)
        var options = ImageCacheOptions()
        options.flavor = flavor
        options.maxSize = maxSize
        options.node = "http://here"
        let stores = ImageStores([entry], standard: entry, isMulti: false, staging: FakeImageStore(name: "staging"))
        return try await ImageCloud(
            store: far, stores: stores, ports: ImagePorts(cacheMedium: other ?? near, cacheOptions: options))
    }

    /// With the cache's agent at work.
    private func kept<Answer: Sendable>(
        _ cloud: ImageCloud, _ deed: @Sendable () async throws -> Answer
    ) async throws -> Answer {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let keeper = ImageCacheKeeper(cloud.service)
            group.addTask { await keeper.run() }
            let answer = try await deed()
            group.cancelAll()
            return answer
        }
    }

    private func state(_ cloud: ImageCloud) async -> TestCloud.Answer {
        await cloud.call("GET", "/cache", as: .admin())
    }

    private func image(_ cloud: ImageCloud, _ bytes: [UInt8] = [1, 2, 3]) async -> String {
        let id = await cloud.make()
        #expect(await cloud.upload(id, bytes).status == 204)
        return id
    }

    @Test("The first download fills the cache, the next ones are served from it")
    func readThrough() async throws {
        let cloud = try await cloud()
        let id = await image(cloud)
        try await kept(cloud) {
            #expect(await cloud.download(id).bytes == [1, 2, 3])
            while await state(cloud)["cached_images"].array?.count != 1 { await Task.yield() }
        }
        try await far.delete(far.locations[0])
        #expect(await cloud.download(id).bytes == [1, 2, 3])
        #expect(await cloud.download(id, headers: [("Range", "bytes=1-1")]).bytes == [2])
        let cached = await state(cloud)["cached_images"].array?[0]
        #expect(cached?["image_id"]?.string == id)
        #expect(cached?["hits"]?.integer == 2)
        #expect(cached?["size"]?.integer == 3)
        let nodes = await cloud.call("GET", "/cache/nodes/\(id)", as: .admin())
        #expect(String(decoding: nodes.bytes, as: UTF8.self) == #"["http://here"]"#)
    }

    @Test("Many readers at once have one fetch, and leave no draft")
    func together() async throws {
        let cloud = try await cloud()
        let bytes = [UInt8](repeating: 7, count: 700_000)
        let id = await image(cloud, bytes)
        try await kept(cloud) {
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 { group.addTask { await cloud.download(id).bytes == bytes } }
                for await isRight in group { #expect(isRight) }
            }
            while await state(cloud)["cached_images"].array?.count != 1 { await Task.yield() }
        }
        #expect(near.locations.count == 1)
        #expect(near.openDrafts == 0)
    }

    @Test("Bytes that do not have the image's hash are not kept and not handed out whole")
    func corrupt() async throws {
        let cloud = try await cloud()
        let id = await image(cloud)
        let url = far.locations[0]
        let draft = try await far.create(String(url.split(separator: "/").last ?? ""), size: 3)
        try await draft.append([1, 2, 4])
        try await draft.publish()
        try await kept(cloud) { #expect(await cloud.download(id).bytes != [1, 2, 4]) }
        #expect(near.locations.isEmpty)
        #expect(near.openDrafts == 0)
        #expect(await state(cloud)["cached_images"].array?.isEmpty == true)
    }

    @Test("Files of this machine and partial reads do not fill the cache", arguments: [true, false])
    func notCached(isFile: Bool) async throws {
        let cloud = try await cloud(kind: isFile ? .file : .s3)
        let id = await image(cloud)
        let headers = isFile ? [] : [("Range", "bytes=0-1")]
        #expect(await cloud.download(id, headers: headers).bytes == (isFile ? [1, 2, 3] : [1, 2]))
        #expect(near.locations.isEmpty)
    }

    @Test("A queued image is fetched ahead, and a deleted one leaves the cache")
    func prefetch() async throws {
        let cloud = try await cloud(flavor: .keystone)
        let id = await image(cloud)
        #expect(await cloud.call("PUT", "/cache/\(id)").status == 403)
        #expect(await cloud.call("PUT", "/cache/\(id)", as: .admin()).status == 202)
        #expect(await state(cloud)["queued_images"].array == [.string(id)])
        await ImageCacheKeeper(cloud.service).pass()
        #expect(await state(cloud)["queued_images"].array == [])
        #expect(await state(cloud)["cached_images"].array?.count == 1)
        #expect(await cloud.call("DELETE", "/images/\(id)").status == 204)
        #expect(near.locations.isEmpty)
        #expect(await cloud.call("DELETE", "/cache/\(id)", as: .admin()).status == 404)
    }

    @Test("An image in which there is nothing is cached as well")
    func emptyImage() async throws {
        let cloud = try await cloud(flavor: .keystone)
        let id = await image(cloud, [])
        #expect(await cloud.call("PUT", "/cache/\(id)", as: .admin()).status == 202)
        await ImageCacheKeeper(cloud.service).pass()
        let cached = try #require(await state(cloud)["cached_images"].array)
        #expect(cached.count == 1 && cached[0]["image_id"]?.string == id && cached[0]["size"] == 0)
        #expect(await cloud.call("DELETE", "/cache", as: .admin()).status == 204)
        #expect(await state(cloud)["cached_images"].array == [])
    }

    @Test("A cache without room does not stand between a client and the store")
    func cacheFull() async throws {
        let small = FakeImageStore(name: "small", capacity: 2)
        let cloud = try await cloud(near: small)
        let id = await image(cloud)
        try await kept(cloud) { #expect(await cloud.download(id).bytes == [1, 2, 3]) }
        #expect(small.locations.isEmpty)
        #expect(await state(cloud)["cached_images"].array == [])
    }

    @Test("Only active images can be queued")
    func queueing() async throws {
        let cloud = try await cloud()
        let id = await cloud.make()
        #expect(await cloud.call("PUT", "/cache/\(id)", as: .admin()).status == 400)
        #expect(await cloud.call("PUT", "/cache/none", as: .admin()).status == 404)
    }

    @Test("Clearing spares what the header does not name")
    func clearing() async throws {
        let cloud = try await cloud()
        let first = await image(cloud)
        let second = await image(cloud)
        #expect(await cloud.call("PUT", "/cache/\(first)", as: .admin()).status == 202)
        await ImageCacheKeeper(cloud.service).pass()
        #expect(await cloud.call("PUT", "/queued_images/\(second)", as: .admin()).status == 200)
        func clear(_ target: String) async -> Int {
            await cloud.cloud.call(
                "image", "DELETE", "/v2/cache", as: .admin(), headers: [("x-image-cache-clear-target", target)]
            ).status
        }
        #expect(await clear("all") == 400)
        #expect(await clear("queue") == 204)
        #expect(await cloud.call("GET", "/queued_images", as: .admin())["queued_images"].array == [])
        #expect(await cloud.call("GET", "/cached_images", as: .admin())["cached_images"].array?.count == 1)
        #expect(await clear("") == 204)
        #expect(near.locations.isEmpty)
    }

    @Test("Pruning removes what was read longest ago")
    func pruning() async throws {
        let cloud = try await cloud(maxSize: 6)
        var ids: [String] = []
        for _ in 0..<3 {
            let id = await image(cloud)
            ids.append(id)
            #expect(await cloud.call("PUT", "/cache/\(id)", as: .admin()).status == 202)
        }
        await ImageCacheKeeper(cloud.service).pass()
        #expect(near.locations.count == 2)
        let answer = await cloud.call("POST", "/cache/prune", as: .admin())
        #expect(answer["total_files_pruned"].integer == 0)
    }

    @Test("Cleaning removes bytes that no row counts on, and rows without their bytes")
    func cleaning() async throws {
        let cloud = try await cloud()
        let id = await image(cloud)
        #expect(await cloud.call("PUT", "/cache/\(id)", as: .admin()).status == 202)
        await ImageCacheKeeper(cloud.service).pass()
        try await near.delete(near.locations[0])
        let stray = try await near.create("\(id).00000000", size: nil)
        try await stray.publish()
        #expect(await cloud.call("POST", "/cache/clean", as: .admin()).status == 200)
        #expect(near.locations.isEmpty)
        #expect(await state(cloud)["cached_images"].array == [])
    }

    @Test("Without a cache there are no such calls")
    func off() async throws {
        let cloud = try await ImageCloud()
        #expect(await cloud.call("GET", "/cache", as: .admin()).status == 404)
        #expect(await cloud.call("GET", "/cache").status == 403)
        #expect(await cloud.call("GET", "/cached_images", as: .admin()).status == 404)
    }
}
