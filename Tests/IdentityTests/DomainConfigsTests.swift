// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct DomainConfigsTests {
    static let config: JSON = [
        "identity": ["driver": "ldap"],
        "ldap": [
            "url": "ldap://user:%(password)s@there", "user_tree_dn": "ou=Users", "password": "secret", "page_size": 7,
        ],
    ]

    struct Town {
        let cloud: IdentityCloud
        let admin: String, domain: String

        init(_ options: IdentityOptions = IdentityOptions()) async throws {
            cloud = try await IdentityCloud(options)
            admin = await cloud.token()
            domain = await cloud.make("domain", ["name": "far", "enabled": false], token: admin)
        }

        func call(_ method: String, _ end: String = "", _ body: JSON? = nil) async -> TestCloud.Answer {
            await cloud.call(
                method, "/v3/domains/\(domain)/config" + end, body.map { ["config": $0] }, token: admin)
        }
    }

    @Test("A domain's settings are made, shown without the secrets, changed and taken away, whole and in parts")
    func life() async throws {
        let town = try await Town()
        #expect(await town.call("GET").status == 404)
        let made = await town.call("PUT", "", Self.config)
        #expect(made.status == 201)
        #expect(made["config"]["ldap"]?["password"] == nil)
        #expect(made["config"]["ldap"]?["url"] == "ldap://user:%(password)s@there")
        #expect(made["config"]["ldap"]?["page_size"] == 7)
        #expect(await town.call("PUT", "", Self.config).status == 200)
        #expect(await town.call("GET", "/identity").json["config"] == ["identity": ["driver": "ldap"]])
        #expect(await town.call("GET", "/identity/driver").json["config"] == ["driver": "ldap"])
        #expect(await town.call("HEAD", "/identity/driver").status == 200)
        let secret = await town.call("GET", "/ldap/password")
        #expect(secret.status == 404)
        #expect(
            secret["error"]["message"]?.string
                == "Could not find option password in group ldap in domain configuration for domain \(town.domain).")
        let group = await town.call("PATCH", "/identity", ["identity": ["list_limit": 3]])
        #expect(group["config"]["identity"] == ["driver": "ldap", "list_limit": 3])
        #expect(
            await town.call("PATCH", "/identity/driver", ["driver": "sql"])["config"]["identity"]?["driver"] == "sql")
        #expect(await town.call("DELETE", "/identity/driver").status == 204)
        #expect(await town.call("DELETE", "/identity/driver").status == 404)
        #expect(await town.call("DELETE", "/identity").status == 204)
        #expect(await town.call("GET", "/identity").status == 404)
        #expect(await town.call("DELETE").status == 204)
        #expect(await town.call("GET").status == 404)
        #expect(await town.call("DELETE").status == 204)
    }

    @Test(
        "Settings that domains do not have are refused, and the message says which",
        arguments: [
            ("PUT", "", [:], 403, "No options specified"),
            ("PUT", "", ["token": ["a": 1]], 403, "Group token"),
            ("PUT", "", ["ldap": ["a": 1]], 403, "Option a in group ldap"),
            ("PUT", "", ["ldap": []], 403, "group ldap"),
            ("PATCH", "/identity", ["ldap": ["url": "x"]], 403, "instead"),
            ("PATCH", "/identity", ["ldap": ["url": "x"], "identity": ["driver": "x"]], 403, "only that"),
            ("PATCH", "/identity/driver", ["list_limit": 1], 403, "contains option list_limit"),
            ("PATCH", "/identity/list_limit", ["list_limit": 1], 404, "list_limit"),
            ("PATCH", "/token", ["token": ["a": 1]], 403, "token"),
            ("GET", "/token", [:], 403, "token"), ("DELETE", "/ldap/magic", [:], 403, "magic"),
        ] as [(String, String, JSON, Int, String)])
    func refusals(method: String, end: String, body: JSON, status: Int, words: String) async throws {
        let town = try await Town()
        _ = await town.call("PUT", "", Self.config)
        let answer = await town.call(method, end, method == "GET" || method == "DELETE" ? nil : body)
        #expect(answer.status == status)
        #expect(answer["error"]["message"]?.string?.contains(words) == true, "\(answer.json)")
    }

    @Test("What holds without settings can be read, the secrets apart")
    func standard() async throws {
        let town = try await Town()
        let all = await town.cloud.call("GET", "/v3/domains/config/default", token: town.admin)["config"]
        #expect(all["identity"]?["driver"] == "sql")
        #expect(all["ldap"]?["pool_size"] == 10)
        #expect(all["ldap"]?["password"] == nil)
        let one = await town.cloud.call("GET", "/v3/domains/config/ldap/url/default", token: town.admin)
        #expect(one.json["config"] == ["url": "ldap://localhost"])
        let secret = await town.cloud.call("GET", "/v3/domains/config/ldap/password/default", token: town.admin)
        #expect(secret.status == 403)
    }

    @Test("A back end sees the settings with the secrets put in, and only where domains may have them")
    func reading() async throws {
        var options = IdentityOptions()
        options.domains.isEnabled = true
        options.domains.isFromDatabase = true
        let town = try await Town(options)
        let configurations = town.cloud.service.domainConfigurations
        #expect(try await configurations.configuration(of: town.domain) == nil)
        _ = await town.call("PUT", "", Self.config)
        let found = try #require(try await configurations.configuration(of: town.domain))
        #expect(found.driver == "ldap")
        #expect(found.text("ldap", "url") == "ldap://user:secret@there")
        #expect(found.text("ldap", "password") == "secret")
        #expect(found.integer("ldap", "page_size") == 7)
        #expect(try await configurations.all() == [town.domain: found])
        _ = await town.cloud.call("DELETE", "/v3/domains/\(town.domain)", token: town.admin)
        #expect(try await configurations.all().isEmpty)
        let closed = try await Town()
        _ = await closed.call("PUT", "", Self.config)
        #expect(try await closed.cloud.service.domainConfigurations.all().isEmpty)
    }

    @Test("Anybody may read what passwords must be like, of the default domain alone")
    func compliance() async throws {
        var options = IdentityOptions()
        options.compliance.passwordRegex = "^.{7,}$"
        let town = try await Town(options)
        let token = await town.cloud.token(scope: nil)
        let path = "/v3/domains/default/config/security_compliance"
        let shown = await town.cloud.call("GET", path, token: token)
        #expect(
            shown["config"]["security_compliance"]
                == ["password_regex": "^.{7,}$", "password_regex_description": .null])
        #expect(
            await town.cloud.call("GET", path + "/password_regex", token: token)["config"]["password_regex"]
                == "^.{7,}$")
        #expect(await town.cloud.call("GET", path + "/lockout_duration", token: token).status == 403)
        #expect(await town.call("GET", "/security_compliance").status == 403)
        let body: JSON = ["security_compliance": ["password_regex": "x"]]
        #expect(await town.call("PATCH", "/security_compliance", body).status == 403)
        #expect(await town.call("DELETE", "/security_compliance").status == 403)
    }

    @Test("A file holds the same in the older form")
    func files() {
        let file = DomainConfiguration(
            file:
                "[identity]\ndriver = ldap\n[ldap]\nuse_tls = yes\nuser_attribute_ignore = a, b\npool_retry_delay = 0.5"
        )
        #expect(file.driver == "ldap")
        #expect(file.flag("ldap", "use_tls") == true)
        #expect(file.list("ldap", "user_attribute_ignore") == ["a", "b"])
        #expect(file.double("ldap", "pool_retry_delay") == 0.5)
        #expect(file.text("ldap", "url") == nil)
        #expect(DomainConfigurationOptions.domain(ofFile: "keystone.far.conf") == "far")
        #expect(DomainConfigurationOptions.domain(ofFile: "keystone..conf") == nil)
    }
}
