// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Certificates by the id that `img_signature_certificate_uuid` names: in OpenStack a key manager's secrets.
package protocol Certificates: Sendable {
    /// PEM or DER; 404 when there is none.
    func certificate(_ id: String) async throws(Fault) -> [UInt8]
}

/// Certificates in memory; none at all is a cloud without a key manager.
package struct FakeCertificates: Certificates {
    private let all: [String: [UInt8]]

    package init(_ all: [String: [UInt8]] = [:]) { self.all = all }

    package func certificate(_ id: String) async throws(Fault) -> [UInt8] {
        guard let bytes = all[id] else { throw .noCertificate(id) }
        return bytes
    }
}

extension Fault {
    package static func noCertificate(_ id: String) -> Fault {
        .notFound("Unable to retrieve certificate with ID: \(id)")
    }
}
