// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

/// What `[security_compliance]` asks of users, in upstream's words.
struct AccountsTests {
    private func cloud(_ change: (inout IdentityOptions) -> Void) async throws -> (IdentityCloud, admin: String) {
        var options = IdentityOptions()
        change(&options)
        let cloud = try await IdentityCloud(options)
        return (cloud, await cloud.token())
    }

    private func change(_ cloud: IdentityCloud, _ id: String, _ old: String, _ new: String) async -> TestCloud.Answer {
        await cloud.call(
            "POST", "/v3/users/\(id)/password",
            ["user": ["original_password": .string(old), "password": .string(new)]])
    }

    private func message(_ answer: TestCloud.Answer) -> String { answer["error"]["message"]?.string ?? "" }

    @Test("A new password must differ from the last ones, as many as the operator says")
    func history() async throws {
        let (cloud, admin) = try await cloud { $0.compliance.uniquePasswords = 3 }
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        #expect(await change(cloud, ann, "one", "two").status == 204)
        #expect(await change(cloud, ann, "two", "three").status == 204)
        for old in ["one", "two", "three"] {
            let refused = await change(cloud, ann, "three", old)
            #expect(refused.status == 400)
            #expect(
                message(refused)
                    == "The new password cannot be identical to a previous password. The total number which includes "
                    + "the new password must be unique is 3.")
        }
        #expect(await change(cloud, ann, "three", "four").status == 204)
        #expect(await change(cloud, ann, "four", "one").status == 204, "long enough ago")
        let reset = await cloud.call("PATCH", "/v3/users/\(ann)", ["user": ["password": "one"]], token: admin)
        #expect(reset.status == 200, "administrators are not asked")
    }

    @Test("A password ends after the days that the operator gives it, and may then still be changed")
    func expiry() async throws {
        let (cloud, admin) = try await cloud { $0.compliance.passwordDays = 2 }
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let free: JSON = ["name": "bob", "password": "one", "options": ["ignore_password_expiry": true]]
        _ = await cloud.make("user", free, token: admin)
        let shown = await cloud.call("GET", "/v3/users/\(ann)", token: admin)
        #expect(shown["user"]["password_expires_at"] == "2027-01-17T08:00:00.000000")
        for (query, names) in [
            ("lt:2027-01-18T00:00:00Z", ["ann"]), ("gt:2027-01-18T00:00:00Z", []),
            ("gte:2027-01-17T08:00:00Z", ["ann"]), ("neq:2027-01-17T08:00:00Z", []),
            ("2027-01-17T08:00:00Z", ["ann"]),
        ] {
            let found = await cloud.call("GET", "/v3/users?password_expires_at=\(query)", token: admin)
            #expect(found["users"].array?.names() == names, "\(query)")
        }
        for query in ["lt:yesterday", "xx:2027-01-17T08:00:00Z"] {
            #expect(await cloud.call("GET", "/v3/users?password_expires_at=\(query)", token: admin).status == 400)
        }
        cloud.clock.advance(.seconds(2 * 86_400))
        #expect(await cloud.token("ann", "one", scope: nil) == "")
        #expect(await cloud.token("bob", "one", scope: nil) != "")
        #expect(await change(cloud, ann, "wrong", "two").status == 401)
        #expect(await change(cloud, ann, "one", "two").status == 204)
        #expect(await cloud.token("ann", "two", scope: nil) != "")
    }

    @Test("What an administrator set must be changed before it is good for a token, when the operator says so")
    func firstUse() async throws {
        let (cloud, admin) = try await cloud { $0.compliance.changesFirstPassword = true }
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        #expect(await cloud.token("ann", "one", scope: nil) == "")
        #expect(await change(cloud, ann, "one", "two").status == 204)
        #expect(await cloud.token("ann", "two", scope: nil) != "")
        _ = await cloud.call("PATCH", "/v3/users/\(ann)", ["user": ["password": "three"]], token: admin)
        #expect(await cloud.token("ann", "three", scope: nil) == "")
        let service: JSON = [
            "name": "nova", "password": "one", "options": ["ignore_change_password_upon_first_use": true],
        ]
        _ = await cloud.make("user", service, token: admin)
        #expect(await cloud.token("nova", "one", scope: nil) != "")
    }

    @Test("A password chosen by its user must be kept for the days that the operator says; one set by another not")
    func minimumAge() async throws {
        let (cloud, admin) = try await cloud { $0.compliance.passwordDaysMin = 2 }
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        #expect(await change(cloud, ann, "one", "two").status == 204)
        let early = await change(cloud, ann, "two", "three")
        #expect(early.status == 400)
        #expect(
            message(early)
                == "You cannot change your password at this time due to the minimum password age. Once you change your "
                + "password, it must be used for 2 day(s) before it can be changed. Please try again in 2 day(s) or "
                + "contact your administrator to reset your password.")
        cloud.clock.advance(.seconds(2 * 86_400))
        #expect(await change(cloud, ann, "two", "three").status == 204)
    }

    @Test("A password must look as the operator says, wherever it is set")
    func regex() async throws {
        let (cloud, admin) = try await cloud {
            $0.compliance.passwordRegex = "^(?=.*\\d)(?=.*[a-zA-Z]).{7,}$"
            $0.compliance.passwordRegexDescription = "seven characters, a letter and a digit"
        }
        let words = "The password does not match the requirements: seven characters, a letter and a digit."
        let weak = await cloud.call(
            "POST", "/v3/users", ["user": ["name": "ann", "password": "short1"]], token: admin)
        #expect(weak.status == 400 && message(weak) == words)
        let ann = await cloud.make("user", ["name": "ann", "password": "longer1"], token: admin)
        let reset = await cloud.call("PATCH", "/v3/users/\(ann)", ["user": ["password": "letters"]], token: admin)
        #expect(reset.status == 400 && message(reset) == words)
        let own = await change(cloud, ann, "longer1", "12345678")
        #expect(own.status == 400 && message(own) == words)
        #expect(await change(cloud, ann, "longer1", "longer2").status == 204)
    }

    @Test("Whoever stays away for too long counts as disabled until enabled again, unless exempt")
    func inactivity() async throws {
        let (cloud, admin) = try await cloud { $0.compliance.inactiveDaysMax = 3 }
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let exempt: JSON = ["name": "bob", "password": "one", "options": ["ignore_user_inactivity": true]]
        _ = await cloud.make("user", exempt, token: admin)
        cloud.clock.advance(.seconds(2 * 86_400))
        #expect(await cloud.token("ann", "one", scope: nil) != "")
        #expect(await cloud.token() != "")
        cloud.clock.advance(.seconds(2 * 86_400))
        #expect(await cloud.token("ann", "one", scope: nil) != "", "the login two days ago counts")
        let fresh = await cloud.token()
        cloud.clock.advance(.seconds(3 * 86_400))
        #expect(fresh != "")
        #expect(await cloud.token("ann", "one", scope: nil) == "")
        #expect(await cloud.token("bob", "one", scope: nil) != "")
        _ = ann
    }

    @Test("A locked password is for administrators to change")
    func lockedPassword() async throws {
        let (cloud, admin) = try await cloud { _ in }
        let ann = await cloud.make(
            "user", ["name": "ann", "password": "one", "options": ["lock_password": true]], token: admin)
        let refused = await change(cloud, ann, "one", "two")
        #expect(refused.status == 400)
        #expect(message(refused).hasPrefix("You cannot change your password at this time due to password policy"))
        _ = await cloud.call("PATCH", "/v3/users/\(ann)", ["user": ["options": ["lock_password": nil]]], token: admin)
        #expect(await change(cloud, ann, "one", "two").status == 204)
    }

    @Test("Enabling a user ends a lock at once; one that has run out takes as many mistakes again")
    func unlocking() async throws {
        let (cloud, admin) = try await cloud { $0.compliance.lockoutAttempts = 2 }
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        for _ in 0..<2 { _ = await cloud.token("ann", "wrong", scope: nil) }
        #expect(await cloud.token("ann", "one", scope: nil) == "")
        _ = await cloud.call("PATCH", "/v3/users/\(ann)", ["user": ["enabled": true]], token: admin)
        #expect(await cloud.token("ann", "one", scope: nil) != "")
        for _ in 0..<2 { _ = await cloud.token("ann", "wrong", scope: nil) }
        cloud.clock.advance(.seconds(1801))
        _ = await cloud.token("ann", "wrong", scope: nil)
        #expect(await cloud.token("ann", "one", scope: nil) != "")
    }

    @Test("Long passwords are cut where the operator says, or refused when that is strict")
    func lengths() async throws {
        let long = String(repeating: "a", count: 80)
        let (cloud, admin) = try await cloud { _ in }
        _ = await cloud.make("user", ["name": "ann", "password": .string(long)], token: admin)
        #expect(await cloud.token("ann", long + "x", scope: nil) != "", "bcrypt looks at 72 bytes")
        let (strict, boss) = try await self.cloud {
            $0.passwords.lengthMax = 20
            $0.passwords.isStrict = true
        }
        let refused = await strict.call(
            "POST", "/v3/users", ["user": ["name": "ann", "password": .string(long)]], token: boss)
        #expect(refused.status == 403)
        #expect(message(refused).hasPrefix("The password length must be less than or equal to 20."))
    }

    @Test("New passwords are hashed as the operator says", arguments: Passwords.Algorithm.allCases)
    func algorithms(algorithm: Passwords.Algorithm) async throws {
        let (cloud, admin) = try await cloud {
            $0.passwords.algorithm = algorithm
            $0.passwords.scryptBlockSize = 2
        }
        _ = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        #expect(await cloud.token("ann", "one", scope: nil) != "")
        #expect(await cloud.token("ann", "two", scope: nil) == "")
    }
}
