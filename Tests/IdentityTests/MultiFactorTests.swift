// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct MultiFactorTests {
    static let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

    /// A cloud with one-time passwords, and ann who has a password and one of those.
    private func cloud(rules: JSON? = nil) async throws -> (IdentityCloud, ann: String) {
        var options = IdentityOptions()
        options.tokens.methods.append("totp")
        let cloud = try await IdentityCloud(options)
        let admin = await cloud.token()
        var user: JSON = ["name": "ann", "password": "one"]
        if let rules { user["options"] = ["multi_factor_auth_rules": rules] }
        let ann = await cloud.make("user", user, token: admin)
        _ = await cloud.make(
            "credential", ["user_id": .string(ann), "type": "totp", "blob": .string(Self.secret)], token: admin)
        return (cloud, ann)
    }

    private func passcode(_ cloud: IdentityCloud, windowsAgo: Int64 = 0) -> String {
        OneTimePassword.passcode(
            secret: Base32.decode(Self.secret)!, window: OneTimePassword.window(cloud.clock.now()) - windowsAgo)
    }

    private func login(_ methods: [String], passcode: String = "", password: String = "one") -> JSON {
        var identity: JSON = ["methods": .array(methods.map(JSON.string))]
        let name: JSON = ["name": "ann", "domain": ["id": "default"]]
        for method in methods {
            var user = name
            user[method == "totp" ? "passcode" : "password"] = .string(method == "totp" ? passcode : password)
            identity[method] = ["user": user]
        }
        return ["auth": ["identity": identity]]
    }

    @Test("A one-time password logs in once, the one before it too, and no other")
    func passcodes() async throws {
        let (cloud, _) = try await cloud()
        func status(_ passcode: String) async -> Int {
            await cloud.call("POST", "/v3/auth/tokens", login(["totp"], passcode: passcode)).status
        }
        #expect(await status(passcode(cloud, windowsAgo: 2)) == 401)
        #expect(await status("000000") == 401)
        #expect(await status("") == 401)
        #expect(await status(passcode(cloud, windowsAgo: 1)) == 201)
        #expect(await status(passcode(cloud, windowsAgo: 1)) == 401, "it was used")
        let answer = await cloud.call("POST", "/v3/auth/tokens", login(["totp"], passcode: passcode(cloud)))
        #expect(answer["token"]["methods"] == ["totp"])
        #expect(await status(passcode(cloud)) == 401)
        cloud.clock.advance(.seconds(30))
        #expect(await status(passcode(cloud)) == 201)
    }

    @Test("Without the method among those that are open there are no one-time passwords")
    func closed() async throws {
        let cloud = try await IdentityCloud()
        #expect(await cloud.call("POST", "/v3/auth/tokens", login(["totp"], passcode: "123456")).status == 401)
    }

    @Test("Whoever needs two factors gets a receipt for the first and a token for both")
    func receipts() async throws {
        let (cloud, ann) = try await cloud(rules: [["password", "totp"], ["totp", "unheard", "token"]])
        let plain = await cloud.call("POST", "/v3/auth/tokens", login(["totp"], passcode: passcode(cloud)))
        #expect(plain.status == 401)
        #expect(plain["required_auth_methods"] == [["password", "totp"], ["totp", "token"]])
        let receipt = plain.header("Openstack-Auth-Receipt") ?? ""
        #expect(plain["receipt"]["methods"] == ["totp"])
        #expect(plain["receipt"]["user"]?["id"]?.string == ann)
        #expect(plain["receipt"]["expires_at"] == "2027-01-15T08:05:00.000000Z")
        let second = await cloud.call(
            "POST", "/v3/auth/tokens", login(["password"]), headers: [("OpenStack-Auth-Receipt", receipt)])
        #expect(second.status == 201)
        #expect(Set(second["token"]["methods"]?.array?.compactMap(\.string) ?? []) == ["password", "totp"])
    }

    @Test("A receipt is no token, no other user's, and not for long")
    func wrongReceipts() async throws {
        let (cloud, _) = try await cloud(rules: [["password", "totp"]])
        let first = await cloud.call("POST", "/v3/auth/tokens", login(["password"]))
        #expect(first.status == 401)
        let receipt = first.header("Openstack-Auth-Receipt") ?? ""
        #expect(receipt != "")
        #expect(await cloud.call("GET", "/v3/auth/projects", token: receipt).status == 401)
        let other = await cloud.call(
            "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret"),
            headers: [("OpenStack-Auth-Receipt", receipt)])
        #expect(other.status == 401)
        cloud.clock.advance(.seconds(301))
        let late = await cloud.call(
            "POST", "/v3/auth/tokens", login(["totp"], passcode: passcode(cloud)),
            headers: [("OpenStack-Auth-Receipt", receipt)])
        #expect(late.status == 401 && late.header("Openstack-Auth-Receipt") == nil)
        let both = await cloud.call(
            "POST", "/v3/auth/tokens", login(["password", "totp"], passcode: passcode(cloud)))
        #expect(both.status == 401, "the passcode was used by the login that came too late")
        cloud.clock.advance(.seconds(30))
        let fresh = await cloud.call(
            "POST", "/v3/auth/tokens", login(["password", "totp"], passcode: passcode(cloud)))
        #expect(fresh.status == 201)
    }

    @Test("Rules that were switched off, or name only methods that are closed, ask for nothing")
    func noRules() async throws {
        let (cloud, ann) = try await cloud(rules: [["unheard", "of"]])
        #expect(await cloud.token("ann", "one", scope: nil) != "")
        let admin = await cloud.token()
        let off: JSON = [
            "user": ["options": ["multi_factor_auth_rules": [["totp"]], "multi_factor_auth_enabled": false]]
        ]
        _ = await cloud.call("PATCH", "/v3/users/\(ann)", off, token: admin)
        #expect(await cloud.token("ann", "one", scope: nil) != "")
        let on: JSON = ["user": ["options": ["multi_factor_auth_enabled": true]]]
        _ = await cloud.call("PATCH", "/v3/users/\(ann)", on, token: admin)
        #expect(await cloud.token("ann", "one", scope: nil) == "")
    }
}
