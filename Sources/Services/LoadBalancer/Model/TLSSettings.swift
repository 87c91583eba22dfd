// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Ciphers, versions and protocols of TLS: upstream's defaults, and what may be asked for.
enum TLSSettings {
    static let allVersions = ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
    static let versions = ["TLSv1.2", "TLSv1.3"]
    static let protocols = ["h2", "http/1.1", "http/1.0"]
    /// OWASP's suite B.
    static let ciphers = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
        "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")

    static func check(ciphers: String?, _ options: LoadBalancerOptions) throws(Fault) {
        guard let ciphers, !ciphers.isEmpty else { return }
        guard ciphers.utf8.allSatisfy({ WebAddress.isAlphanumeric($0) || "-+!:@=_.".utf8.contains($0) }) else {
            throw .validation(
                "Invalid characters in cipher string. Only alphanumeric, -, +, !, :, @, =, _, and . are allowed.")
        }
        let rejected = ciphers.split(separator: ":").map(String.init).filter(options.prohibitedCiphers.contains)
        guard rejected.isEmpty else {
            throw .validation(
                "The following ciphers have been prohibited by an administrator: "
                    + rejected.joined(separator: ", "))
        }
    }

    static func check(versions: [String]?, _ options: LoadBalancerOptions) throws(Fault) {
        guard let versions else { return }
        guard !versions.isEmpty else {
            throw .validation(
                "Empty TLS version list. Either specify at least one TLS version or remove this parameter to use the "
                    + "default.")
        }
        let unknown = versions.filter { !allVersions.contains($0) }
        guard unknown.isEmpty else { throw .validation("Invalid TLS versions: " + unknown.joined(separator: ", ")) }
        guard let minimum = options.minimumTLS, let least = allVersions.firstIndex(of: minimum) else { return }
        let older = versions.filter { (allVersions.firstIndex(of: $0) ?? 0) < least }
        guard older.isEmpty else {
            throw .validation(
                "Requested TLS versions are less than the minimum: \(older.joined(separator: ", ")) < \(minimum)")
        }
    }

    static func check(protocols: [String]?) throws(Fault) {
        guard protocols?.isEmpty != true else {
            throw .validation(
                "Empty ALPN protocol list. Either specify at least one ALPN protocol or remove this parameter to use "
                    + "the default.")
        }
    }
}

/// References to certificates, each looked up before it is taken.
struct CertificateReferences: Sendable {
    var certificates: [String] = []
    var authority: String?
    var revocations: String?

    func check(_ request: Request, project: String) async throws(Fault) {
        let store = request.balancing.certificates
        var bad: [String] = []
        for reference in certificates where try await store.certificate(reference, project: project) == nil {
            bad.append(reference)
        }
        for reference in [authority, revocations].compactMap({ $0 })
        where try await store.secret(reference, project: project) == nil {
            bad.append(reference)
        }
        guard bad.isEmpty else {
            let list = bad.map { "'\($0)'" }.joined(separator: ", ")
            throw .badRequest("Could not retrieve certificate: [\(list)]")
        }
        if let authority, let pem = try await store.secret(authority, project: project),
            !pem.contains("-----BEGIN CERTIFICATE-----")
        {
            throw .validation(
                "The client authentication CA certificate is invalid. It must be a valid x509 PEM format "
                    + "certificate. Error: no certificate is in it")
        }
        if let revocations, let pem = try await store.secret(revocations, project: project),
            !pem.contains("-----BEGIN X509 CRL-----")
        {
            throw .validation(
                "The client authentication certificate revocation list is invalid. It must be a valid x509 PEM "
                    + "format certificate revocation list. Error: no list is in it")
        }
    }
}
