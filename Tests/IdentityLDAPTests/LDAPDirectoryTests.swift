// SPDX-License-Identifier: Apache-2.0
import Glibc
import Identity
import IdentityLDAP
import Kernel
import Testing

/// The driver against a real OpenLDAP server that the test starts.
@Suite(.enabled(if: PrivateSlapd.isPossible), .serialized)
struct LDAPDirectoryTests {
    @Test("Users are found, listed beyond the server's limit and a page's size, and filtered")
    func users() async throws {
        try await PrivateSlapd.with { slapd in
            let directory = try slapd.open()
            let user = try #require(try await directory.user("user-7"))
            #expect(user.place == "uid=user-7,ou=people,dc=corp,dc=test")
            #expect(user.email == "user-7@corp.test")
            #expect(user.extra == ["job": "worker"])
            #expect(user.isEnabled)
            #expect(try await directory.user(named: "USER-19")?.isEnabled == false, "by the mask")
            #expect(try await directory.user("odd")?.isEnabled == true, "by the default")
            #expect(try await directory.user("user-77777") == nil)
            #expect(try await directory.user("*") == nil)
            #expect(try await directory.user("user-7)(uid=*") == nil)
            let all = try await directory.users([])
            #expect(all.count == PrivateSlapd.userCount + 1)
            #expect(all.count { !$0.isEnabled } == PrivateSlapd.userCount / 10)
            let few = try await directory.users([
                DirectoryCondition(.startswith, "USER-99"), DirectoryCondition(.endswith, "8"),
            ])
            #expect(few.map(\.id) == ["user-998"])
            #expect(try await directory.users([DirectoryCondition(.contains, "r-50")]).count == 11)
            let whole = try slapd.open(["page_size": 0])
            await #expect(throws: Fault.self, "without pages the server gives 200") { try await whole.users([]) }
        }
    }

    @Test("Names with every sign that means something are names and nothing else")
    func signs() async throws {
        try await PrivateSlapd.with { slapd in
            let directory = try slapd.open(["user_name_attribute": "sn"])
            let odd = try #require(try await directory.user(named: Company.oddName))
            #expect(odd.id == "odd")
            #expect(odd.name == Company.oddName)
            #expect(try await directory.accepts("pw-odd", of: odd))
            #expect(try await directory.users([DirectoryCondition(.contains, "(ops*)")]).map(\.id) == ["odd"])
            #expect(try await directory.users([DirectoryCondition(.contains, "*")]).map(\.id) == ["odd"])
            let flat = try slapd.open(["query_scope": "one"])
            #expect(try await flat.user("odd") == nil, "one level deeper than asked for")
        }
    }

    @Test("Members come through groups within groups, and groups that hold themselves end the walk")
    func groups() async throws {
        try await PrivateSlapd.with { slapd in
            let directory = try slapd.open()
            let outer = try #require(try await directory.group(named: "outer"))
            #expect(outer.description == "the outer")
            #expect(try await directory.members(of: outer).map(\.id).sorted() == ["odd", "user-1", "user-2"])
            let crowd = try #require(try await directory.group("crowd"))
            #expect(try await directory.members(of: crowd).count == 300)
            let user = try #require(try await directory.user("user-1"))
            let names = try await directory.groups(of: user).map(\.name).sorted()
            #expect(names == ["crowd", "inner", "middle", "outer"])
            let plain = try slapd.open(["group_ad_nesting": false])
            #expect(try await plain.groups(of: user).map(\.name).sorted() == ["crowd", "inner"])
            #expect(try await plain.members(of: outer).map(\.id) == ["user-2"])
            #expect(
                try await directory.groups([DirectoryCondition(.contains, "er")]).map(\.name).sorted() == [
                    "inner", "outer",
                ])
            #expect(try await directory.group("nobody") == nil)
        }
    }

    @Test("A user may be enabled by a group instead of an attribute, and by a word that is turned round")
    func enabled() async throws {
        try await PrivateSlapd.with { slapd in
            let emulated = try slapd.open([
                "user_enabled_emulation": true, "user_enabled_mask": 0,
                "user_enabled_emulation_dn": .string("cn=enabled,ou=groups,\(PrivateSlapd.suffix)"),
            ])
            #expect(try await emulated.user("user-3")?.isEnabled == true)
            #expect(try await emulated.user("user-4")?.isEnabled == false)
            #expect(try await emulated.users([]).filter(\.isEnabled).map(\.id) == ["user-3"])
            let inverted = try slapd.open([
                "user_enabled_mask": 0, "user_enabled_invert": true, "user_enabled_attribute": "carLicense",
                "user_enabled_default": "False",
            ])
            #expect(try await inverted.user("user-3")?.isEnabled == true)
        }
    }

    @Test("Passwords are tried by logging in: right, wrong, empty, again and again on the same connection")
    func passwords() async throws {
        try await PrivateSlapd.with { slapd in
            for kept in [true, false] {
                let directory = try slapd.open(["use_auth_pool": .bool(kept)])
                let user = try #require(try await directory.user("user-5"))
                #expect(try await directory.accepts("pw-user-5", of: user))
                #expect(try await !directory.accepts("wrong", of: user))
                #expect(try await !directory.accepts("", of: user))
                #expect(try await directory.accepts("pw-user-5", of: user))
                let gone = DirectoryUser(id: "x", place: "uid=x,ou=people,\(PrivateSlapd.suffix)", name: "x")
                #expect(try await !directory.accepts("pw", of: gone))
            }
        }
    }

    @Test("TLS, from the beginning or after it, takes a certificate that is trusted and no other")
    func tls() async throws {
        try await PrivateSlapd.with { slapd in
            let authorities = JSON.string(slapd.authorities)
            let secure: [[String: JSON]] = [
                ["url": .string(slapd.secureURL), "tls_cacertfile": authorities],
                ["use_tls": true, "tls_cacertfile": authorities],
                ["url": .string(slapd.secureURL), "tls_req_cert": "never"],
            ]
            for changes in secure {
                let directory = try slapd.open(changes)
                let user = try #require(try await directory.user("user-5"), "\(changes)")
                #expect(try await directory.accepts("pw-user-5", of: user))
            }
            for changes in [["url": .string(slapd.secureURL)], ["use_tls": true]] as [[String: JSON]] {
                let directory = try slapd.open(changes)
                await #expect(throws: Fault.directoryIsDown, "\(changes)") { try await directory.user("user-5") }
            }
        }
    }

    @Test("A server that dies is told as such; the next one is asked; one that comes back is used again")
    func death() async throws {
        try await PrivateSlapd.with { slapd in
            let directory = try slapd.open(["pool_retry_delay": 0.01])
            let user = try #require(try await directory.user("user-5"))
            #expect(try await directory.accepts("pw-user-5", of: user))
            await slapd.kill()
            await #expect(throws: Fault.directoryIsDown) { try await directory.user("user-5") }
            await #expect(throws: Fault.directoryIsDown) { try await directory.accepts("pw-user-5", of: user) }
            try slapd.start()
            #expect(try await directory.user("user-5") == user)
            #expect(try await directory.accepts("pw-user-5", of: user))
            // The kept connections are dead and nobody has noticed.
            await slapd.kill()
            try slapd.start()
            #expect(try await directory.accepts("pw-user-5", of: user))
            #expect(try await directory.users([]).count == PrivateSlapd.userCount + 1)

            let two = try slapd.open(["url": .string("ldap://127.0.0.1:1,\(slapd.url)")])
            #expect(try await two.user("user-5") != nil)
            #expect(try await two.accepts("pw-user-5", of: user))
        }
    }

    @Test("A server that takes connections and says nothing is given up on")
    func silence() async throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length)
                getsockname(descriptor, raw, &length)
            }
            return Int(UInt16(bigEndian: pointer.pointee.sin_port))
        }
        listen(descriptor, 16)
        let configuration = DomainConfiguration([
            "ldap": ["url": .string("ldap://127.0.0.1:\(port)"), "pool_connection_timeout": 1]
        ])
        let directory = LDAPDirectory(
            try LDAPOptions(configuration, of: "corp"), chance: RandomIdentifiers(), clock: MachineClock(), log: .silent
        )
        await #expect(throws: Fault.directoryIsDown) { try await directory.user("ann") }
        await #expect(throws: Fault.directoryIsDown, "at once: it was silent just now") {
            try await directory.user("bob")
        }
    }

    @Test("An account that may not search is the operator's fault, not the user's")
    func account() async throws {
        try await PrivateSlapd.with { slapd in
            let directory = try slapd.open(["password": "wrong"])
            let fault = await #expect(throws: Fault.self) { try await directory.user("user-5") }
            #expect(fault?.status == 503)
            #expect(fault?.message.contains("refuses") == true)
        }
    }

    @Test("Many at once share the connections there may be")
    func crowd() async throws {
        try await PrivateSlapd.with { slapd in
            let directory = try slapd.open(["pool_size": 3, "auth_pool_size": 3])
            let right = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<60 {
                    group.addTask {
                        guard let user = try? await directory.user("user-\(number)") else { return false }
                        return (try? await directory.accepts("pw-user-\(number)", of: user)) ?? false
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(right == 60)
        }
    }
}
