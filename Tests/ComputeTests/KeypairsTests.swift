// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

struct KeypairsTests {
    static let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFZ1IB1DPmXTHq8Ntvaa4wRTYhNoLOpbzVpDFFzh0gnQ me@here"
    static let draft: JSON = ["keypair": ["name": "laptop", "public_key": .string(key)]]

    @Test("Creating answers 200 at first, 201 since 2.2", arguments: [("2.1", 200), ("2.2", 201), ("2.92", 201)])
    func createStatus(version: String, status: Int) async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        let made = await cloud.call("POST", "/os-keypairs", Self.draft, at: version)
        #expect(made.status == status, "\(made.json.text())")
        #expect(made["keypair"]["fingerprint"]?.string?.count == 47)
        #expect((made["keypair"]["type"] != nil) == (version != "2.1"))
        #expect(made["keypair"]["private_key"] == nil)
        let shown = await cloud.call("GET", "/os-keypairs/laptop", at: version)
        #expect(shown["keypair"]["id"] == 1)
        #expect(shown["keypair"]["deleted"] == false)
    }

    @Test("Until 2.92 the cloud makes a key, and hands out its private half once")
    func generated() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        let made = await cloud.call("POST", "/os-keypairs", ["keypair": ["name": "a"]])
        #expect(made["keypair"]["private_key"]?.string?.hasPrefix("-----BEGIN RSA PRIVATE KEY-----") == true)
        let text = made["keypair"]["public_key"]?.string ?? ""
        #expect(SSHKey(importing: text)?.fingerprint == made["keypair"]["fingerprint"]?.string)
        #expect(await cloud.call("GET", "/os-keypairs/a")["keypair"]["private_key"] == nil)
        let late = await cloud.call("POST", "/os-keypairs", ["keypair": ["name": "b"]], at: "2.92")
        #expect(late.message == "'public_key' is a required property")
    }

    @Test("A name is taken once per user, and belongs to the user")
    func owners() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        let bob = Caller.member("bob")
        #expect(await cloud.call("POST", "/os-keypairs", Self.draft).status == 200)
        let twice = await cloud.call("POST", "/os-keypairs", Self.draft)
        #expect(twice.status == 409)
        #expect(twice.message == "Key pair 'laptop' already exists.")
        #expect(await cloud.call("GET", "/os-keypairs/laptop", as: bob).status == 404)
        #expect(await cloud.call("GET", "/os-keypairs", at: "2.10", as: bob, query: "user_id=user-a").status == 403)
        let seen = await cloud.call("GET", "/os-keypairs", at: "2.10", as: .admin(), query: "user_id=user-a")
        #expect(seen["keypairs"].array?.count == 1)
        #expect(await cloud.call("DELETE", "/os-keypairs/laptop").status == 202)
        #expect(await cloud.call("DELETE", "/os-keypairs/laptop", at: "2.2").status == 404)
    }

    @Test("Lists are paged since 2.35")
    func pages() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        for name in ["a", "b", "c"] {
            _ = await cloud.call(
                "POST", "/os-keypairs", ["keypair": ["name": .string(name), "public_key": .string(Self.key)]])
        }
        let first = await cloud.call("GET", "/os-keypairs", at: "2.35", query: "limit=2")
        #expect(first["keypairs"].array?.count == 2)
        #expect(first["keypairs_links"][0]?["href"]?.string?.contains("marker=b") == true)
        let rest = await cloud.call("GET", "/os-keypairs", at: "2.35", query: "limit=2&marker=b")
        #expect(rest["keypairs"][0]?["keypair"]?["name"] == "c")
        #expect(await cloud.call("GET", "/os-keypairs", at: "2.35", query: "marker=x").status == 400)
    }

    @Test(
        "Bad drafts are 400 and name the member",
        arguments: [
            (["name": "a/b"], "name"), (["name": ""], "name"), (["public_key": "x"], "name"),
            (["name": "a", "public_key": 1], "public_key"), (["name": "a", "type": "pgp"], "type"),
            (["name": "a", "more": 1], "more"),
        ] as [(JSONObject, String)])
    func bad(members: JSONObject, name: String) async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        let answer = await cloud.call("POST", "/os-keypairs", ["keypair": .object(members)], at: "2.2")
        #expect(answer.status == 400)
        #expect(answer.message.contains(name), "\(answer.message)")
    }
}
