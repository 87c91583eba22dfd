// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer

/// One balancer as HAProxy reads it (configuration manual 2.6), and the files it refers to.
struct HAProxyConfiguration {
    private(set) var text = ""
    /// Certificates, authorities and lists of them, by path.
    private(set) var files: [String: String] = [:]
    private let spec: BalancerSpec
    private let place: BalancerFiles
    private let settings: HAProxySettings

    init(_ spec: BalancerSpec, _ settings: HAProxySettings) {
        self.spec = spec
        place = BalancerFiles(settings, spec.id)
        self.settings = settings
        writeGlobal()
        let shown = spec.enabled ? spec.listeners.filter(\.enabled) : []
        for listener in shown where listener.protocol.transport == .tcp { writeFrontend(listener) }
        for listener in shown where listener.protocol.transport == .tcp {
            for pool in pools(of: listener) { writeBackend(pool, listener) }
        }
        // Members that nothing is sent to from here are looked at all the same; so are those of datagrams.
        let streams = spec.listeners.filter { $0.protocol.transport == .tcp }
        let served = Set(streams.flatMap { pools(of: $0) }.map(\.id))
        for pool in spec.pools where !served.contains(pool.id) { writeBackend(pool, nil) }
    }

    private func pools(of listener: ListenerSpec) -> [PoolSpec] {
        let ids = [listener.defaultPoolID] + listener.policies.map(\.poolID)
        return spec.pools.filter { pool in ids.contains(pool.id) }
    }

    static func backend(_ pool: String, _ listener: String?) -> String { listener.map { "\(pool):\($0)" } ?? pool }

    private mutating func line(_ words: String) { text += "    \(words)\n" }

    private func isWeb(_ listener: ListenerSpec) -> Bool {
        [.http, .terminated, .prometheus].contains(listener.protocol)
    }

    // MARK: - Global

    private mutating func writeGlobal() {
        text += "# Written by Apus for load balancer \(spec.id): changes are lost.\n"
        text += "global\n"
        line("daemon")
        line("user nobody")
        line("group nogroup")
        line("maxconn \(spec.connectionsMax ?? settings.connectionsMax)")
        // Fewer where the machine does not give so many descriptors.
        line("no strict-limits")
        line("stats socket \(place.socket) mode 0600 level admin expose-fd listeners")
        line("pidfile \(place.pid)")
        line("localpeer balancer")
        line("ssl-default-bind-options ssl-min-ver TLSv1.2")
        line("tune.ssl.default-dh-param 2048")
        if spec.pools.contains(where: { settings.script($0.monitor) != nil }) {
            line("external-check")
            line("insecure-fork-wanted")
        }
        text += "\ndefaults\n"
        line("retries 3")
        line("option redispatch")
        line("timeout client 50s")
        line("timeout connect 5s")
        line("timeout server 50s")
        // Whoever is kept at a member stays there over a reload: the old process hands its tables to the new one.
        text += "\npeers sessions\n"
        line("peer balancer 127.0.0.1:1025")
    }

    // MARK: - Frontends

    private mutating func writeFrontend(_ listener: ListenerSpec) {
        text += "\nfrontend \(listener.id)\n"
        line("mode \(isWeb(listener) ? "http" : "tcp")")
        if listener.connectionLimit >= 0 { line("maxconn \(listener.connectionLimit)") }
        let certificates = certificates(listener)
        for address in spec.addresses {
            let host = address.address.contains(":") ? "[\(address.address)]" : address.address
            line("bind \(host):\(listener.port)\(certificates)")
        }
        line("timeout client \(listener.timeoutClient)")
        if listener.timeoutInspect > 0 { line("tcp-request inspect-delay \(listener.timeoutInspect)") }
        if !listener.allowedBlocks.isEmpty {
            line("tcp-request connection reject unless { src \(listener.allowedBlocks.joined(separator: " ")) }")
        }
        line("tcp-request connection set-var(sess.port) src_port")
        if listener.protocol == .prometheus { return line("http-request use-service prometheus-exporter") }
        if isWeb(listener) { writeHeaders(listener) }
        for policy in listener.policies { writePolicy(policy, listener) }
        if let pool = listener.defaultPoolID.flatMap({ spec.pool($0) }), pool.enabled {
            line("default_backend \(Self.backend(pool.id, listener.id))")
        }
    }

    private mutating func writeHeaders(_ listener: ListenerSpec) {
        let scheme = listener.protocol == .terminated ? "https" : "http"
        let variables = [
            "X-Forwarded-Port": "%[dst_port]", "X-Forwarded-Proto": scheme, "X-SSL-Client-Verify": "%[ssl_c_verify]",
            "X-SSL-Client-Has-Cert": "%[ssl_c_used]", "X-SSL-Client-DN": "%{+Q}[ssl_c_s_dn]",
            "X-SSL-Client-CN": "%{+Q}[ssl_c_s_dn(cn)]", "X-SSL-Issuer": "%{+Q}[ssl_c_i_dn]",
            "X-SSL-Client-SHA1": "%{+Q}[ssl_c_sha1,hex]", "X-SSL-Client-Not-Before": "%{+Q}[ssl_c_notbefore]",
            "X-SSL-Client-Not-After": "%{+Q}[ssl_c_notafter]",
        ]
        for (name, value) in listener.insertHeaders.sorted(by: <) where value.lowercased() == "true" {
            if name == "X-Forwarded-For" {
                line("option forwardfor")
            } else if let source = variables[name] {
                line("http-request set-header \(name) \(source)")
            }
        }
        if let header = listener.transportSecurity {
            line("http-response set-header Strict-Transport-Security \(HAProxyText.quote(header))")
        }
    }

    private mutating func writePolicy(_ policy: PolicySpec, _ listener: ListenerSpec) {
        guard !policy.rules.isEmpty, isWeb(listener) else { return }
        for (at, rule) in policy.rules.enumerated() { line("acl \(name(policy, at)) \(HAProxyText.condition(rule))") }
        let all = policy.rules.enumerated().map { at, rule in (rule.isInverted ? "!" : "") + name(policy, at) }
        let condition = all.joined(separator: " ")
        switch policy.action {
        case .reject: line("http-request deny if \(condition)")
        case .redirectToURL:
            guard let url = policy.url else { return }
            line("http-request redirect code \(policy.code ?? 302) location \(HAProxyText.quote(url)) if \(condition)")
        case .redirectPrefix:
            guard let prefix = policy.prefix else { return }
            line("http-request redirect code \(policy.code ?? 302) prefix \(HAProxyText.quote(prefix)) if \(condition)")
        case .redirectToPool:
            guard let pool = policy.poolID.flatMap({ spec.pool($0) }), pool.enabled else { return }
            line("use_backend \(Self.backend(pool.id, listener.id)) if \(condition)")
        }
    }

    private func name(_ policy: PolicySpec, _ rule: Int) -> String { "\(policy.id)-\(rule)" }

    // MARK: - TLS

    private mutating func certificates(_ listener: ListenerSpec) -> String {
        guard !listener.certificates.isEmpty else { return "" }
        var list = ""
        for (at, bundle) in listener.certificates.enumerated() {
            let path = "\(place.certificates)/\(listener.id)-\(at).pem"
            files[path] = bundle.text
            list += path + "\n"
        }
        let path = "\(place.certificates)/\(listener.id).list"
        files[path] = list
        var words = " ssl crt-list \(path)"
        if let authority = listener.clientAuthority {
            files["\(place.certificates)/\(listener.id)-ca.pem"] = authority
            let verify = listener.clientAuthentication == .mandatory ? "required" : "optional"
            words += " ca-file \(place.certificates)/\(listener.id)-ca.pem verify \(verify)"
        }
        if let revocations = listener.clientRevocations {
            files["\(place.certificates)/\(listener.id)-crl.pem"] = revocations
            words += " crl-file \(place.certificates)/\(listener.id)-crl.pem"
        }
        return words + HAProxyText.tls(listener.tls)
    }

    private mutating func encryption(_ pool: PoolSpec) -> String {
        guard pool.isEncrypted else { return "" }
        var words = " ssl"
        if let bundle = pool.certificate {
            files["\(place.certificates)/\(pool.id).pem"] = bundle.text
            words += " crt \(place.certificates)/\(pool.id).pem"
        }
        if let authority = pool.authority {
            files["\(place.certificates)/\(pool.id)-ca.pem"] = authority
            words += " ca-file \(place.certificates)/\(pool.id)-ca.pem verify required"
        } else {
            words += " verify none"
        }
        if let revocations = pool.revocations {
            files["\(place.certificates)/\(pool.id)-crl.pem"] = revocations
            words += " crl-file \(place.certificates)/\(pool.id)-crl.pem"
        }
        return words + HAProxyText.tls(pool.tls)
    }

    // MARK: - Backends

    private mutating func writeBackend(_ pool: PoolSpec, _ listener: ListenerSpec?) {
        text += "\nbackend \(Self.backend(pool.id, listener?.id))\n"
        let isWeb = listener.map { self.isWeb($0) } ?? (pool.protocol == .http)
        line("mode \(isWeb ? "http" : "tcp")")
        line("balance \(HAProxyText.algorithm(pool.algorithm))")
        if let kept = pool.persistence { for words in HAProxyText.persistence(kept) { line(words) } }
        if let monitor = pool.monitor {
            for words in HAProxyText.monitor(monitor) { line(words) }
            if let script = settings.script(monitor) { line("external-check command \(script)") }
        }
        if let listener {
            line("timeout connect \(listener.timeoutConnect)")
            line("timeout server \(listener.timeoutServer)")
        }
        let encryption = encryption(pool)
        for member in pool.members { line(server(member, pool) + encryption) }
    }

    private func server(_ member: MemberSpec, _ pool: PoolSpec) -> String {
        // Scripts are told the server's own port, and datagrams do not come through here: it is the one to look at.
        let isWatchedOnly = pool.protocol.isDatagram
        let address = isWatchedOnly ? member.monitorAddress ?? member.address : member.address
        let port = isWatchedOnly ? member.monitorPort ?? member.port : member.port
        var words = "server \(member.id) \(address.contains(":") ? "[\(address)]" : address):\(port)"
        words += " weight \(member.weight)"
        if let monitor = pool.monitor {
            words += " check inter \(monitor.delay)s fall \(monitor.fall) rise \(monitor.rise)"
            if monitor.kind == .https { words += " check-ssl verify none" }
            if let address = member.monitorAddress, !isWatchedOnly { words += " addr \(address)" }
            if let port = member.monitorPort, !isWatchedOnly { words += " port \(port)" }
        }
        if pool.persistence?.type == .httpCookie { words += " cookie \(member.id)" }
        if member.isBackup { words += " backup" }
        if !member.enabled { words += " disabled" }
        if pool.protocol == .proxy { words += " send-proxy" }
        if pool.protocol == .proxy2 { words += " send-proxy-v2" }
        return words
    }
}
