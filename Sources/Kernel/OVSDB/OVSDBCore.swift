// SPDX-License-Identifier: Apache-2.0
import Base
import CLinux
import Glibc
import JSON
import Observability
import Synchronization

/// What the client's callers and its thread share. All input and output is the thread's; callers queue and are woken.
final class OVSDBCore: Sendable {
    enum Phase: Sendable { case idle, connecting, live, stopped }

    struct Waiter: Sendable {
        let deadline: Deadline
        let what: String
        let condition: @Sendable (OVSDBReplica) -> Bool
        let continuation: CheckedContinuation<Result<OVSDBReplica, Fault>, Never>

        init(
            deadline: Deadline, what: String, condition: @escaping @Sendable (OVSDBReplica) -> Bool,
            _ continuation: CheckedContinuation<Result<OVSDBReplica, Fault>, Never>
        ) {
            self.deadline = deadline
            self.what = what
            self.condition = condition
            self.continuation = continuation
        }
    }

    struct Request: Sendable {
        let message: [UInt8]
        let deadline: Deadline
        /// Set once any byte of it may have reached the server.
        var isSent = false
        let continuation: CheckedContinuation<Result<[OVSDBResult], Fault>, Never>
    }

    struct State {
        var phase = Phase.idle
        var replica = OVSDBReplica()
        var requests: [Int: Request] = [:]
        var lastID = 0
        var waiters: [Waiter] = []
        var listeners: [Int: AsyncStream<[OVSDBChange]>.Continuation] = [:]
        /// Why there is no connection.
        var trouble = "it has not been started"
    }

    let endpoints: [OVSDBEndpoint]
    let database: String
    let monitors: [OVSDBMonitor]
    let log: Log
    let state = Mutex(State())
    /// Written to wake the thread.
    let wake: Int32

    init(
        _ endpoints: [OVSDBEndpoint], _ database: String, _ monitors: [OVSDBMonitor],
        _ log: Log
    ) {
        self.endpoints = endpoints
        self.database = database
        self.monitors = monitors
        self.log = log
        wake = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        precondition(wake >= 0, "eventfd(2) failed")
    }

    deinit { close(wake) }

    func start() {
        let isFirst = state.withLock { state in
            guard state.phase == .idle else { return false }
            state.phase = .connecting
            return true
        }
        guard isFirst else { return }
        do throws(Fault) {
            // The thread holds the core, never the client, so that dropping the client ends the thread.
            try DedicatedThread.start {
                var session = OVSDBSession(self)
                session.serve()
            }
        } catch { fail(error) }
    }

    func stop() {
        fail(.unavailable("The OVSDB client has been stopped."))
        rouse()
    }

    func rouse() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    /// The end: whoever waits, and whoever comes later, gets the fault.
    private func fail(_ fault: Fault) {
        let (requests, waiters, listeners) = state.withLock { state in
            state.phase = .stopped
            state.trouble = fault.message
            defer { (state.requests, state.waiters, state.listeners) = ([:], [], [:]) }
            return (state.requests.values, state.waiters, state.listeners.values)
        }
        for request in requests { request.continuation.resume(returning: .failure(fault)) }
        for waiter in waiters { waiter.continuation.resume(returning: .failure(fault)) }
        for listener in listeners { listener.finish() }
    }
}

// MARK: - Called by anybody

extension OVSDBCore {
    func add(_ waiter: Waiter) {
        let answer: Result<OVSDBReplica, Fault>? = state.withLock { state in
            guard state.phase != .stopped else { return .failure(.unavailable(state.trouble)) }
            // The thread judges, so that conditions never run under the lock.
            state.waiters.append(waiter)
            return nil
        }
        if let answer { waiter.continuation.resume(returning: answer) } else { rouse() }
    }

    func submit(
        _ operations: [OVSDBOperation], deadline: Deadline,
        _ continuation: CheckedContinuation<Result<[OVSDBResult], Fault>, Never>
    ) {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        var writer = JSONWriter(capacity: 1024)
        writer.beginObject()
        writer.key("method")
        writer.string("transact")
        writer.key("id")
        writer.integer(id)
        writer.key("params")
        writer.beginArray()
        writer.string(database)
        for operation in operations { operation.write(to: &writer) }
        writer.endArray()
        writer.endObject()
        let request = Request(message: writer.finish(), deadline: deadline, continuation: continuation)
        let trouble: String? = state.withLock { state in
            guard state.phase != .stopped else { return state.trouble }
            state.requests[id] = request
            return nil
        }
        if let trouble { continuation.resume(returning: .failure(.unavailable(trouble))) } else { rouse() }
    }

    func listen() -> AsyncStream<[OVSDBChange]> {
        let (stream, listener) = AsyncStream<[OVSDBChange]>.makeStream(bufferingPolicy: .bufferingNewest(100_000))
        let id: Int? = state.withLock { state in
            guard state.phase != .stopped else { return nil }
            state.lastID += 1
            state.listeners[state.lastID] = listener
            return state.lastID
        }
        guard let id else {
            listener.finish()
            return stream
        }
        listener.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.listeners.removeValue(forKey: id) }
        }
        return stream
    }
}

// MARK: - Called by the thread

extension OVSDBCore {
    /// Tells the listeners what changed in the replica.
    func announce(_ changes: [OVSDBChange]) {
        guard !changes.isEmpty else { return }
        for listener in state.withLock({ $0.listeners.values }) { listener.yield(changes) }
    }

    /// Answers waiters whose condition holds (while live) and those whose time is over.
    func judgeWaiters() {
        let (waiters, replica, isLive, trouble) = state.withLock { state in
            defer { state.waiters = [] }
            return (state.waiters, state.replica, state.phase == .live, state.trouble)
        }
        guard !waiters.isEmpty else { return }
        var rest: [Waiter] = []
        for waiter in waiters {
            if isLive, waiter.condition(replica) {
                waiter.continuation.resume(returning: .success(replica))
            } else if waiter.deadline.isPast {
                let reason = isLive ? "" : ": there is no connection (\(trouble))"
                waiter.continuation.resume(returning: .failure(.timeout("Waited in vain for \(waiter.what)\(reason).")))
            } else {
                rest.append(waiter)
            }
        }
        let isStopped = state.withLock { state in
            if state.phase != .stopped { state.waiters += rest }
            return state.phase == .stopped
        }
        guard isStopped else { return }
        for waiter in rest {
            waiter.continuation.resume(returning: .failure(.unavailable("The client has been stopped.")))
        }
    }

    func expireRequests() {
        let (expired, trouble) = state.withLock { state in
            let expired = state.requests.filter { $0.value.deadline.isPast }
            for id in expired.keys { state.requests[id] = nil }
            return (expired.values, state.trouble)
        }
        for request in expired {
            let fault =
                request.isSent
                ? Fault.timeout("The OVSDB server did not answer a transaction in time.")
                : Fault.unavailable("The OVSDB server cannot be reached: \(trouble)")
            request.continuation.resume(returning: .failure(fault))
        }
    }

    /// The soonest moment at which somebody's patience ends.
    var nextDeadline: Deadline? {
        state.withLock { state in
            (state.requests.values.map(\.deadline) + state.waiters.map(\.deadline)).min()
        }
    }
}
