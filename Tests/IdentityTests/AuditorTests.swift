// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct AuditorTests {
    @Test("Each change is told of as a CADF event: who did what to what, from where")
    func changes() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        #expect(cloud.notifications.messages.isEmpty)
        let user = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let message = try #require(cloud.notifications.messages.first)
        #expect(message["event_type"] == "identity.user.created")
        #expect(message["priority"] == "INFO")
        let event = message["payload"] ?? .null
        #expect(event["typeURI"] == "http://schemas.dmtf.org/cloud/audit/1.0/event")
        #expect(event["eventType"] == "activity")
        #expect(event["action"] == "created.user")
        #expect(event["outcome"] == "success")
        #expect(event["resource_info"]?.string == user)
        #expect(event["target"] == ["typeURI": "data/security/account/user", "id": .string(user)])
        #expect(event["initiator"]?["typeURI"] == "service/security/account/user")
        #expect(event["initiator"]?["username"] == "admin")
        #expect(event["initiator"]?["request_id"]?.string?.hasPrefix("req-") == true)
        #expect(event["observer"]?["typeURI"] == "service/security")
        #expect(!message.text().contains("\"one\""))
        _ = await cloud.call("PATCH", "/v3/users/\(user)", ["user": ["description": "d"]], token: admin)
        _ = await cloud.call("DELETE", "/v3/users/\(user)", token: admin)
        _ = await cloud.call("DELETE", "/v3/users/\(user)", token: admin)
        _ = await cloud.call("GET", "/v3/users", token: admin)
        #expect(
            cloud.notifications.messages.compactMap { $0["event_type"]?.string }
                == ["identity.user.created", "identity.user.updated", "identity.user.deleted"])
    }

    @Test("Role assignments say all their parts, and refused ones are told of too")
    func assignments() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let user = await cloud.make("user", ["name": "ann"], token: admin)
        let role = await cloud.role("member", token: admin)
        let path = "/v3/OS-INHERIT/domains/default/users/\(user)/roles/\(role)/inherited_to_projects"
        #expect(await cloud.call("PUT", path, token: admin).status == 204)
        #expect(
            await cloud.call("DELETE", "/v3/domains/default/users/\(user)/roles/\(role)", token: admin).status == 404)
        let told = cloud.notifications.messages.suffix(2)
        #expect(told.first?["event_type"] == "identity.role_assignment.created")
        #expect(told.first?["payload"]?["role"]?.string == role)
        #expect(told.first?["payload"]?["domain"] == "default")
        #expect(told.first?["payload"]?["inherited_to_projects"] == true)
        #expect(told.last?["event_type"] == "identity.role_assignment.deleted")
        #expect(told.last?["payload"]?["outcome"] == "failure")
        #expect(told.last?["payload"]?["reason"]?["reasonCode"] == "404")
    }

    @Test("Failed logins are told of, good ones when the operator wants it", arguments: [false, true])
    func logins(all: Bool) async throws {
        var options = IdentityOptions()
        if all { options.notifications.silenced = [] }
        let cloud = try await IdentityCloud(options)
        _ = await cloud.token()
        _ = await cloud.token("admin", "wrong")
        let told = cloud.notifications.messages
        #expect(told.count == (all ? 2 : 1))
        #expect(told.last?["event_type"] == "identity.authenticate")
        #expect(told.last?["payload"]?["outcome"] == "failure")
        #expect(told.last?["payload"]?["initiator"]?["username"] == "admin")
        #expect(told.first?["payload"]?["outcome"]?.string == (all ? "success" : "failure"))
        #expect(told.allSatisfy { !$0.text().contains("wrong") })
    }

    @Test("A login that comes by another door than /auth/tokens is told of, too")
    func otherDoors() async throws {
        let cloud = try await IdentityCloud()
        let path = "/v3/OS-FEDERATION/identity_providers/acme/protocols/openid/auth"
        #expect(await cloud.call("GET", path).status == 401)
        let told = try #require(cloud.notifications.messages.first)
        #expect(told["event_type"] == "identity.authenticate")
        #expect(told["payload"]?["outcome"] == "failure")
        #expect(told["payload"]?["reason"]?["reasonCode"] == "401")
        #expect(await cloud.call("GET", "/v3/auth/OS-FEDERATION/websso/openid").status >= 400)
        #expect(cloud.notifications.messages.count == 1)
    }

    @Test("The short form names what was changed and no more, and silenced events are not sent")
    func basic() async throws {
        var options = IdentityOptions()
        options.notifications.form = .basic
        options.notifications.silenced = ["identity.project.created"]
        let cloud = try await IdentityCloud(options)
        let admin = await cloud.token()
        let before = cloud.notifications.messages.count
        _ = await cloud.make("project", ["name": "p"], token: admin)
        let group = await cloud.make("group", ["name": "g"], token: admin)
        let user = await cloud.make("user", ["name": "ann"], token: admin)
        _ = await cloud.call("PUT", "/v3/groups/\(group)/users/\(user)", token: admin)
        let told = cloud.notifications.messages.dropFirst(before)
        #expect(
            told.compactMap { $0["event_type"]?.string }
                == ["identity.group.created", "identity.user.created", "identity.group.updated"])
        #expect(told.last?["payload"]?["resource_info"]?.string == group)
        #expect(told.last?["payload"]?["actor_id"]?.string == user)
        #expect(told.last?["payload"]?["actor_operation"] == "added")
        #expect(told.first?["payload"]?["typeURI"] == nil)
    }
}
