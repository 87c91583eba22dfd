// SPDX-License-Identifier: Apache-2.0
import Kernel

extension Server {
    /// Begins an action that its rule admits.
    func begin<Work: Operation>(
        _ rule: ActionRule, _ request: Request,
        _ start: @escaping @Sendable (Server, Transaction) throws(Fault) -> ActionStart<Work>
    ) async throws(Fault) {
        try await begin(rule.name, request, evenIfLocked: rule.ignoresLock) { server, transaction throws(Fault) in
            try server.admit(rule)
            return try start(server, transaction)
        }
    }
}

// How an action goes on and ends. A deletion that was asked for meanwhile is never forgotten.

extension ComputeSite {
    /// What a server's task becomes when its work ends: nothing, unless it is being deleted by now.
    static var taskDone: SQL {
        "task_state = CASE WHEN task_state IN ('deleting', 'soft-deleting') THEN task_state ELSE NULL END"
    }

    /// Moves a server from one stage of its work to the next. One that is being deleted stays marked so.
    func mark(_ id: String, _ task: TaskState) async throws(Fault) {
        _ = try await database.update(
            Server.self,
            set: "task_state = \(task), updated_at = \(clock.now()), generation = generation + 1",
            where: """
                id = \(id) AND deleted_at IS NULL AND task_state IS NOT NULL
                AND task_state NOT IN ('deleting', 'soft-deleting')
                """)
    }

    /// Ends a server's work: what it is now, and how the action went.
    /// - Parameters:
    ///   - changes: columns to write; nil leaves the server what it was.
    ///   - message: why it failed.
    func settle(
        _ id: String, set changes: SQL? = nil, message: String? = nil,
        also: @escaping @Sendable (Transaction) throws(Fault) -> Void = { _ in }
    ) async throws(Fault) {
        let (now, request) = (clock.now(), requestID)
        var set: SQL = "updated_at = \(now), generation = generation + 1, " + Self.taskDone
        if let changes { set += ", " + changes }
        let columns = set
        try await database.transaction { transaction throws(Fault) in
            _ = try transaction.update(Server.self, set: columns, where: "id = \(id) AND deleted_at IS NULL")
            try also(transaction)
            try InstanceAction.finish(id, request, message, now, transaction)
        }
    }
}

extension ComputeSite {
    /// What only some hypervisors can do, of the one that has the server.
    func ability<Ability>(_ type: Ability.Type, of server: Server, to verb: String) throws(Fault) -> Ability {
        guard let able = try hypervisor(of: server) as? Ability else {
            throw Fault(501, "The hypervisor of instance \(server.id) cannot \(verb) it.")
        }
        return able
    }
}
