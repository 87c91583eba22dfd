// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// Where certificates lie that listeners and pools refer to. References are a key manager's; what they mean is the
/// store's business.
package protocol CertificateStore: Sendable {
    /// A certificate with its key and what leads to its authority; nil when there is none under the reference.
    func certificate(_ reference: String, project: String) async throws(Fault) -> CertificateBundle?
    /// Any other text: an authority, a list of revocations.
    func secret(_ reference: String, project: String) async throws(Fault) -> String?
}

/// A certificate, its chain and its key, in PEM.
package struct CertificateBundle: Sendable, Hashable {
    package var certificate: String
    package var chain: String
    package var key: String

    package init(certificate: String, chain: String = "", key: String) {
        self.certificate = certificate
        self.chain = chain
        self.key = key
    }

    /// One text, in the order that servers read it in.
    package var text: String { [certificate, chain, key].filter { !$0.isEmpty }.joined(separator: "\n") + "\n" }
}

/// Certificates in memory.
package final class FakeCertificateStore: CertificateStore {
    private let bundles = Mutex<[String: CertificateBundle]>([:])
    private let secrets = Mutex<[String: String]>([:])

    package init() {}

    package func put(_ bundle: CertificateBundle, _ reference: String) { bundles.withLock { $0[reference] = bundle } }
    package func put(_ secret: String, _ reference: String) { secrets.withLock { $0[reference] = secret } }

    package func certificate(_ reference: String, project: String) async throws(Fault) -> CertificateBundle? {
        bundles.withLock { $0[reference] }
    }

    package func secret(_ reference: String, project: String) async throws(Fault) -> String? {
        secrets.withLock { $0[reference] }
    }
}
