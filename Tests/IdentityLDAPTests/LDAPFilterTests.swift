// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Testing

@testable import IdentityLDAP

struct LDAPFilterTests {
    @Test(
        "What means something in a filter is written so that it means itself",
        arguments: [
            ("ann", "ann"), ("a*b", "a\\2ab"), ("(x)", "\\28x\\29"), ("back\\slash", "back\\5cslash"),
            ("nul\0", "nul\\00"), ("Zoë", "Zo\\c3\\ab"), ("O'Neil, J", "O'Neil, J"),
        ])
    func escape(text: String, escaped: String) { #expect(LDAPFilter.escape(text) == escaped) }

    @Test("Conditions become filters")
    func conditions() {
        #expect(LDAPFilter.condition(DirectoryCondition(.contains, "a*"), "cn") == "(cn=*a\\2a*)")
        #expect(LDAPFilter.condition(DirectoryCondition(.startswith, "a"), "cn") == "(cn=a*)")
        #expect(LDAPFilter.condition(DirectoryCondition(.endswith, "a"), "cn") == "(cn=*a)")
        #expect(LDAPFilter.any(["(a=1)", "(b=2)"]) == "(|(a=1)(b=2))")
    }

    @Test("Active Directory's ids are 16 bytes in an order of their own")
    func guid() {
        let text = "03020100-0504-0706-0809-0a0b0c0d0e0f"
        #expect(
            LDAPValue.text((0..<16).map { UInt8($0) })
                == "\u{0}\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}\t\n\u{B}\u{C}\r\u{E}\u{F}")
        #expect(LDAPValue.text([0xFF] + (1..<16).map { UInt8($0) }) == "030201ff-0504-0706-0809-0a0b0c0d0e0f")
        #expect(LDAPValue.guid(text) == (0..<16).map { UInt8($0) })
        #expect(LDAPFilter.id(text, "objectGUID").hasPrefix("(objectGUID=\\00\\01\\02"))
        #expect(LDAPFilter.id("ann", "objectGUID") == "(objectGUID=ann)")
        #expect(LDAPFilter.id("ann", "uid") == "(uid=ann)")
    }

    @Test("Names are the same however they are written")
    func names() {
        #expect(LDAPName.normal("UID=Ann, OU=People,dc=test") == LDAPName.normal("uid=ann,ou=people,dc=test"))
        #expect(LDAPName.normal("cn=a\\,b,dc=test") == LDAPName.normal("CN=A\\2Cb,dc=test"))
        #expect(LDAPName.normal("cn=a\\,b,dc=test") != LDAPName.normal("cn=a,cn=b,dc=test"))
        #expect(LDAPName.normal("cn=a+uid=b,dc=test") == LDAPName.normal("uid=b+cn=a,dc=test"))
        #expect(LDAPName.first("cn=Doe\\, Ann,dc=test")?.value == "Doe, Ann")
    }

    @Test("Filters of an operator's have their brackets")
    func brackets() {
        #expect(LDAPFilter.isBalanced("(&(a=1)(b=2))"))
        #expect(LDAPFilter.isBalanced("(a=\\28)"))
        #expect(!LDAPFilter.isBalanced("(a=1)(b=2)"))
        #expect(!LDAPFilter.isBalanced("(a=1))"))
        #expect(!LDAPFilter.isBalanced("((a=1)"))
    }
}
