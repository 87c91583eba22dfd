// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Encrypted local disks as the API and the operations see them.
struct DiskEncryptionTests {
    private static func keys(_ cloud: ComputeCloud, _ server: String) async throws -> [String: String] {
        let rows = try await cloud.room.database.rows(
            "SELECT disk, secret_id FROM compute_disk_keys WHERE server_id = \(server)")
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.text("disk") ?? "", $0.text("secret_id") ?? "") })
    }

    /// Gives the image that everybody boots from properties.
    private static func describe(_ cloud: ComputeCloud, _ properties: JSONObject) {
        cloud.images.state.withLock { state in
            for (name, value) in properties { state.images[FakeImages.id]?[name] = value }
        }
    }

    private static func encrypted(_ cloud: ComputeCloud, _ name: String = "closed", disk: Int = 1) async {
        await cloud.flavor(name, disk: disk)
        _ = await cloud.call(
            "POST", "/flavors/\(name)/os-extra_specs", ["extra_specs": ["hw:ephemeral_encryption": "True"]],
            as: .admin())
    }

    @Test("A server whose flavor wants it gets a key for each disk, which goes with the server")
    func life() async throws {
        let cloud = try await ComputeCloud()
        await Self.encrypted(cloud)
        let id = try await cloud.server(["flavorRef": "closed"])
        let keys = try await Self.keys(cloud, id)
        #expect(Set(keys.keys) == ["root", "rescue"])
        #expect(await cloud.secrets.secrets.count == 2)
        #expect(Set(await cloud.secrets.secrets.values).count == 2, "no two disks have the same")
        let host = try #require(cloud.hosts["host-1"])
        #expect(await host.spec(of: id)?.diskKeys == keys)
        await cloud.act(id, ["reboot": ["type": "HARD"]])
        try await cloud.work()
        #expect(try await Self.keys(cloud, id) == keys)
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await cloud.secrets.secrets.isEmpty)
        #expect(try await Self.keys(cloud, id).isEmpty)
        await cloud.flavor("open")
        let plain = try await cloud.server(["flavorRef": "open"])
        #expect(try await Self.keys(cloud, plain).isEmpty)
    }

    @Test("Flavor and image may not contradict each other, and a format is one of three")
    func conflicts() async throws {
        let cloud = try await ComputeCloud()
        await Self.encrypted(cloud)
        Self.describe(cloud, ["hw_ephemeral_encryption": "False"])
        let refused = await cloud.call("POST", "/servers", ComputeCloud.draft(["flavorRef": "closed"]))
        #expect(refused.status == 400)
        #expect(
            refused.message.hasPrefix(
                "Flavor f-closed has hw:ephemeral_encryption extra spec explicitly set to True, conflicting with image")
        )
        #expect(refused.message.hasSuffix("which has hw_eph_encryption property explicitly set to False"))
        Self.describe(cloud, ["hw_ephemeral_encryption": "yes", "hw_ephemeral_encryption_format": "rot13"])
        let format = await cloud.call("POST", "/servers", ComputeCloud.draft(["flavorRef": "closed"]))
        #expect(format.status == 400)
        #expect(format.message == "Invalid image metadata. Error: Field value rot13 is invalid")
    }

    @Test("A format that no host has finds no host; the one that hosts have does")
    func formats() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor("small")
        Self.describe(cloud, ["hw_ephemeral_encryption": "True", "hw_ephemeral_encryption_format": "plain"])
        let lost = try await cloud.server()
        #expect(await cloud.show(lost)["status"] == "ERROR")
        Self.describe(cloud, ["hw_ephemeral_encryption": "True", "hw_ephemeral_encryption_format": "luks"])
        let found = try await cloud.server()
        #expect(await cloud.show(found)["status"] == "ACTIVE")
    }

    @Test("An image of an encrypted disk says so, has a key of its own, and is read by its project alone")
    func images() async throws {
        let cloud = try await ComputeCloud()
        await Self.encrypted(cloud)
        let id = try await cloud.server(["flavorRef": "closed"])
        let made = await cloud.call("POST", "/servers/\(id)/action", ["createImage": ["name": "copy"]], at: "2.45")
        let image = try #require(made["image_id"].string)
        try await cloud.work()
        let properties = cloud.images.state.withLock { $0.images[image] }
        let secret = try #require(properties?["hw_ephemeral_encryption_secret_uuid"]?.string)
        #expect(properties?["hw_ephemeral_encryption"] == "True")
        #expect(properties?["hw_ephemeral_encryption_format"] == "luks")
        #expect(try await !Self.keys(cloud, id).values.contains(secret))
        #expect(await cloud.hosts["host-1"]?.snapshotKeys[image] == secret)
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await Array(cloud.secrets.secrets.keys) == [secret], "the image outlives its server")

        let again = try await cloud.server(["flavorRef": "closed", "imageRef": .string(image)])
        #expect(await cloud.show(again)["status"] == "ACTIVE")
        #expect(await cloud.hosts["host-1"]?.imageKeys[image] == secret)

        await ServerKeeper(cloud.room).sweep()
        #expect(await cloud.secrets.secrets[secret] != nil)
        cloud.images.remove(image)
        await ServerKeeper(cloud.room).sweep()
        #expect(await cloud.secrets.secrets[secret] == nil, "its image was deleted by its owner")
    }

    @Test("Who writes another project's key into an image's properties does not get at it")
    func strangers() async throws {
        let cloud = try await ComputeCloud()
        await Self.encrypted(cloud)
        Self.describe(
            cloud,
            [
                "hw_ephemeral_encryption": "True",
                "hw_ephemeral_encryption_secret_uuid": .string(RandomIdentifiers().uuid()),
            ])
        let id = try await cloud.server(["flavorRef": "closed"])
        let shown = await cloud.show(id)
        #expect(shown["status"] == "ERROR")
        #expect(shown["fault"]?["message"]?.string?.hasPrefix("Failed to find encryption secret") == true)
    }

    @Test("Which secret an image is encrypted with is told to nobody")
    func notices() async throws {
        let listening = try await ListeningCloud()
        let secret = RandomIdentifiers().uuid()
        Self.describe(
            listening.cloud,
            ["hw_ephemeral_encryption": "True", "hw_ephemeral_encryption_secret_uuid": .string(secret)])
        _ = try await listening.cloud.server()
        let heard = try await listening.heard().map { $0.text() }
        #expect(heard.contains { $0.contains("scheduler.select_destinations.start") })
        #expect(heard.contains { $0.contains("hw_ephemeral_encryption") })
        #expect(!heard.contains { $0.contains("hw_ephemeral_encryption_secret_uuid") })
    }

    @Test("A size that is encrypted otherwise is refused; one that is encrypted as well has keys for more disks")
    func resize() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await Self.encrypted(cloud)
        await cloud.flavor("open", disk: 2)
        let id = try await cloud.server(["flavorRef": "closed"])
        let refused = await cloud.act(id, ["resize": ["flavorRef": "open"]])
        #expect(refused.status == 400 && refused.message.contains("hw:ephemeral_encryption"))
        await Self.encrypted(cloud, "wider", disk: 2)
        let keys = try await Self.keys(cloud, id)
        await cloud.act(id, ["resize": ["flavorRef": "wider"]])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "VERIFY_RESIZE")
        #expect(try await Self.keys(cloud, id) == keys)
    }

    @Test("A shelved server's disk is encrypted wherever it lies, and its image's key goes with the image")
    func shelve() async throws {
        let cloud = try await ComputeCloud()
        await Self.encrypted(cloud)
        let id = try await cloud.server(["flavorRef": "closed"])
        let keys = try await Self.keys(cloud, id)
        await cloud.act(id, ["shelve": .null])
        try await cloud.work()
        #expect(await cloud.secrets.secrets.count == 3)
        await cloud.act(id, ["shelveOffload": .null], as: .admin())
        try await cloud.work()
        await cloud.act(id, ["unshelve": .null])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await cloud.hosts["host-1"]?.imageKeys.values.count == 1)
        #expect(try await Self.keys(cloud, id) == keys)
        #expect(Set(await cloud.secrets.secrets.keys) == Set(keys.values))
    }

    @Test("Secrets in the database are sealed: without the machine's key nothing is to be had")
    func sealed() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        let (database, chance) = (cloud.room.database, RandomIdentifiers())
        let key = try #require(SealingKey(bytes: chance.bytes(32)))
        let store = SealedSecrets(database, keys: FixedSealingKeys([key]), clock: MachineClock(), chance: chance)
        let id = chance.uuid()
        try await store.keep(Array("hush".utf8), as: id)
        try await store.keep(Array("other".utf8), as: id)
        #expect(try await store.secret(id) == Array("hush".utf8))
        let rows = try await database.rows("SELECT sealed FROM compute_secrets")
        #expect(rows.count == 1 && rows[0].text("sealed")?.contains(Hex.encode(Array("hush".utf8))) == false)
        let other = SealedSecrets(
            database, keys: FixedSealingKeys([.random(chance)]), clock: MachineClock(), chance: chance)
        await #expect(throws: Fault.self) { try await other.secret(id) }
        for _ in 1...2 { try await store.forget(id) }
        await #expect(throws: Fault.secretNotFound(id)) { try await store.secret(id) }
    }
}
