// SPDX-License-Identifier: Apache-2.0
package import Base
internal import COpenSSL

/// A certificate that Windows guests let their user in with, by WinRM: one that a user brought, or one made here.
package struct X509Pair: Sendable {
    /// PEM.
    package let certificate: String
    /// PKCS #12 with an empty password, in base64; only of a pair made here: it is handed out once and kept nowhere.
    package let privateKey: String?
    /// The SHA-1 digest of the certificate: `aa:bb:...`.
    package let fingerprint: String

    /// A certificate as a user pasted it; nil when it is none.
    package init?(importing text: String) {
        guard let found = ClientCertificate(header: text) else { return nil }
        certificate = text
        privateKey = nil
        fingerprint = X509Pair.fingerprint(found)
    }

    private init?(_ certificate: String, privateKey: String) {
        guard let found = ClientCertificate(header: certificate) else { return nil }
        self.certificate = certificate
        self.privateKey = privateKey
        fingerprint = X509Pair.fingerprint(found)
    }

    private static func fingerprint(_ certificate: ClientCertificate) -> String {
        Digest.bytes(.sha1, certificate.der).map { Hex.encode([$0]) }.joined(separator: ":")
    }
}

// MARK: - Making one

extension X509Pair {
    private static var failure: Fault { .internalError("OpenSSL could not make a certificate.") }

    /// A self-signed certificate over a new RSA key of 2048 bits, for ten years, with the user's name where WinRM looks
    /// for it. It takes a tenth of a second of computing: call it on a blocking pool.
    package static func generate(user: String) throws(Fault) -> X509Pair {
        guard let key = newKey(2048), let certificate = X509_new() else { throw failure }
        defer {
            EVP_PKEY_free(key)
            X509_free(certificate)
        }
        try fill(certificate, user: user, key)
        guard X509_sign(certificate, key, EVP_sha256()) > 0 else { throw failure }
        guard let pack = PKCS12_create("", nil, key, certificate, nil, 0, 0, 0, 0, 0) else { throw failure }
        defer { PKCS12_free(pack) }
        let pem = try text { PEM_write_bio_X509($0, certificate) }
        let secret = Base64.encode(try bytes { i2d_PKCS12_bio($0, pack) })
        guard let pair = X509Pair(pem, privateKey: secret) else { throw failure }
        return pair
    }

    private static func fill(_ certificate: OpaquePointer, user: String, _ key: OpaquePointer) throws(Fault) {
        var serial = [UInt8](repeating: 0, count: 16)
        guard RAND_bytes(&serial, 16) == 1 else { throw failure }
        serial[0] &= 0x7f
        guard let number = BN_bin2bn(serial, 16, nil) else { throw failure }
        defer { BN_free(number) }
        let name = X509_get_subject_name(certificate)
        let common = Array(user.utf8.prefix(64))
        guard X509_set_version(certificate, 2) == 1,
            BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil,
            X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != nil,
            X509_gmtime_adj(X509_getm_notAfter(certificate), 3650 * 86_400) != nil,
            X509_set_pubkey(certificate, key) == 1,
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, common, Int32(common.count), -1, 0) == 1,
            X509_set_issuer_name(certificate, name) == 1
        else { throw failure }
        let isPlain = user.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0 | 32) || $0 == 45 }
        guard isPlain else { throw .badRequest("The user '\(user)' cannot be named in a certificate.") }
        try extend(certificate, NID_ext_key_usage, "clientAuth")
        try extend(certificate, NID_subject_alt_name, "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:\(user)@localhost")
    }

    private static func extend(_ certificate: OpaquePointer, _ kind: Int32, _ value: String) throws(Fault) {
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, certificate, certificate, nil, nil, 0)
        guard let made = X509V3_EXT_conf_nid(nil, &context, kind, value) else { throw failure }
        defer { X509_EXTENSION_free(made) }
        guard X509_add_ext(certificate, made, -1) == 1 else { throw failure }
    }

    private static func text(_ write: (OpaquePointer) -> Int32) throws(Fault) -> String {
        String(decoding: try bytes(write), as: UTF8.self)
    }

    private static func bytes(_ write: (OpaquePointer) -> Int32) throws(Fault) -> [UInt8] {
        guard let sink = BIO_new(BIO_s_mem()) else { throw failure }
        defer { BIO_free(sink) }
        guard write(sink) == 1 else { throw failure }
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = BIO_read(sink, &chunk, Int32(chunk.count))
            guard count > 0 else { return result }
            result += chunk.prefix(Int(count))
        }
    }

    private static func newKey(_ bits: Int32) -> OpaquePointer? {
        guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nil) else { return nil }
        defer { EVP_PKEY_CTX_free(context) }
        var made: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) == 1,
            EVP_PKEY_keygen(context, &made) == 1
        else { return nil }
        return made
    }
}
