// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

/// Locations changed by patches.
struct LocationWishesTests {
    private static let hash = Hex.encode(Digest.bytes(.sha512, [1, 2, 3]))

    /// A cloud that shows locations, whose store has two lots of bytes that no image knows.
    private func cloud(showing: Bool = true) async throws -> ImageCloud {
        var options = ImageStoreOptions()
        options.showsLocations = showing
        let cloud = try await ImageCloud(storeOptions: options)
        for name in ["one", "two"] {
            let draft = try await cloud.store.create(name, size: nil)
            try await draft.append([1, 2, 3])
            try await draft.publish()
        }
        return cloud
    }

    private static func at(_ name: String, _ metadata: JSON = [:], proof: JSON? = nil) -> JSON {
        var location: JSON = ["url": .string("memory://store/\(name)"), "metadata": metadata]
        if let proof { location["validation_data"] = proof }
        return location
    }

    private static func add(_ location: JSON, _ place: String = "-") -> JSON {
        [["op": "add", "path": .string("/locations/\(place)"), "value": location]]
    }

    private static func replace(_ locations: JSON) -> JSON {
        [["op": "replace", "path": "/locations", "value": locations]]
    }

    private static func remove(_ place: String) -> JSON {
        [["op": "remove", "path": .string("/locations/\(place)")]]
    }

    private func urls(_ cloud: ImageCloud, _ id: String) async -> [String] {
        await cloud.show(id)["locations"].array?.compactMap { $0["url"]?.string } ?? []
    }

    @Test("A location makes a waiting image active, with the hash that the client tells")
    func activates() async throws {
        let cloud = try await cloud()
        let id = await cloud.make()
        let proof: JSON = ["os_hash_algo": "sha512", "os_hash_value": .string(Self.hash)]
        let answer = await cloud.patch(id, Self.add(Self.at("one", ["a": "b"], proof: proof)))
        #expect(answer.status == 200)
        #expect(answer["status"].string == "active")
        #expect(answer["size"].integer == 3)
        #expect(answer["os_hash_value"].string == Self.hash)
        #expect(answer["locations"].array?[0]["metadata"] == ["a": "b"])
        #expect(await cloud.download(id).bytes == [1, 2, 3])
        #expect(await cloud.patch(id, Self.add(Self.at("two", proof: proof))).status == 200)
        let other: JSON = ["os_hash_algo": "sha512", "os_hash_value": .string(String(repeating: "0", count: 128))]
        #expect(await cloud.patch(id, Self.add(Self.at("two", ["x": 1], proof: other))).status == 409)
    }

    @Test("Locations are added where the path says, reordered, and removed with their bytes")
    func places() async throws {
        let cloud = try await cloud()
        let id = await cloud.make()
        #expect(await cloud.patch(id, Self.replace([Self.at("one")])).status == 200)
        #expect(await cloud.patch(id, Self.add(Self.at("two"), "0")).status == 200)
        #expect(await urls(cloud, id) == ["memory://store/two", "memory://store/one"])
        #expect(await cloud.patch(id, Self.replace([Self.at("one", ["k": "v"]), Self.at("two")])).status == 200)
        #expect(await urls(cloud, id) == ["memory://store/one", "memory://store/two"])
        #expect(await cloud.patch(id, Self.remove("0")).status == 403)
        #expect(await cloud.patch(id, Self.remove("5"), as: .admin()).status == 400)
        #expect(await cloud.patch(id, Self.remove("0"), as: .admin()).status == 200)
        #expect(await urls(cloud, id) == ["memory://store/two"])
        #expect(cloud.store.locations == ["memory://store/two"])
        #expect(await cloud.patch(id, Self.remove("0"), as: .admin()).status == 403)
    }

    private static let bad: [(JSON, Int)] = [
        (replace([]), 403), (replace([["url": "memory://store/one"]]), 400), (replace("x"), 400),
        (add(at("none")), 400), (add(["url": "file:///etc/passwd", "metadata": [:]]), 400),
        (add(at("one"), "x"), 400), (replace([at("one"), at("one")]), 400),
        ([["op": "add", "path": "/locations", "value": at("one")]], 400),
        (add(at("one", proof: ["os_hash_algo": "md5", "os_hash_value": "00"])), 409),
        (add(at("one", proof: ["os_hash_algo": "sha512", "os_hash_value": "zz"])), 409),
        (add(at("one", proof: ["os_hash_algo": "sha512"])), 400),
    ]

    @Test("What is no location, or badly placed or promised, is refused", arguments: bad.indices)
    func refused(number: Int) async throws {
        let (patch, status) = Self.bad[number]
        let cloud = try await cloud()
        let id = await cloud.make()
        #expect(await cloud.patch(id, patch).status == status)
        #expect(await cloud.show(id)["status"].string == "queued")
    }

    @Test("An image with locations keeps them against other ones, and its formats must be told")
    func conflicts() async throws {
        let cloud = try await cloud()
        let bare = await cloud.make(["name": "no formats"])
        #expect(await cloud.patch(bare, Self.add(Self.at("one"))).status == 400)
        let id = await cloud.make()
        #expect(await cloud.patch(id, Self.remove("0"), as: .admin()).status == 409)
        #expect(await cloud.patch(id, Self.add(Self.at("one"))).status == 200)
        #expect(await cloud.patch(id, Self.add(Self.at("one"))).status == 400)
        #expect(await cloud.patch(id, Self.replace([Self.at("two")])).status == 400)
        #expect(await cloud.call("POST", "/images/\(id)/actions/deactivate", as: .admin()).status == 204)
        #expect(await cloud.patch(id, Self.add(Self.at("two"))).status == 409)
    }

    @Test("Locations that are invisible are not changed")
    func invisible() async throws {
        let cloud = try await cloud(showing: false)
        let id = await cloud.make()
        #expect(await cloud.patch(id, Self.add(Self.at("one"))).status == 403)
        #expect(await cloud.patch(id, Self.replace([Self.at("one")])).status == 403)
    }
}
