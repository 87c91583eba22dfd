// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import COpenSSL

/// The certificate that somebody proved to own, as a TLS server or a proxy in front of one hands it over. Nothing here
/// judges who signed it: whoever terminated TLS has.
package struct ClientCertificate: Sendable, Equatable {
    /// The names in it, in their order: `CN`, `O`, `emailAddress`; others by their number.
    package let subject: [Name]
    package let issuer: [Name]
    /// As every tool writes it, whatever the form it came in.
    package let pem: String
    let der: [UInt8]

    package struct Name: Sendable, Equatable {
        package let type: String
        package let value: String
    }

    /// Upstream's `x5t#S256`: of the PEM text, as its middleware computes it too.
    package var thumbprint: String {
        Base64URL.encode(Digest.bytes(.sha256, Array(pem.utf8)), padded: true)
    }

    /// Reads PEM as it stands in a header: percent-encoded, or with its lines joined by blanks. Nil when it is none.
    package init?(header: String) {
        guard let begin = header.firstRange(of: ClientCertificate.begin),
            let end = header[begin.upperBound...].firstRange(of: ClientCertificate.end)
        else { return nil }
        let inner = header[begin.upperBound..<end.lowerBound].utf8.filter { byte in
            byte > 32
        }
        guard let der = Base64.decode(String(decoding: inner, as: UTF8.self)) else { return nil }
        self.init(der: der)
    }

    private static let begin = "-----BEGIN CERTIFICATE-----"
    private static let end = "-----END CERTIFICATE-----"

    package init?(der: [UInt8]) {
        var start: UnsafePointer<UInt8>?
        let read = der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
            start = buffer.baseAddress
            return d2i_X509(nil, &start, buffer.count)
        }
        guard let certificate = read else { return nil }
        defer { X509_free(certificate) }
        subject = ClientCertificate.names(X509_get_subject_name(certificate))
        issuer = ClientCertificate.names(X509_get_issuer_name(certificate))
        self.der = der
        let text = Base64.encode(der)
        var lines = [ClientCertificate.begin]
        var rest = text[...]
        while !rest.isEmpty {
            lines.append(String(rest.prefix(64)))
            rest = rest.dropFirst(64)
        }
        pem = (lines + [ClientCertificate.end]).joined(separator: "\n") + "\n"
    }

    /// Short names as RFC 4514 has them.
    private static let types: [Int32: String] = [
        NID_commonName: "CN", NID_localityName: "L", NID_stateOrProvinceName: "ST", NID_organizationName: "O",
        NID_organizationalUnitName: "OU", NID_countryName: "C", NID_streetAddress: "STREET",
        NID_domainComponent: "DC", NID_userId: "UID", NID_pkcs9_emailAddress: "emailAddress",
    ]

    private static func names(_ name: OpaquePointer?) -> [Name] {
        (0..<max(0, X509_NAME_entry_count(name))).compactMap { at in
            let entry = X509_NAME_get_entry(name, at)
            guard let object = X509_NAME_ENTRY_get_object(entry) else { return nil }
            var text: UnsafeMutablePointer<UInt8>?
            let length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry))
            guard length >= 0, let text else { return nil }
            defer { CRYPTO_free(text, nil, 0) }
            let value = String(decoding: UnsafeBufferPointer(start: text, count: Int(length)), as: UTF8.self)
            return Name(type: types[OBJ_obj2nid(object)] ?? number(object), value: value)
        }
    }

    private static func number(_ object: OpaquePointer) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        let length = OBJ_obj2txt(&buffer, Int32(buffer.count), object, 1)
        return String(
            decoding: buffer.prefix(max(0, min(Int(length), 127))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
