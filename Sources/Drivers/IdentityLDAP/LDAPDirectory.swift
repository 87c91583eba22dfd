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
    private let log: Log

    /// - Parameter chance: what shuffles the servers where the options ask for that.
    package init(_ options: LDAPOptions, chance: any Identifiers, log: Log) {
        self.options = options
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
        let (logins, log) = (logins, log)
        return try await loginPool.run { () throws(Fault) in
            do throws(LDAPFailure) {
                // A new connection has logged in by being opened; doing it twice would count a wrong password twice.
                var isDone = false
                try logins.use(login: { connection throws(LDAPFailure) in
                    try connection.bind(user.place, password)
                    isDone = true
                }) { connection throws(LDAPFailure) in
                    if !isDone { try connection.bind(user.place, password) }
                }
                return true
            } catch {
                if error.isSilence { throw LDAPDirectory.fault(error, log) }
                if error.code != LDAP_INVALID_CREDENTIALS {
                    log.warning("the directory refuses a login", ["user": user.place, "reason": error.reason])
                }
                return false
            }
        }
    }

    private func read<T: Sendable>(
        _ body: @Sendable @escaping (LDAPReader) throws(LDAPFailure) -> T
    ) async throws(Fault) -> T {
        let (reader, log) = (reader, log)
        return try await pool.run { () throws(Fault) in
            do throws(LDAPFailure) { return try body(reader) } catch { throw LDAPDirectory.fault(error, log) }
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
    private let log: Log

    package init(_ standard: LDAPOptions, chance: any Identifiers, log: Log) {
        self.standard = standard
        self.chance = chance
        self.log = log
    }

    package func open(_ configuration: DomainConfiguration?, of domainID: String) throws(Fault) -> any Directory {
        let options = try configuration.map { own throws(Fault) in try LDAPOptions(own, of: domainID) } ?? standard
        return LDAPDirectory(options, chance: chance, log: log.with(["domain_id": domainID]))
    }
}
