// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// A directory in memory, which can be told to be down. Groups nest.
package final class FakeDirectory: Directory {
    private struct State {
        var users: [String: (user: DirectoryUser, password: String)] = [:]
        var groups: [String: (group: DirectoryGroup, members: Set<String>)] = [:]
        var isDown = false
        var questions = 0
    }

    private let state = Mutex(State())

    package init() {}

    package func add(_ user: DirectoryUser, password: String) {
        state.withLock { $0.users[user.id] = (user, password) }
    }

    package func removeUser(_ id: String) { state.withLock { _ = $0.users.removeValue(forKey: id) } }

    /// - Parameter members: ids of users and of groups.
    package func add(_ group: DirectoryGroup, members: Set<String>) {
        state.withLock { $0.groups[group.id] = (group, members) }
    }

    /// Whether nothing answers any more.
    package var isDown: Bool {
        get { state.withLock { $0.isDown } }
        set { state.withLock { $0.isDown = newValue } }
    }

    /// How much it was asked so far.
    package var questions: Int { state.withLock { $0.questions } }

    package func user(_ id: String) async throws(Fault) -> DirectoryUser? { try read { $0.users[id]?.user } }

    package func user(named name: String) async throws(Fault) -> DirectoryUser? {
        try await users([DirectoryCondition(.equals, name)]).first
    }

    package func users(_ conditions: [DirectoryCondition]) async throws(Fault) -> [DirectoryUser] {
        try read { state in
            state.users.values.map(\.user).filter { user in conditions.allSatisfy { $0.holds(for: user.name) } }
        }
    }

    package func group(_ id: String) async throws(Fault) -> DirectoryGroup? { try read { $0.groups[id]?.group } }

    package func group(named name: String) async throws(Fault) -> DirectoryGroup? {
        try await groups([DirectoryCondition(.equals, name)]).first
    }

    package func groups(_ conditions: [DirectoryCondition]) async throws(Fault) -> [DirectoryGroup] {
        try read { state in
            state.groups.values.map(\.group).filter { group in conditions.allSatisfy { $0.holds(for: group.name) } }
        }
    }

    package func groups(of user: DirectoryUser) async throws(Fault) -> [DirectoryGroup] {
        try read { state in
            var found: Set<String> = []
            var open = [user.id]
            while let member = open.popLast() {
                for (id, entry) in state.groups where entry.members.contains(member) && found.insert(id).inserted {
                    open.append(id)
                }
            }
            return found.compactMap { state.groups[$0]?.group }
        }
    }

    package func members(of group: DirectoryGroup) async throws(Fault) -> [DirectoryUser] {
        try read { state in
            var seen: Set<String> = [group.id]
            var open = [group.id]
            while let id = open.popLast() {
                for member in state.groups[id]?.members ?? [] where seen.insert(member).inserted { open.append(member) }
            }
            return seen.compactMap { state.users[$0]?.user }
        }
    }

    package func accepts(_ password: String, of user: DirectoryUser) async throws(Fault) -> Bool {
        try read { state in !password.isEmpty && state.users[user.id]?.password == password }
    }

    private func read<T>(_ look: (State) -> T) throws(Fault) -> T {
        let answer: T? = state.withLock { state in
            state.questions += 1
            return state.isDown ? nil : look(state)
        }
        guard let answer else { throw .directoryIsDown }
        return answer
    }
}

/// Opens the same directory whatever the configuration says.
package struct FakeDirectoryOpener: DirectoryOpener {
    private let directories: [String: FakeDirectory]

    /// - Parameter directories: by the domain they are for.
    package init(_ directories: [String: FakeDirectory]) { self.directories = directories }

    package func open(_ configuration: DomainConfiguration?, of domainID: String) throws(Fault) -> any Directory {
        guard let directory = directories[domainID] else { throw .directoryIsDown }
        return directory
    }
}

extension Fault {
    /// No server of a directory answers.
    package static var directoryIsDown: Fault {
        .unavailable(
            "The directory that keeps the users of this domain does not answer. Try again later; the log of the "
                + "identity service says what it tried.", retryAfter: 5)
    }
}
