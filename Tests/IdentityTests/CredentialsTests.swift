// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct CredentialsTests {
    @Test("A credential is kept encrypted and shown to its owner alone")
    func life() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        _ = await cloud.make("user", ["name": "bob", "password": "two"], token: admin)
        let (own, other) = (
            await cloud.token("ann", "one", scope: nil), await cloud.token("bob", "two", scope: nil)
        )
        let body: JSON = [
            "credential": ["user_id": .string(ann), "type": "totp", "blob": "top secret"]
        ]
        #expect(await cloud.call("POST", "/v3/credentials", body, token: other).status == 403)
        let made = await cloud.call("POST", "/v3/credentials", body, token: own)
        #expect(made.status == 201)
        #expect(made["credential"]["blob"] == "top secret")
        let stored = try await cloud.database.rows("SELECT encrypted_blob FROM identity_credentials")
        #expect(stored.first?[0].text?.contains("secret") == false)
        let path = "/v3/credentials/" + (made["credential"]["id"]?.string ?? "")
        #expect(await cloud.call("GET", path, token: own)["credential"]["blob"] == "top secret")
        #expect(await cloud.call("GET", path, token: other).status == 403)
        #expect(await cloud.call("GET", "/v3/credentials", token: own)["credentials"].array?.count == 1)
        let changed = await cloud.call("PATCH", path, ["credential": ["blob": "new"]], token: own)
        #expect(changed["credential"]["blob"] == "new")
        let moved: JSON = ["credential": ["user_id": "x"]]
        #expect(await cloud.call("PATCH", path, moved, token: own).status == 400)
        #expect(await cloud.call("DELETE", path, token: own).status == 204)
        #expect(await cloud.call("GET", path, token: admin).status == 404)
    }

    @Test("EC2 keys are made, listed, shown and removed, and are credentials as well")
    func keys() async throws {
        let cloud = try await IdentityCloud()
        let answer = await cloud.call(
            "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject))
        let admin = answer.header("X-Subject-Token") ?? ""
        let user = answer["token"]["user"]?["id"]?.string ?? ""
        let project = answer["token"]["project"]?["id"] ?? .null
        let path = "/v3/users/\(user)/credentials/OS-EC2"
        let made = await cloud.call("POST", path, ["tenant_id": project], token: admin)
        #expect(made.status == 201)
        let access = made["credential"]["access"]?.string ?? ""
        #expect(access.count == 32)
        #expect(made["credential"]["tenant_id"] == project)
        #expect(await cloud.call("GET", path, token: admin)["credentials"].array?.count == 1)
        #expect(await cloud.call("GET", path + "/" + access, token: admin)["credential"]["access"]?.string == access)
        #expect(await cloud.call("GET", "/v3/credentials?type=ec2", token: admin)["credentials"].array?.count == 1)
        #expect(await cloud.call("DELETE", path + "/" + access, token: admin).status == 204)
        #expect(await cloud.call("GET", path + "/" + access, token: admin).status == 404)
    }

    @Test("Policies are kept for whoever wants them")
    func policies() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let path =
            "/v3/policies/"
            + (await cloud.make("policy", ["type": "t", "blob": "b"], at: "/v3/policies", token: admin))
        #expect(await cloud.call("PATCH", path, ["policy": ["type": "u"]], token: admin)["policy"]["type"] == "u")
        #expect(await cloud.call("GET", "/v3/policies?type=u", token: admin)["policies"].array?.count == 1)
        #expect(await cloud.call("DELETE", path, token: admin).status == 204)
        #expect(await cloud.call("POST", "/v3/policies", ["policy": ["type": "t"]], token: admin).status == 400)
    }
}
