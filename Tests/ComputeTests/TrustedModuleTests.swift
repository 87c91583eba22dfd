// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// Trusted modules as the API and the operations see them.
struct TrustedModuleTests {
    private static func flavor(_ cloud: ComputeCloud, _ name: String, _ specs: JSONObject) async {
        await cloud.flavor(name)
        _ = await cloud.call("POST", "/flavors/\(name)/os-extra_specs", ["extra_specs": .object(specs)], as: .admin())
    }

    private static func key(_ cloud: ComputeCloud, _ server: String) async throws -> String? {
        try await cloud.room.database.rows(
            "SELECT secret_id FROM compute_disk_keys WHERE server_id = \(server) AND disk = 'tpm'"
        ).first?.text("secret_id")
    }

    private static func spec(_ cloud: ComputeCloud, _ server: String) async -> GuestSpec? {
        let host = await cloud.show(server)["OS-EXT-SRV-ATTR:host"]?.string ?? ""
        return await cloud.hosts[host]?.spec(of: server)
    }

    @Test("A module's secret is made with its server, stays the same, and goes with it")
    func secret() async throws {
        let cloud = try await ComputeCloud()
        await Self.flavor(cloud, "trusted", ["hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"])
        let id = try await cloud.server(["flavorRef": "trusted"])
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        let key = try #require(try await Self.key(cloud, id))
        #expect(await Self.spec(cloud, id)?.moduleKey == key)
        #expect(await cloud.secrets.secrets[key]?.isEmpty == false)
        _ = await cloud.act(id, ["reboot": ["type": "HARD"]])
        try await cloud.work()
        #expect(try await Self.key(cloud, id) == key)
        _ = await cloud.call("DELETE", "/servers/\(id)")
        try await cloud.work()
        #expect(await cloud.secrets.secrets.isEmpty)
    }

    @Test("What would lose what a module has learnt is refused, whatever state the server is in")
    func refused() async throws {
        let cloud = try await ComputeCloud()
        await Self.flavor(cloud, "trusted", ["hw:tpm_version": "2.0"])
        let id = try await cloud.server(["flavorRef": "trusted"])
        _ = await cloud.act(id, ["lock": nil])
        let actions: [(String, JSON)] = [
            ("rebuild", ["rebuild": ["imageRef": .string(FakeImages.id)]]), ("shelve", ["shelve": nil]),
            ("rescue", ["rescue": nil]), ("evacuate", ["evacuate": ["onSharedStorage": false]]),
            (
                "live-migration",
                ["os-migrateLive": ["host": nil, "block_migration": true, "disk_over_commit": false]]
            ),
        ]
        for (name, action) in actions {
            let answer = await cloud.act(id, action, as: name == "rebuild" ? .member() : .admin())
            #expect(answer.status == 400, "\(name)")
            #expect(answer.message == "Operation '\(name)' not supported for vTPM-enabled instance (\(id)).")
        }
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == .null)
    }

    @Test("A module whose secret the host may know travels alive")
    func live() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await Self.flavor(cloud, "known", ["hw:tpm_version": "2.0", "hw:tpm_secret_security": "host"])
        let id = try await cloud.server(["flavorRef": "known"])
        let (before, key) = (await cloud.show(id)["OS-EXT-SRV-ATTR:host"], try await Self.key(cloud, id))
        let answer = await cloud.act(
            id, ["os-migrateLive": ["host": nil, "block_migration": true, "disk_over_commit": false]], as: .admin())
        #expect(answer.status == 202, "\(answer.message)")
        try await cloud.work()
        #expect(await cloud.show(id)["OS-EXT-SRV-ATTR:host"] != before)
        #expect(await Self.spec(cloud, id)?.moduleKey == key && key != nil)
    }

    @Test("A size brings a module or takes it away, and the secret follows when that is settled")
    func sizes() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor("small")
        await Self.flavor(cloud, "trusted", ["hw:tpm_version": "2.0"])
        await Self.flavor(cloud, "deployed", ["hw:tpm_version": "2.0", "hw:tpm_secret_security": "deployment"])
        let id = try await cloud.server(["flavorRef": "small"])
        for (flavor, end, remains) in [
            ("trusted", "revertResize", false), ("trusted", "confirmResize", true), ("small", "revertResize", true),
            ("small", "confirmResize", false),
        ] {
            let before = try await Self.key(cloud, id)
            #expect(await cloud.act(id, ["resize": ["flavorRef": .string(flavor)]]).status == 202)
            try await cloud.work()
            #expect(await cloud.show(id)["status"] == "VERIFY_RESIZE")
            #expect(try await Self.key(cloud, id) != nil)
            #expect((await Self.spec(cloud, id)?.moduleKey != nil) == (flavor == "trusted"))
            #expect(await cloud.act(id, .object([end: nil])).status < 300)
            try await cloud.work()
            let after = try await Self.key(cloud, id)
            #expect((after != nil) == remains, "\(flavor) \(end)")
            if before != nil, remains { #expect(after == before) }
            #expect(await cloud.secrets.secrets.count == (remains ? 1 : 0))
            if remains, flavor == "trusted" {
                let answer = await cloud.act(id, ["resize": ["flavorRef": "deployed"]])
                #expect(answer.status == 400)
                #expect(
                    answer.message
                        == "Resize between 'deployment' TPM secret security and other TPM secret security modes is not "
                        + "supported.")
            }
        }
    }

    @Test("A module that has learnt something before there were secrets goes on without one")
    func old() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await Self.flavor(cloud, "trusted", ["hw:tpm_version": "2.0"])
        let id = try await cloud.server(["flavorRef": "trusted"])
        try await cloud.room.database.transaction { transaction throws(Fault) in
            _ = try transaction.execute("DELETE FROM compute_disk_keys")
        }
        #expect(await cloud.act(id, ["migrate": nil], as: .admin()).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "VERIFY_RESIZE")
        #expect(try await Self.key(cloud, id) == nil)
        let spec = await Self.spec(cloud, id)
        #expect(spec != nil && spec?.moduleKey == nil)
    }
}
