// SPDX-License-Identifier: Apache-2.0
internal import CLDAP
internal import Kernel

/// What libldap said instead of doing what it was asked.
struct LDAPFailure: Error, Sendable, CustomStringConvertible {
    let code: Int32
    let reason: String
    /// Whether no server was reached, and that was known at once: soon another try costs little.
    var isWorthAnother = false

    var description: String { reason }

    /// Whether the server is not there, as opposed to there and unwilling.
    var isSilence: Bool {
        [
            LDAP_SERVER_DOWN, LDAP_CONNECT_ERROR, LDAP_TIMEOUT, LDAP_UNAVAILABLE, Int32(LDAP_BUSY), LDAP_LOCAL_ERROR,
            LDAP_DECODING_ERROR,
        ].contains(code)
    }
    var isTimeout: Bool { code == LDAP_TIMEOUT }
}

/// An entry that a search found.
struct LDAPEntry: Sendable {
    let name: String
    /// By the attribute's name in small letters.
    let values: [String: [[UInt8]]]

    func texts(_ attribute: String) -> [String] {
        let values = values[attribute.lowercased()] ?? []
        // Sixteen bytes of chance may happen to be a text too.
        if attribute.lowercased() == "objectguid" { return values.compactMap(LDAPValue.guidText) }
        return values.compactMap(LDAPValue.text)
    }

    /// The first value that is not blank.
    func text(_ attribute: String) -> String? {
        texts(attribute).first.flatMap { $0.trimmedOfSpace.isEmpty ? nil : $0 }
    }
}

/// One connection to one server. Every call blocks, for `patience` at the longest.
/// Held by one thread at a time: whoever borrows it from `LDAPConnections` alone uses it.
final class LDAPConnection: @unchecked Sendable {
    private let handle: OpaquePointer
    let url: String
    let age = Stopwatch()
    private let patience: Int

    init(_ url: String, _ options: LDAPOptions) throws(LDAPFailure) {
        var handle: OpaquePointer?
        let code = ldap_initialize(&handle, url)
        guard code == LDAP_SUCCESS, let handle else { throw LDAPConnection.failure(code, nil) }
        self.handle = handle
        self.url = url
        patience = Int(options.patience.components.seconds) * 1000
        var version = LDAP_VERSION3
        ldap_set_option(handle, LDAP_OPT_PROTOCOL_VERSION, &version)
        cldap_set_timeout(handle, LDAP_OPT_NETWORK_TIMEOUT, patience)
        cldap_set_timeout(handle, LDAP_OPT_TIMEOUT, patience)
        cldap_set_flag(handle, LDAP_OPT_REFERRALS, options.chasesReferrals ? 1 : 0)
        // A search that a signal interrupts goes on.
        cldap_set_flag(handle, LDAP_OPT_RESTART, 1)
        if options.debugLevel != 0 { cldap_set_number(handle, LDAP_OPT_DEBUG_LEVEL, Int32(options.debugLevel)) }
        switch options.dereferencing {
        case .standard: break
        case .never: cldap_set_number(handle, LDAP_OPT_DEREF, LDAP_DEREF_NEVER)
        case .searching: cldap_set_number(handle, LDAP_OPT_DEREF, LDAP_DEREF_SEARCHING)
        case .finding: cldap_set_number(handle, LDAP_OPT_DEREF, LDAP_DEREF_FINDING)
        case .always: cldap_set_number(handle, LDAP_OPT_DEREF, LDAP_DEREF_ALWAYS)
        }
        if options.usesTLS || url.hasPrefix("ldaps://") { try secure(options) }
    }

    deinit { ldap_unbind_ext_s(handle, nil, nil) }

    private func secure(_ options: LDAPOptions) throws(LDAPFailure) {
        let mode =
            switch options.certificate {
            case .demand: LDAP_OPT_X_TLS_DEMAND
            case .allow: LDAP_OPT_X_TLS_ALLOW
            case .never: LDAP_OPT_X_TLS_NEVER
            }
        cldap_set_number(handle, LDAP_OPT_X_TLS_REQUIRE_CERT, mode)
        if let file = options.authoritiesFile {
            cldap_set_text(handle, LDAP_OPT_X_TLS_CACERTFILE, file)
        } else if let directory = options.authoritiesDirectory {
            cldap_set_text(handle, LDAP_OPT_X_TLS_CACERTDIR, directory)
        }
        // What was set counts from the next context on.
        let code = cldap_set_number(handle, LDAP_OPT_X_TLS_NEWCTX, 0)
        guard code == LDAP_OPT_SUCCESS else {
            throw LDAPFailure(code: LDAP_CONNECT_ERROR, reason: "\(url): the TLS settings cannot be used")
        }
        if options.usesTLS { try check(ldap_start_tls_s(handle, nil, nil)) }
    }

    /// Logs in; without a name, as nobody, which tells at least whether the server is there.
    func bind(_ name: String, _ password: String) throws(LDAPFailure) {
        let bytes = Array(password.utf8CString)
        try check(bytes.withUnsafeBufferPointer { cldap_bind(handle, name, $0.baseAddress, $0.count - 1) })
    }

    /// All entries that a search finds, page by page. One that finds no place to begin at finds nothing.
    /// - Parameter waits: how long for each page, in seconds.
    func search(
        _ base: String, subtree: Bool?, _ filter: String, _ attributes: [String], pageSize: Int, waits: Int
    ) throws(LDAPFailure) -> [LDAPEntry] {
        let scope =
            switch subtree {
            case nil: LDAP_SCOPE_BASE
            case true?: LDAP_SCOPE_SUBTREE
            case false?: LDAP_SCOPE_ONELEVEL
            }
        var names: [UnsafeMutablePointer<CChar>?] = attributes.map { strdup($0) } + [nil]
        defer { for name in names { free(name) } }
        var cookie = berval()
        defer { free(cookie.bv_val) }
        var entries: [LDAPEntry] = []
        repeat {
            var result: OpaquePointer?
            defer { ldap_msgfree(result) }
            let code = cldap_search(
                handle, base, Int32(bitPattern: UInt32(scope)), filter, &names, Int32(pageSize), &cookie,
                max(waits * 1000, patience), &result)
            if code == LDAP_NO_SUCH_OBJECT { return [] }
            if code != LDAP_PARTIAL_RESULTS { try check(code) }
            collect(result, &entries)
        } while cookie.bv_len > 0
        return entries
    }

    /// The entries of an answer; what refers to other servers is left out.
    private func collect(_ result: OpaquePointer?, _ entries: inout [LDAPEntry]) {
        var next = ldap_first_entry(handle, result)
        while let entry = next {
            next = ldap_next_entry(handle, entry)
            guard let name = ldap_get_dn(handle, entry) else { continue }
            defer { ldap_memfree(name) }
            var values: [String: [[UInt8]]] = [:]
            var cursor: OpaquePointer?
            var attribute = ldap_first_attribute(handle, entry, &cursor)
            while let text = attribute {
                values[String(cString: text).lowercased()] = read(text, of: entry)
                ldap_memfree(text)
                attribute = ldap_next_attribute(handle, entry, cursor)
            }
            if let cursor { ber_free(cursor, 0) }
            entries.append(LDAPEntry(name: String(cString: name), values: values))
        }
    }

    private func read(_ attribute: UnsafePointer<CChar>, of entry: OpaquePointer) -> [[UInt8]] {
        guard let list = ldap_get_values_len(handle, entry, attribute) else { return [] }
        defer { ldap_value_free_len(list) }
        var values: [[UInt8]] = []
        var at = 0
        while let value = list[at] {
            values.append(Array(UnsafeRawBufferPointer(start: value.pointee.bv_val, count: Int(value.pointee.bv_len))))
            at += 1
        }
        return values
    }

    private func check(_ code: Int32) throws(LDAPFailure) {
        guard code != LDAP_SUCCESS else { return }
        var failure = LDAPConnection.failure(code, handle)
        failure = LDAPFailure(code: code, reason: "\(url): \(failure.reason)")
        throw failure
    }

    private static func failure(_ code: Int32, _ handle: OpaquePointer?) -> LDAPFailure {
        var reason = ldap_err2string(code).map { String(cString: $0) } ?? "error \(code)"
        if let handle, let more = cldap_diagnostic(handle) {
            let text = String(cString: more)
            ldap_memfree(more)
            if !text.isEmpty { reason += " (\(text))" }
        }
        return LDAPFailure(code: code, reason: reason)
    }
}
