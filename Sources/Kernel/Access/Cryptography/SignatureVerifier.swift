// SPDX-License-Identifier: Apache-2.0
package import Base
internal import COpenSSL

/// Verifies a signature over bytes that arrive in pieces, against the key of an X.509 certificate. One owner at a time.
package final class SignatureVerifier {
    /// What signs, by the names that OpenStack's image properties have for it.
    package enum KeyType: String, Sendable, CaseIterable {
        case rsaPSS = "RSA-PSS"
        case dsa = "DSA"
        case sect571k1 = "ECC_SECT571K1"
        case sect409k1 = "ECC_SECT409K1"
        case sect571r1 = "ECC_SECT571R1"
        case sect409r1 = "ECC_SECT409R1"
        case secp521r1 = "ECC_SECP521R1"
        case secp384r1 = "ECC_SECP384R1"

        /// OpenSSL's name of the curve; nil for what is none.
        fileprivate var curve: String? {
            rawValue.hasPrefix("ECC_") ? String(rawValue.dropFirst(4)).lowercased() : nil
        }
    }

    package enum Hash: String, Sendable, CaseIterable {
        case sha224 = "SHA-224"
        case sha256 = "SHA-256"
        case sha384 = "SHA-384"
        case sha512 = "SHA-512"

        fileprivate var name: String { rawValue.replacing("-", with: "") }
        fileprivate var length: Int32 {
            switch self {
            case .sha224: 28
            case .sha256: 32
            case .sha384: 48
            case .sha512: 64
            }
        }
    }

    private let context: OpaquePointer
    private let key: OpaquePointer

    /// - Parameter certificate: PEM or DER.
    package init(certificate: [UInt8], key type: KeyType, hash: Hash) throws(Fault) {
        guard let key = SignatureVerifier.key(of: certificate) else {
            throw .badRequest("The certificate of the signature cannot be read.")
        }
        self.key = key
        guard SignatureVerifier.fits(key, type) else {
            EVP_PKEY_free(key)
            throw .badRequest("Invalid public key type for signature key type: \(type.rawValue)")
        }
        guard let context = EVP_MD_CTX_new() else {
            EVP_PKEY_free(key)
            throw .internalError("OpenSSL has no memory.")
        }
        self.context = context
        var parameters: OpaquePointer?
        var isReady = EVP_DigestVerifyInit(context, &parameters, EVP_get_digestbyname(hash.name), nil, key) == 1
        if isReady, type == .rsaPSS {
            // As they are made: a salt as long as the key lets it be.
            let salt = EVP_PKEY_get_size(key) - hash.length - 2
            isReady =
                EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1
                && EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt) == 1
        }
        guard isReady else { throw .badRequest("The key of the signature's certificate cannot be used.") }
    }

    deinit {
        EVP_MD_CTX_free(context)
        EVP_PKEY_free(key)
    }

    package func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { _ = EVP_DigestVerifyUpdate(context, $0.baseAddress, $0.count) }
    }

    /// Whether the signature is that of all bytes so far; ends it.
    package func verifies(_ signature: [UInt8]) -> Bool {
        let isRight = EVP_DigestVerifyFinal(context, signature, signature.count) == 1
        ERR_clear_error()
        return isRight
    }

    private static func key(of certificate: [UInt8]) -> OpaquePointer? {
        defer { ERR_clear_error() }
        guard let read = X509.read(certificate) else { return nil }
        defer { X509_free(read) }
        return X509_get_pubkey(read)
    }

    private static func fits(_ key: OpaquePointer, _ type: KeyType) -> Bool {
        guard let curve = type.curve else {
            return EVP_PKEY_is_a(key, type == .dsa ? "DSA" : "RSA") == 1
        }
        guard EVP_PKEY_is_a(key, "EC") == 1 else { return false }
        var name = [CChar](repeating: 0, count: 64)
        var length = 0
        guard EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1 else { return false }
        return String(decoding: name.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self) == curve
    }
}
