// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Testing

@testable import IdentityLDAP

struct LDAPOptionsTests {
    private func options(_ values: [String: JSON]) throws -> LDAPOptions {
        try LDAPOptions(DomainConfiguration(["ldap": values]), of: "corp")
    }

    @Test("A domain's options have upstream's names and defaults")
    func defaults() throws {
        let plain = try options([:])
        #expect(plain.urls == ["ldap://localhost"])
        #expect(plain.users.treeDN == "ou=Users,cn=example,cn=com")
        #expect(plain.groups.treeDN == "ou=UserGroups,cn=example,cn=com")
        #expect(plain.users.objectClass == "inetOrgPerson")
        #expect(plain.users.nameAttribute == "sn")
        #expect(plain.users.ignored == ["default_project_id"])
        #expect(!plain.chasesReferrals)
        #expect(plain.patience == .seconds(10), "nothing waits for ever")
        let own = try options([
            "url": "ldap://a, ldaps://b", "suffix": "dc=corp", "user_attribute_ignore": ["enabled", "email"],
            "pool_retry_delay": 0.5, "use_pool": false, "connection_timeout": 3,
            "user_additional_attribute_mapping": "title:job,l:town",
        ])
        #expect(own.urls == ["ldap://a", "ldaps://b"])
        #expect(own.users.treeDN == "ou=Users,dc=corp")
        #expect(own.users.ignored == ["enabled", "email"])
        #expect(own.users.additional == ["title": "job", "l": "town"])
        #expect(own.patience == .seconds(3))
    }

    @Test("A file of a domain is read as the API's settings are")
    func file() throws {
        let text = "[identity]\ndriver = ldap\n[ldap]\nurl = ldap://x\nuser_filter = (a=b)\npage_size = 7\n"
        let own = try LDAPOptions(DomainConfiguration(file: text), of: "corp")
        #expect(own.users.filter == "(a=b)")
        #expect(own.pageSize == 7)
    }

    @Test(
        "Mistakes are told by name",
        arguments: [
            ("page_size", "many"), ("url", "http://x"), ("tls_req_cert", "maybe"), ("user_filter", "a=b"),
            ("user_filter", "(a=b"), ("user_additional_attribute_mapping", "title"), ("no_such_option", "1"),
        ])
    func mistakes(name: String, value: String) throws {
        do {
            _ = try options([name: .string(value)])
            Issue.record("\(name) = \(value) was taken")
        } catch {
            #expect((error as? Fault)?.message.contains(name) == true, "\(error)")
        }
    }

    @Test("use_tls and ldaps exclude one another")
    func tls() throws {
        #expect(throws: Fault.self) { try options(["url": "ldaps://x", "use_tls": true]) }
    }
}
