// SPDX-License-Identifier: Apache-2.0
package import Base
internal import COpenSSL

/// Whether a certificate is one of those that are trusted, or was issued by one of them, at first or second hand.
package enum CertificateTrust {
    /// Throws with OpenSSL's reason when it is not, or not now, or not for signing.
    /// - Parameters:
    ///   - certificate: PEM or DER, as the trusted ones.
    ///   - trusted: roots, or what stands between them and the certificate: nothing above these is asked for.
    package static func require(_ certificate: [UInt8], by trusted: [[UInt8]]) throws(Fault) {
        defer { ERR_clear_error() }
        guard let subject = X509.read(certificate) else { throw .badRequest("the certificate cannot be read") }
        defer { X509_free(subject) }
        guard let store = X509_STORE_new(), let context = X509_STORE_CTX_new() else {
            throw .internalError("OpenSSL has no memory.")
        }
        defer {
            X509_STORE_CTX_free(context)
            X509_STORE_free(store)
        }
        for bytes in trusted {
            guard let issuer = X509.read(bytes) else { throw .badRequest("a trusted certificate cannot be read") }
            X509_STORE_add_cert(store, issuer)
            X509_free(issuer)
        }
        X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
        guard X509_STORE_CTX_init(context, store, subject, nil) == 1 else {
            throw .internalError("OpenSSL does not begin to verify a certificate.")
        }
        guard X509_verify_cert(context) == 1 else {
            let reason = X509_verify_cert_error_string(Int(X509_STORE_CTX_get_error(context)))
            throw .badRequest(reason.map { String(cString: $0) } ?? "the certificate is not trusted")
        }
    }
}

/// Certificates as OpenSSL has them.
enum X509 {
    /// From PEM or DER; the caller's to free.
    static func read(_ bytes: [UInt8]) -> OpaquePointer? {
        if let read = over(bytes, { PEM_read_bio_X509($0, nil, nil, nil) }) { return read }
        return bytes.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            return d2i_X509(nil, &start, buffer.count)
        }
    }

    /// What is read of bytes through OpenSSL's own reader, which holds their address: they stay until it is gone.
    static func over(_ bytes: [UInt8], _ read: (OpaquePointer) -> OpaquePointer?) -> OpaquePointer? {
        bytes.withUnsafeBytes { bytes in
            guard let input = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else { return nil }
            defer { BIO_free(input) }
            return read(input)
        }
    }
}
