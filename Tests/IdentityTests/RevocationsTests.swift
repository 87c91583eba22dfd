// SPDX-License-Identifier: Apache-2.0
import Glibc
import Identity
import Kernel
import Simulation
import Testing

struct RevocationsTests {
    @Test("What was revoked is told to whoever may ask: tokens, users, projects and trusts, and since when")
    func events() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let project = await cloud.make("project", ["name": "p"], token: admin)
        let token = await cloud.token("ann", "one", scope: nil)
        let shown = await cloud.call("GET", "/v3/auth/tokens", token: admin, headers: [("X-Subject-Token", token)])
        _ = await cloud.call("DELETE", "/v3/auth/tokens", token: admin, headers: [("X-Subject-Token", token)])
        cloud.clock.advance(.seconds(10))
        _ = await cloud.call("DELETE", "/v3/projects/\(project)", token: admin)
        _ = await cloud.call("DELETE", "/v3/users/\(ann)", token: admin)
        let all = await cloud.call("GET", "/v3/OS-REVOKE/events", token: admin)
        let events = all["events"].array ?? []
        #expect(events.count == 3)
        #expect(
            events.first == [
                "audit_id": shown["token"]["audit_ids"]?[0] ?? .null,
                "issued_before": "2027-01-15T08:00:00.000000Z", "revoked_at": "2027-01-15T08:00:00.000000Z",
            ])
        #expect(
            events.contains { $0["user_id"]?.string == ann } && events.contains { $0["project_id"]?.string == project })
        #expect(all["links"]["next"] == .null)
        let late = await cloud.call("GET", "/v3/OS-REVOKE/events?since=2027-01-15T08:00:05Z", token: admin)
        #expect(late["events"].array?.count == 2)
        let wrong = await cloud.call("GET", "/v3/OS-REVOKE/events?since=yesterday", token: admin)
        #expect(wrong.status == 400)
        #expect(wrong["error"]["message"]?.string == "invalidate date format yesterday")
    }

    @Test(
        "A million revocations are no more work than ten: each is found by what it is about",
        arguments: [10, 1_000_000])
    func flat(count: Int) async throws {
        let cloud = try await IdentityCloud()
        let token = await cloud.token()
        try await cloud.database.transaction { transaction throws(Fault) in
            _ = try transaction.execute(
                """
                INSERT INTO identity_revocations (id, audit_id, issued_before, revoked_at)
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(count))
                SELECT 'made-up-' || i, 'made-up-' || i, \(cloud.clock.now()), \(cloud.clock.now()) FROM n
                """)
        }
        let keys = (0..<5).map { "u\($0)" } + ["made-up-7"]
        let plan = try await cloud.database.rows(
            "EXPLAIN QUERY PLAN SELECT * FROM identity_revocations WHERE id IN \(keys)")
        #expect(plan.count == 1)
        #expect(plan.allSatisfy { $0["detail"].text?.hasPrefix("SEARCH identity_revocations USING INDEX") == true })
        let found = try await cloud.database.rows("SELECT id FROM identity_revocations WHERE id IN \(keys)")
        #expect(found.count == 1, "no more rows are read than match")
        let status = await cloud.call("GET", "/v3/auth/tokens", token: token, headers: [("X-Subject-Token", token)])
        #expect(status.status == 200)
        #expect(
            await cloud.call("DELETE", "/v3/auth/tokens", token: token, headers: [("X-Subject-Token", token)]).status
                == 204)
        #expect(await cloud.call("GET", "/v3/auth/projects", token: token).status == 401)
    }

    @Test("Revocations are forgotten once no token that they were about can still be asked for")
    func pruning() async throws {
        let cloud = try await IdentityCloud()
        func revoke() async -> Int {
            let token = await cloud.token()
            return await cloud.call("DELETE", "/v3/auth/tokens", token: token, headers: [("X-Subject-Token", token)])
                .status
        }
        #expect(await revoke() == 204)
        #expect(await revoke() == 204)
        #expect(try await cloud.database.rows("SELECT id FROM identity_revocations").count == 2)
        cloud.clock.advance(.seconds(3600 + 172_800 + 1801))
        #expect(await revoke() == 204)
        #expect(try await cloud.database.rows("SELECT id FROM identity_revocations").count == 1)
    }

    @Test("A flood of logins is told to come back, and nobody else waits for it")
    func flood() async throws {
        let pool = BlockingPool(name: "passwords", threads: 1, queue: 2)
        let cloud = try await IdentityCloud(pool: pool)
        let token = await cloud.token()
        // The one thread is busy until it is told otherwise; it is asked before anybody logs in.
        var gate: [Int32] = [0, 0]
        #expect(pipe(&gate) == 0)
        let (reading, writing) = (gate[0], gate[1])
        defer { close(reading) }
        let busy = try pool.begin { () throws(Fault) in
            var byte: UInt8 = 0
            _ = read(reading, &byte, 1)
        }
        let answers = await withTaskGroup(of: TestCloud.Answer.self) { group in
            for _ in 0..<100 {
                group.addTask { await cloud.call("POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret")) }
            }
            let meanwhile = await cloud.call("GET", "/v3/auth/projects", token: token)
            #expect(meanwhile.status == 200)
            var all: [TestCloud.Answer] = []
            while let answer = await group.next() {
                all.append(answer)
                // Two wait in line, or one while the thread has not taken up its work.
                if all.count == 97 { close(writing) }
            }
            return all
        }
        try await busy.value()
        let refused = answers.filter { $0.status == 503 }
        #expect(refused.count >= 97 && refused.count < 100)
        #expect(refused.allSatisfy { $0.header("Retry-After") == "1" })
        #expect(answers.allSatisfy { $0.status == 503 || $0.status == 201 })
    }
}
