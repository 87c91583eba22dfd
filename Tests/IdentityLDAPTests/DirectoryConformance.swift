// SPDX-License-Identifier: Apache-2.0
import Identity
import IdentityLDAP
import Kernel
import Testing

/// What Identity expects of each directory, made-up or real: one with two users, of whom one is disabled, a group with
/// the other in it, and a group around that.
enum DirectoryConformance {
    static func run(_ directory: any Directory, ann: String, eve: String, password: String) async throws {
        let user = try #require(try await directory.user(ann))
        #expect(user.id == ann)
        #expect(user.isEnabled)
        #expect(try await directory.user(eve)?.isEnabled == false)
        #expect(try await directory.user("nobody there") == nil)
        #expect(try await directory.user("") == nil)
        #expect(try await directory.user(named: user.name.uppercased()) == user)
        #expect(try await directory.users([DirectoryCondition(.equals, user.name)]) == [user])
        #expect(try await directory.accepts(password, of: user))
        #expect(try await !directory.accepts(password + "x", of: user))
        #expect(try await !directory.accepts("", of: user))
        let inner = try #require(try await directory.group(named: "inner"))
        let outer = try #require(try await directory.group(named: "outer"))
        #expect(try await directory.group(inner.id) == inner)
        #expect(Set(try await directory.groups(of: user)).isSuperset(of: [inner, outer]))
        #expect(try await directory.members(of: inner).contains(user))
        #expect(try await directory.members(of: outer).contains(user))
        #expect(try await directory.groups([DirectoryCondition(.startswith, "inn")]) == [inner])
    }
}

struct DirectoryConformanceTests {
    @Test("The directory in memory is a directory")
    func fake() async throws {
        let directory = FakeDirectory()
        directory.add(DirectoryUser(id: "ann", place: "ann", name: "Ann"), password: "pw")
        directory.add(DirectoryUser(id: "eve", place: "eve", name: "Eve", isEnabled: false), password: "pw")
        directory.add(DirectoryGroup(id: "inner", place: "inner", name: "inner"), members: ["ann"])
        directory.add(DirectoryGroup(id: "outer", place: "outer", name: "outer"), members: ["inner"])
        try await DirectoryConformance.run(directory, ann: "ann", eve: "eve", password: "pw")
    }

    @Test("An LDAP server is a directory", .enabled(if: PrivateSlapd.isPossible))
    func ldap() async throws {
        try await PrivateSlapd.with { slapd in
            try await DirectoryConformance.run(
                try slapd.open(), ann: "user-1", eve: "user-9", password: "pw-user-1")
        }
    }
}
