// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

/// Three stores under the operator's names, the slow one weighing less.
struct ImageStoresTests {
    private let fast = FakeImageStore(name: "fast")
    private let slow = FakeImageStore(name: "slow", capacity: 100)

    private func cloud(_ options: ImageStoreOptions = ImageStoreOptions()) async throws -> ImageCloud {
        let entries = [
            ImageStores.Entry(id: "slow", kind: .file, description: "Far away", weight: 1, store: slow),
            ImageStores.Entry(id: "fast", kind: .file, weight: 9, store: fast),
        ]
        let stores = ImageStores(
            entries, standard: entries[0], isMulti: true, staging: FakeImageStore(name: "staging"))
        return try await ImageCloud(stores: stores, storeOptions: options)
    }

    private func upload(_ cloud: ImageCloud, _ id: String, to store: String) async -> TestCloud.Answer {
        await cloud.cloud.send(
            "image", "PUT", "/v2/images/\(id)/file", bytes: [1, 2], type: "application/octet-stream",
            headers: [("x-image-meta-store", store)])
    }

    /// An image whose bytes are in both stores.
    private func both(_ cloud: ImageCloud) async throws -> String {
        let id = await cloud.make()
        #expect(await upload(cloud, id, to: "slow").status == 204)
        let deposit = try await ImageDeposit.begin("\(id).2", of: id, in: "fast", size: 2, cloud.service)
        try await deposit.draft.append([1, 2])
        try await deposit.draft.publish()
        let database = cloud.cloud.database
        let image = try await database.one(ImageRecord.self, "id = \(id)", or: .notFound("no image"))
        try await database.transaction { transaction throws(Fault) in
            try deposit.keep(transaction)
            let locations = (image.locations + [deposit.location]).json
            try transaction.update(ImageRecord.self, set: "locations = \(locations)", where: "id = \(id)")
        }
        return id
    }

    @Test("The stores are listed, their insides only for administrators and services")
    func list() async throws {
        let cloud = try await cloud()
        let stores = await cloud.call("GET", "/info/stores")
        #expect(
            stores["stores"] == [
                ["id": "slow", "description": "Far away", "default": "true"], ["id": "fast"],
            ])
        #expect(await cloud.call("GET", "/info/stores/detail").status == 403)
        let details = await cloud.call("GET", "/info/stores/detail", as: .admin())
        #expect(details["stores"].array?[1]["weight"]?.integer == 9)
        #expect(details["stores"].array?[1]["type"]?.string == "file")
    }

    @Test("Without enabled_backends nobody hears of stores")
    func single() async throws {
        let cloud = try await ImageCloud()
        #expect(await cloud.call("GET", "/info/stores").status == 404)
        let id = await cloud.make()
        #expect(await upload(cloud, id, to: "anything").status == 204)
        #expect(await cloud.show(id)["stores"].isNull)
        #expect(await cloud.call("DELETE", "/stores/file/\(id)", as: .admin()).status == 404)
    }

    @Test("An upload goes to the store that its header names, else to the default")
    func choice() async throws {
        let cloud = try await cloud()
        let first = await cloud.make()
        #expect(await cloud.upload(first, [1]).status == 204)
        #expect(await cloud.show(first)["stores"].string == "slow")
        let second = await cloud.make()
        #expect(await upload(cloud, second, to: "nowhere").status == 400)
        #expect(await upload(cloud, second, to: "fast").status == 204)
        #expect(await cloud.show(second)["stores"].string == "fast")
        #expect(fast.locations.count == 1)
        #expect(await cloud.download(second).bytes == [1, 2])
    }

    @Test("Reading falls back to the next store when one lost the bytes")
    func fallback() async throws {
        let cloud = try await cloud()
        let id = try await both(cloud)
        #expect(await cloud.show(id)["stores"].string == "slow,fast")
        try await fast.delete(fast.locations[0])
        #expect(await cloud.download(id).bytes == [1, 2])
    }

    @Test("Shows the heaviest store's URL and all locations where the operator wants it")
    func visible() async throws {
        var options = ImageStoreOptions()
        options.showsDirectURL = true
        options.showsLocations = true
        let cloud = try await cloud(options)
        let id = try await both(cloud)
        let image = await cloud.show(id)
        #expect(image["direct_url"].string == "memory://fast/\(id).2")
        #expect(image["locations"].array?.map { $0["metadata"] } == [["store": "slow"], ["store": "fast"]])
    }

    @Test("An image can be taken out of a store, but not out of the last one")
    func takeOut() async throws {
        let cloud = try await cloud()
        let id = try await both(cloud)
        #expect(await cloud.call("DELETE", "/stores/fast/\(id)").status == 403)
        #expect(await cloud.call("DELETE", "/stores/none/\(id)", as: .admin()).status == 409)
        #expect(await cloud.call("DELETE", "/stores/fast/\(id)", as: .admin()).status == 204)
        #expect(fast.locations.isEmpty)
        #expect(await cloud.show(id)["stores"].string == "slow")
        #expect(await cloud.call("DELETE", "/stores/fast/\(id)", as: .admin()).status == 403)
        #expect(await cloud.call("DELETE", "/stores/slow/\(id)", as: .admin()).status == 403)
        #expect(await cloud.call("DELETE", "/images/\(id)").status == 204)
        #expect(slow.locations.isEmpty)
        #expect(try await cloud.cloud.database.count(ImageDepositRecord.self) == 0)
    }

    @Test("Preferring a store is for those the rule lets, and among the stores there are")
    func preference() async throws {
        let cloud = try await cloud()
        let id = try await both(cloud)
        for (query, status) in [("prefer=fast", 200), ("prefer=none", 400), ("prefer=", 200)] {
            #expect(await cloud.cloud.call("image", "GET", "/v2/images/\(id)/file", query: query).status == status)
        }
    }
}
