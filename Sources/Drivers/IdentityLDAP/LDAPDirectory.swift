// SPDX-License-Identifier: Apache-2.0
internal import CLDAP
package import Identity
package import Kernel

/// An LDAP server, or Active Directory, as Identity's directory. libldap blocks, so that each directory has threads of
/// its own, as many as it may have connections; a dead server holds up nobody else.
package final class LDAPDirectory: Directory {
    private let options: LDAPOptions
    private let reader: LDAPReader
    private let logins: LDAPConnections
    private let pool: BlockingPool
    private let loginPool: BlockingPool
    private let clock: any WallClock
    private let log: Log

    /// - Parameter chance: what shuffles the servers where the options ask for that.
    package init(_ options: LDAPOptions, chance: any Identifiers, clock: any WallClock, log: Log) {
        self.options = options
        self.clock = clock
        self.log = log
        var urls = options.urls
        if options.randomizesURLs {
            for place in urls.indices.dropLast() {
                urls.swapAt(place, place + chance.number(below: urls.count - place))
            }
        }
        reader = LDAPReader(
            options,
            LDAPConnections(
                options, urls: urls, isKept: options.usesPool, lifetime: options.poolConnectionLifetime, log: log),
            log: log)
        logins = LDAPConnections(
            options, urls: urls, isKept: options.usesPool && options.usesAuthPool,
            lifetime: options.authPoolConnectionLifetime, log: log)
        // A login is one question and one answer; a few threads serve many of them.
        pool = BlockingPool(name: "ldap", threads: min(options.poolSize, 32), queue: 512)
        loginPool = BlockingPool(name: "ldap login", threads: min(options.authPoolSize, 16), queue: 512)
    }

    package func user(_ id: String) async throws(Fault) -> DirectoryUser? {
        try await read { reader throws(LDAPFailure) in
            let kind = reader.options.users
            return try reader.users(
                Array(try reader.find(kind, [LDAPFilter.id(id, kind.idAttribute)]).prefix(1))
            ).first
        }
    }

    package func user(named name: String) async throws(Fault) -> DirectoryUser? {
        try await read { reader throws(LDAPFailure) in
            let kind = reader.options.users
            return try reader.users(
                Array(try reader.find(kind, [LDAPFilter.equal(kind.nameAttribute, name)]).prefix(1))
            ).first
        }
    }

    package func users(_ conditions: [DirectoryCondition]) async throws(Fault) -> [DirectoryUser] {
        try await read { reader throws(LDAPFailure) in
            let kind = reader.options.users
            let filters = conditions.map { LDAPFilter.condition($0, kind.nameAttribute) }
            return try reader.users(try reader.find(kind, filters, isList: true))
        }
    }

    package func group(_ id: String) async throws(Fault) -> DirectoryGroup? {
        try await read { reader throws(LDAPFailure) in
            let kind = reader.options.groups
            return reader.groups(try reader.find(kind, [LDAPFilter.id(id, kind.idAttribute)])).first
        }
    }

    package func group(named name: String) async throws(Fault) -> DirectoryGroup? {
        try await read { reader throws(LDAPFailure) in
            let kind = reader.options.groups
            return reader.groups(try reader.find(kind, [LDAPFilter.equal(kind.nameAttribute, name)])).first
        }
    }

    package func groups(_ conditions: [DirectoryCondition]) async throws(Fault) -> [DirectoryGroup] {
        try await read { reader throws(LDAPFailure) in
            let kind = reader.options.groups
            let filters = conditions.map { LDAPFilter.condition($0, kind.nameAttribute) }
            return reader.groups(try reader.find(kind, filters, isList: true))
        }
    }

    package func groups(of user: DirectoryUser) async throws(Fault) -> [DirectoryGroup] {
        try await read { reader throws(LDAPFailure) in try reader.groups(of: user) }
    }

    package func members(of group: DirectoryGroup) async throws(Fault) -> [DirectoryUser] {
        try await read { reader throws(LDAPFailure) in try reader.members(of: group) }
    }

    /// By logging in with it. An empty password is no login at all to LDAP, and would always be taken.
    package func accepts(_ password: String, of user: DirectoryUser) async throws(Fault) -> Bool {
        guard !password.isEmpty, !password.utf8.contains(0), !user.place.isEmpty else { return false }
        let logins = logins
        let outcome = try await ask(loginPool) { () throws(LDAPFailure) in
            // A new connection has logged in by being opened; doing it twice would count a wrong password twice.
            var isDone = false
            try logins.use(login: { connection throws(LDAPFailure) in
                try connection.bind(user.place, password)
                isDone = true
            }) { connection throws(LDAPFailure) in
                if !isDone { try connection.bind(user.place, password) }
            }
        }
        guard case .failure(let failure) = outcome else { return true }
        if failure.isSilence { throw LDAPDirectory.fault(failure, log) }
        if failure.code != LDAP_INVALID_CREDENTIALS {
            log.warning("the directory refuses a login", ["user": user.place, "reason": failure.reason])
        }
        return false
    }

    private func read<T: Sendable>(
        _ body: @Sendable @escaping (LDAPReader) throws(LDAPFailure) -> T
    ) async throws(Fault) -> T {
        let reader = reader
        switch try await ask(pool, { () throws(LDAPFailure) in try body(reader) }) {
        case .success(let value): return value
        case .failure(let failure): throw LDAPDirectory.fault(failure, log)
        }
    }

    /// Does something on a thread of the pool; when no server is reached again after a while, as often as the options
    /// say. The threads serve others meanwhile.
    private func ask<T: Sendable>(
        _ pool: BlockingPool, _ deed: @Sendable @escaping () throws(LDAPFailure) -> T
    ) async throws(Fault) -> Result<T, LDAPFailure> {
        var tries = options.poolRetryMax
        while true {
            let outcome = try await pool.run { () throws(Fault) in
                do throws(LDAPFailure) { return Result<T, LDAPFailure>.success(try deed()) } catch {
                    return .failure(error)
                }
            }
            tries -= 1
            guard case .failure(let failure) = outcome, failure.isWorthAnother, tries > 0,
                (try? await clock.sleep(.seconds(min(60, options.poolRetryDelay)))) != nil
            else { return outcome }
        }
    }

    /// What a failure amounts to for clients; what an operator can do about it goes to the log.
    private static func fault(_ failure: LDAPFailure, _ log: Log) -> Fault {
        let advice: String
        switch failure.code {
        case LDAP_INVALID_CREDENTIALS: advice = "set [ldap] user and password to an account that may search"
        case LDAP_INSUFFICIENT_ACCESS: advice = "let the account of [ldap] user search the trees of users and groups"
        case LDAP_SIZELIMIT_EXCEEDED: advice = "set [ldap] page_size below the server's limit, or raise that limit"
        case LDAP_CONFIDENTIALITY_REQUIRED, LDAP_STRONG_AUTH_REQUIRED:
            advice = "the server wants TLS: set [ldap] use_tls, or an ldaps:// url"
        case LDAP_FILTER_ERROR: advice = "look at [ldap] user_filter, group_filter and the names of attributes"
        default:
            advice = "look at [ldap] url, at the server, and at its certificate if it has one"
        }
        log.error("the directory did not answer as it should", ["reason": failure.reason, "advice": advice])
        if failure.isSilence { return .directoryIsDown }
        return .unavailable(
            "The directory that keeps the users of this domain refuses to be asked; the log of the identity service "
                + "says why.", retryAfter: 30)
    }
}

/// Opens LDAP directories: a domain's own by its configuration, the cloud's by `[ldap]`.
package struct LDAPOpener: DirectoryOpener {
    private let standard: LDAPOptions
    private let chance: any Identifiers
    private let clock: any WallClock
    private let log: Log

    package init(_ standard: LDAPOptions, chance: any Identifiers, clock: any WallClock, log: Log) {
        self.standard = standard
        self.chance = chance
        self.clock = clock
        self.log = log
    }

    package func open(_ configuration: DomainConfiguration?, of domainID: String) throws(Fault) -> any Directory {
        let options = try configuration.map { own throws(Fault) in try LDAPOptions(own, of: domainID) } ?? standard
        return LDAPDirectory(options, chance: chance, clock: clock, log: log.with(["domain_id": domainID]))
    }
}
