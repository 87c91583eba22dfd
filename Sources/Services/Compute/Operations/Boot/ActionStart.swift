// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What an action changes of its server when it begins, and the work it leaves behind.
struct ActionStart<Work: Operation>: Sendable {
    /// The columns to be set beside `updated_at` and `generation`, as SQL.
    let changes: SQL
    let work: Work
    /// What it is about beside the server, for those who are told: `["volume": id]`.
    var subject: [String: String]?

    /// - Parameter also: further columns: `progress = 0`.
    init(_ task: TaskState, also: SQL? = nil, work: Work, about subject: [String: String]? = nil) {
        self.subject = subject
        changes = "task_state = \(task)" + (also.map { ", " + $0 } ?? "")
        self.work = work
    }

    /// An action that clients see no task of.
    init(
        changing changes: SQL = "task_state = task_state", work: Work, about subject: [String: String]? = nil
    ) {
        self.subject = subject
        self.changes = changes
        self.work = work
    }
}

extension Server {
    /// Begins an action: refuses a locked server, then in one transaction looks at the server again, has it judged, and
    /// writes its new row, the line in the actions log and the work.
    ///
    ///     try await server.begin("shelve", request) { server, _ throws(Fault) in
    ///         try server.require([.active], "shelve")
    ///         return ActionStart(.shelving, work: ShelveServer(server: server.id))
    ///     }
    ///
    /// - Parameters:
    ///   - action: the name in the actions log, as upstream has it.
    ///   - judge: refuses the action or tells what it changes; it may write rows of its own.
    func begin<Work: Operation>(
        _ action: String, _ request: Request, evenIfLocked: Bool = false,
        _ judge: @escaping @Sendable (Server, Transaction) throws(Fault) -> ActionStart<Work>
    ) async throws(Fault) {
        if !evenIfLocked { try refuseIfLocked(request) }
        let (queue, requestID, now, userID) = (request.compute.queue, request.id, request.now, request.caller.userID)
        try await request.database.transaction { transaction throws(Fault) in
            let server = try transaction.one(
                Server.self, "id = \(self.id) AND deleted_at IS NULL", or: .serverNotFound(self.id))
            try server.begin(
                action, try judge(server, transaction), by: userID, requestID: requestID, at: now, queue, transaction)
        }
    }

    /// The same within a transaction, for what no request asks for.
    func begin<Work: Operation>(
        _ action: String, _ start: ActionStart<Work>, by user: String, requestID: String, at now: Timestamp,
        _ queue: OperationQueue, _ transaction: Transaction
    ) throws(Fault) {
        _ = try transaction.update(
            Server.self, set: start.changes + ", updated_at = \(now), generation = generation + 1",
            where: "id = \(id)")
        try transaction.insert(
            InstanceAction(action, on: self, by: user, requestID: requestID, at: now, about: start.subject),
            or: .conflict("The request \(requestID) was used before."))
        try queue.enqueue(start.work, requestID: requestID, in: transaction)
    }
}
