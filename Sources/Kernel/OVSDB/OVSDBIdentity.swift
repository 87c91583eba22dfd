// SPDX-License-Identifier: Apache-2.0

/// Who we are to a server that speaks TLS, and whom we believe: three files in PEM.
package struct OVSDBIdentity: Sendable, Hashable {
    package var privateKey: String
    package var certificate: String
    /// The authority whose servers are trusted. As between OVS's own programs, names in certificates are not looked at.
    package var authority: String

    package init(privateKey: String, certificate: String, authority: String) {
        self.privateKey = privateKey
        self.certificate = certificate
        self.authority = authority
    }
}
