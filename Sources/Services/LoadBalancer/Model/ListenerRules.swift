// SPDX-License-Identifier: Apache-2.0
import Kernel

extension Fault {
    static var noChildren: Fault { .badRequest("Protocol PROMETHEUS listeners cannot have child objects.") }
}

/// What must fit together about a listener, in the order and the words of upstream.
struct ListenerRules {
    private let row: Listener
    private let balancer: LoadBalancer
    private let options: LoadBalancerOptions

    private static let plainHeaders = ["X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"]
    private static let tlsHeaders = [
        "X-SSL-Client-Verify", "X-SSL-Client-Has-Cert", "X-SSL-Client-DN", "X-SSL-Client-CN", "X-SSL-Issuer",
        "X-SSL-Client-SHA1", "X-SSL-Client-Not-Before", "X-SSL-Client-Not-After",
    ]

    init(_ row: Listener, _ balancer: LoadBalancer, _ request: Request) {
        self.row = row
        self.balancer = balancer
        options = request.balancing.options
    }

    private var name: String { row.protocol.rawValue }
    private var hasCertificate: Bool { row.defaultTLSContainerRef != nil || !row.sniContainerRefs.isEmpty }
    private var namesTLS: Bool { hasCertificate || row.clientCATLSContainerRef != nil }
    private var terminates: Bool { row.protocol == .terminated || (row.protocol == .prometheus && namesTLS) }
    private var isDatagram: Bool { row.protocol == .udp || row.protocol == .sctp }

    func checkCreation() throws(Fault) {
        if !row.insertHeaders.isEmpty { try checkHeaders() }
        if isDatagram, namesTLS || !row.insertHeaders.isEmpty {
            throw .validation("\(name) protocol listener does not support TLS.")
        }
        try checkAllowed()
        try checkCertificates()
        let client = row.clientAuthentication.rawValue
        if row.clientAuthentication != .none, row.clientCATLSContainerRef == nil {
            throw .validation("Client authentication setting \(client) requires a client CA container reference.")
        }
        try checkRest()
        if (row.hstsIncludeSubdomains || row.hstsPreload) && row.hstsMaxAge == nil {
            throw .validation(
                "HSTS configuration options hsts_include_subdomains and hsts_preload only make sense if hsts_max_age "
                    + "is set as well.")
        }
        try checkHSTS()
    }

    func checkChange(_ change: ListenerChange) throws(Fault) {
        if isDatagram, namesTLS || !row.insertHeaders.isEmpty {
            throw .validation("\(name) protocol listener does not support TLS or header insertion.")
        }
        if !terminates, namesTLS {
            throw .validation("Certificate container references are not allowed on \(name) protocol listeners.")
        }
        if row.clientAuthentication != .none, row.clientCATLSContainerRef == nil {
            throw .validation(
                "Client authentication setting \(row.clientAuthentication.rawValue) requires a client CA container "
                    + "reference.")
        }
        if change.namesHeaders, !row.insertHeaders.isEmpty { try checkHeaders() }
        if row.protocol == .terminated, !hasCertificate {
            throw .validation(
                "An SNI or default certificate container reference must be provided for \(name) protocol listeners.")
        }
        try checkRest()
        if (row.hstsIncludeSubdomains || row.hstsPreload) && row.hstsMaxAge == nil {
            throw .validation(
                "Cannot enable hsts_include_subdomains or hsts_preload if hsts_max_age was not set as well.")
        }
        try checkHSTS()
    }

    private func checkAllowed() throws(Fault) {
        let words = row.protocol == .prometheus ? "PROMETHEUS with TLS" : name
        if terminates, !options.allowsTermination {
            throw .badRequest("The selected protocol is not allowed in this deployment: \(words)")
        }
        if row.protocol == .prometheus, !options.allowsPrometheus {
            throw .badRequest("The selected protocol is not allowed in this deployment: PROMETHEUS")
        }
    }

    private func checkCertificates() throws(Fault) {
        if !terminates, namesTLS {
            throw .validation("Certificate container references are not allowed on \(name) protocol listeners.")
        }
        if row.clientCATLSContainerRef != nil, !hasCertificate {
            throw .validation(
                "An SNI or default certificate container reference must be provided with a client CA container "
                    + "reference.")
        }
        if terminates, !hasCertificate {
            let words = row.protocol == .prometheus ? "PROMETHEUS with TLS" : name
            throw .validation(
                "An SNI or default certificate container reference must be provided for \(words) protocol listeners.")
        }
    }

    private func checkRest() throws(Fault) {
        if row.clientCRLContainerRef != nil, row.clientCATLSContainerRef == nil {
            throw .validation(
                "A client authentication CA reference is required to specify a client authentication revocation list."
            )
        }
        try TLSSettings.check(ciphers: row.tlsCiphers, options)
        try TLSSettings.check(versions: row.tlsVersions, options)
        try TLSSettings.check(protocols: row.alpnProtocols)
        try checkBlocks()
    }

    private func checkBlocks() throws(Fault) {
        guard !row.allowedCIDRs.isEmpty else { return }
        guard balancer.vipSGIDs.isEmpty else {
            throw .validation("Allowed CIDRs are not allowed when using custom VIP Security Groups.")
        }
        let addresses = [balancer.vipAddress].compactMap { $0 } + balancer.additionalVIPs.compactMap(\.address)
        for block in row.allowedCIDRs
        where !addresses.isEmpty && !addresses.contains(where: { $0.contains(":") == AddressBlock.isSix(block) }) {
            let list = addresses.map { "'\($0)'" }.joined(separator: ", ")
            throw .validation("CIDR \(block) IP version incompatible with all VIPs [\(list)] IP version.")
        }
    }

    private func checkHSTS() throws(Fault) {
        guard row.hstsMaxAge == nil || row.protocol == .terminated else {
            throw .validation(
                "The HSTS feature can only be used for listeners using the TERMINATED_HTTPS protocol.")
        }
    }

    private func checkHeaders() throws(Fault) {
        guard row.protocol == .http || row.protocol == .terminated else {
            throw .invalidOption("insert-headers", "a \(name) protocol listener.")
        }
        let names = row.insertHeaders.keys.sorted()
        func list(_ names: [String]) -> String { "[" + names.map { "'\($0)'" }.joined(separator: ", ") + "]" }
        guard names.allSatisfy({ Self.plainHeaders.contains($0) || Self.tlsHeaders.contains($0) }) else {
            throw .invalidOption(list(names), "insert_headers")
        }
        let secure = names.filter(Self.tlsHeaders.contains)
        guard secure.isEmpty || row.protocol == .terminated else {
            throw .invalidOption(list(secure), "\(name) protocol listener.")
        }
    }
}

/// What is to change about a listener: read once to see that it is well-formed, and again onto the row of the moment.
struct ListenerChange: Sendable {
    private let body: Body
    let namesPool: Bool, namesHeaders: Bool

    init(_ request: Request) throws(Fault) {
        body = try request.body("listener")
        namesPool = body.has("default_pool_id")
        namesHeaders = body.has("insert_headers")
    }

    func apply(_ row: inout Listener) throws(Fault) {
        var body = body
        try ListenerMembers.read(&body, &row)
        try body.set("default_pool_id", .id, &row.defaultPoolID)
        try body.finish("listener_.listener")
        guard row.protocol == .terminated else { return }
        row.tlsCiphers = row.tlsCiphers ?? TLSSettings.ciphers
        row.tlsVersions = row.tlsVersions ?? TLSSettings.versions
        row.alpnProtocols = row.alpnProtocols ?? TLSSettings.protocols
    }
}
