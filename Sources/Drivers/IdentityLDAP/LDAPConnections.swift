// SPDX-License-Identifier: Apache-2.0
internal import Kernel
internal import Synchronization

/// The connections to the servers of one directory: opened when they are needed, kept for a while, and opened to the
/// next server when one does not answer. Calls block; as many run at once as the pool of threads lets.
final class LDAPConnections: Sendable {
    typealias Login = (LDAPConnection) throws(LDAPFailure) -> Void

    private struct State {
        var idle: [LDAPConnection] = []
        /// The server that answered last: it is asked first.
        var first = 0
        /// When nobody answered, if it took long to find out.
        var silence: (since: Stopwatch, failure: LDAPFailure)?
    }

    private let options: LDAPOptions
    private let urls: [String]
    private let isKept: Bool
    private let lifetime: Duration
    private let log: Log
    private let state = Mutex(State())

    /// - Parameter urls: the servers in the order to ask them in.
    init(_ options: LDAPOptions, urls: [String], isKept: Bool, lifetime: Int, log: Log) {
        self.options = options
        self.urls = urls
        self.isKept = isKept
        self.lifetime = .seconds(lifetime)
        self.log = log
    }

    /// Does something on a connection. When a kept one turns out to be dead it is done once more on a new one, which is
    /// why the body must be repeatable.
    /// - Parameters:
    ///   - login: what a new connection begins with; that much must work for its server to count as there.
    ///   - body: what is done on any connection, new or kept.
    func use<T>(
        login: Login, _ body: (LDAPConnection) throws(LDAPFailure) -> T
    ) throws(LDAPFailure) -> T {
        if let kept = take() {
            do throws(LDAPFailure) { return try finish(kept, body) } catch {
                guard error.isSilence else { throw error }
                // The others lead to the same server.
                state.withLock { $0.idle.removeAll() }
                log.info("a connection to the directory was lost", ["reason": error.reason])
                if error.isTimeout { throw error }
            }
        }
        return try finish(try open(login), body)
    }

    private func finish<T>(
        _ connection: LDAPConnection, _ body: (LDAPConnection) throws(LDAPFailure) -> T
    ) throws(LDAPFailure) -> T {
        do throws(LDAPFailure) {
            let result = try body(connection)
            give(connection)
            return result
        } catch {
            if !error.isSilence { give(connection) }
            throw error
        }
    }

    private func take() -> LDAPConnection? {
        state.withLock { state in
            state.idle.removeAll { $0.age.elapsed > lifetime }
            return state.idle.popLast()
        }
    }

    private func give(_ connection: LDAPConnection) {
        guard isKept, connection.age.elapsed <= lifetime else { return }
        state.withLock { $0.idle.append(connection) }
    }

    /// A new connection to the first server that answers.
    private func open(_ login: Login) throws(LDAPFailure) -> LDAPConnection {
        // Whoever asks right after a long silence need not wait through another one.
        let recent = state.withLock { $0.silence }
        if let recent, recent.since.elapsed < .seconds(5) { throw recent.failure }
        var last = LDAPFailure(code: -1, reason: "no server is named")
        // Silence is what lasts as long as the patience with it; who is refused at once may be let in a moment later.
        var isLong = false
        let first = state.withLock { $0.first }
        for step in urls.indices {
            let (place, watch) = ((first + step) % urls.count, Stopwatch())
            do throws(LDAPFailure) {
                let connection = try LDAPConnection(urls[place], options)
                try login(connection)
                state.withLock { state in
                    state.first = place
                    state.silence = nil
                }
                return connection
            } catch {
                guard error.isSilence else { throw error }
                log.warning("a server of the directory does not answer", ["url": urls[place], "reason": error.reason])
                last = error
                if error.isTimeout || watch.elapsed >= options.patience { isLong = true }
            }
        }
        if isLong { state.withLock { [last] in $0.silence = (Stopwatch(), last) } }
        last.isWorthAnother = !isLong
        throw last
    }
}
