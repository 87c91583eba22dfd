// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Whether guests boot from signed images only, and whose signatures count, under nova.conf's `[glance]`.
package struct SignatureOptions: Sendable {
    /// Every image that is booted from must be signed, whoever asks.
    package var verifies = false
    /// The certificate that signed must lead to one that is trusted.
    package var validatesCertificates = false
    /// What is trusted where a user names none.
    package var trusted: [String] = []

    package init() {}

    init(_ read: inout OptionReader) {
        self.init()
        read.section("glance")
        verifies = read.bool(
            "verify_glance_signatures", default: false,
            help: "Whether servers boot from images only whose signature is verified while they are fetched.")
        validatesCertificates = read.bool(
            "enable_certificate_validation", default: false,
            help: "Whether the certificate that signed an image must lead to a trusted one; with "
                + "verify_glance_signatures.")
        trusted = read.list(
            "default_trusted_certificate_ids",
            help: "The certificates, by id, that are trusted where a server names none; with "
                + "enable_certificate_validation.")
    }

    /// What a server trusts that names these, or none.
    func trusted(_ named: [String]?) -> [String]? {
        if let named, !named.isEmpty { return named }
        return verifies && validatesCertificates && !trusted.isEmpty ? trusted : nil
    }
}
