// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer

/// Single phrases of HAProxy's language.
enum HAProxyText {
    /// Text as one word, whatever is in it: in double quotes, where backslash, quote and dollar are special.
    static func quote(_ text: String) -> String {
        var quoted = "\""
        for character in text.unicodeScalars where character.value >= 32 {
            if "\\\"$".unicodeScalars.contains(character) { quoted += "\\" }
            quoted.unicodeScalars.append(character)
        }
        return quoted + "\""
    }

    static func algorithm(_ algorithm: BalancingAlgorithm) -> String {
        switch algorithm {
        case .roundRobin: "roundrobin"
        case .leastConnections: "leastconn"
        case .sourceIP: "source"
        case .sourceIPPort: "hash src,concat(-,sess.port)"
        }
    }

    static func persistence(_ kept: SessionPersistence) -> [String] {
        switch kept.type {
        case .sourceIP: return ["stick-table type ipv6 size 10k peers sessions", "stick on src"]
        case .httpCookie: return ["cookie SRV insert indirect nocache"]
        case .appCookie:
            let name = kept.cookieName ?? "SESSION"
            return [
                "stick-table type string len 64 size 10k peers sessions", "stick store-response res.cook(\(name))",
                "stick match req.cook(\(name))",
            ]
        }
    }

    static func monitor(_ monitor: MonitorSpec) -> [String] {
        var words = ["timeout check \(monitor.timeout)s"]
        switch monitor.kind {
        case .http, .https:
            let version = monitor.version == 1.1 || monitor.domain != nil ? "HTTP/1.1" : "HTTP/1.0"
            words.append("option httpchk")
            var send =
                "http-check send meth \(monitor.method ?? "GET") uri \(quote(monitor.path ?? "/")) ver \(version)"
            if let domain = monitor.domain { send += " hdr Host \(domain)" }
            words.append(send)
            words.append("http-check expect rstatus ^(\(codes(monitor.codes ?? "200")))$")
        case .ping, .udpConnect: words += ["option external-check", "external-check path /usr/local/bin:/usr/bin:/bin"]
        case .tlsHello: words.append("option ssl-hello-chk")
        default: break
        }
        return words
    }

    /// `200-202` and `200,202` as alternatives.
    static func codes(_ text: String) -> String {
        let ends = text.split(separator: "-").compactMap { Int($0) }
        if ends.count == 2, ends[0] <= ends[1] { return (ends[0]...ends[1]).map(String.init).joined(separator: "|") }
        return text.split(separator: ",").map { $0.filter(\.isNumber) }.joined(separator: "|")
    }

    static func tls(_ tls: TLSSpec) -> String {
        var words = ""
        if let ciphers = tls.ciphers {
            let suites = ciphers.split(separator: ":")
            let modern = suites.filter { $0.hasPrefix("TLS_") }.joined(separator: ":")
            let older = suites.filter { !$0.hasPrefix("TLS_") }.joined(separator: ":")
            if !older.isEmpty { words += " ciphers \(older)" }
            if !modern.isEmpty { words += " ciphersuites \(modern)" }
        }
        let known = ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
        let names = ["sslv3", "tlsv10", "tlsv11", "tlsv12", "tlsv13"]
        let asked = known.indices.filter { tls.versions.contains(known[$0]) }
        if let first = asked.first, let last = asked.last {
            let versions = ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
            words += " ssl-min-ver \(versions[first]) ssl-max-ver \(versions[last])"
            for gap in first...last where !asked.contains(gap) { words += " no-\(names[gap])" }
        }
        if !tls.protocols.isEmpty { words += " alpn \(tls.protocols.joined(separator: ","))" }
        return words
    }

    // MARK: - Rules

    static func condition(_ rule: RuleSpec) -> String {
        let how =
            switch rule.comparison {
            case .regex: "-m reg"
            case .startsWith: "-m beg"
            case .endsWith: "-m end"
            case .contains: "-m sub"
            case .equalTo: "-m str"
            }
        let value = quote(rule.value)
        let key = rule.key ?? ""
        switch rule.kind {
        case .hostName: return "req.hdr(host) -i \(how) \(value)"
        case .path: return "path \(how) \(value)"
        case .fileType:
            return rule.comparison == .regex
                ? "path -m reg \(quote("\\.\(rule.value)$"))" : "path -m end \(quote(".\(rule.value)"))"
        case .header: return "req.hdr(\(key)) \(how) \(value)"
        case .cookie: return "req.cook(\(key)) \(how) \(value)"
        case .hasCertificate: return "ssl_c_used"
        case .verifyResult: return "ssl_c_verify eq \(rule.value)"
        case .nameField: return "ssl_c_s_dn(\(key)) \(how) \(value)"
        }
    }
}
