// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import COpenSSL
package import JSON

/// A public key of a JSON web key set (RFC 7517): RSA from 2048 bits, or a NIST curve.
///
/// Symmetric keys are none: a public key's text taken for an HMAC secret is the oldest forgery there is.
package struct WebKey: Sendable {
    package let keyID: String?
    private let algorithm: String?
    private let kind: Kind
    private let encoded: [UInt8]

    private enum Kind: Sendable, Equatable { case rsa, curve(bytes: Int) }

    package init?(_ key: JSON) {
        if let use = key["use"]?.string, use != "sig" { return nil }
        if let operations = key["key_ops"]?.array, !operations.contains("verify") { return nil }
        keyID = key["kid"]?.string
        algorithm = key["alg"]?.string
        switch key["kty"]?.string {
        case "RSA":
            guard let modulus = WebKey.number(key["n"]), let exponent = WebKey.number(key["e"]),
                modulus.count >= 256, modulus.count <= 2048, exponent.count <= 8
            else { return nil }
            kind = .rsa
            encoded = DER.rsa(modulus: modulus, exponent: exponent)
        case "EC":
            guard let (size, curve) = WebKey.curves[key["crv"]?.string ?? ""],
                let x = key["x"]?.string.flatMap(Base64URL.decode), x.count == size,
                let y = key["y"]?.string.flatMap(Base64URL.decode), y.count == size
            else { return nil }
            kind = .curve(bytes: size)
            encoded = DER.curve(curve, x, y)
        default: return nil
        }
        guard let opened = WebKey.open(encoded) else { return nil }
        EVP_PKEY_free(opened)
    }

    /// The keys of a set that can be used here; others are passed over, as the RFC asks.
    package static func set(_ document: JSON) -> [WebKey] {
        document["keys"]?.array?.prefix(100).compactMap { WebKey($0) } ?? []
    }

    /// Object identifiers of the curves, in DER, and the size of a coordinate.
    private static let curves: [String: (Int, [UInt8])] = [
        "P-256": (32, [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]),
        "P-384": (48, [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22]),
        "P-521": (66, [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x23]),
    ]

    private static func number(_ value: JSON?) -> [UInt8]? {
        guard let bytes = value?.string.flatMap(Base64URL.decode) else { return nil }
        let digits = Array(bytes.drop { $0 == 0 })
        return digits.isEmpty ? nil : digits
    }

    private static func open(_ encoded: [UInt8]) -> OpaquePointer? {
        encoded.withUnsafeBufferPointer { bytes in
            var start = bytes.baseAddress
            return d2i_PUBKEY(nil, &start, bytes.count)
        }
    }
}

// MARK: - Checking

extension WebKey {
    package static let algorithms = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
    ]

    /// Whether this key made the signature with that algorithm. The key says what it can be used with, not the token.
    func verifies(_ message: [UInt8], _ signature: [UInt8], _ algorithm: String) -> Bool {
        guard WebKey.algorithms.contains(algorithm), self.algorithm == nil || self.algorithm == algorithm else {
            return false
        }
        var signature = signature
        switch kind {
        case .rsa:
            guard algorithm.hasPrefix("RS") || algorithm.hasPrefix("PS") else { return false }
        case .curve(let size):
            guard ["ES256": 32, "ES384": 48, "ES512": 66][algorithm] == size, signature.count == 2 * size else {
                return false
            }
            signature = DER.sequence(DER.integer(Array(signature[..<size])) + DER.integer(Array(signature[size...])))
        }
        guard let key = WebKey.open(encoded) else { return false }
        defer { EVP_PKEY_free(key) }
        guard let context = EVP_MD_CTX_new(), let digest = EVP_get_digestbyname("sha" + algorithm.suffix(3)) else {
            return false
        }
        defer { EVP_MD_CTX_free(context) }
        var settings: OpaquePointer?
        guard EVP_DigestVerifyInit(context, &settings, digest, nil, key) == 1 else { return false }
        if algorithm.hasPrefix("PS") {
            guard EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) > 0,
                EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST) > 0
            else { return false }
        }
        let isRight = EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
        ERR_clear_error()
        return isRight
    }
}

/// As much of DER as public keys and elliptic signatures need.
enum DER {
    static func sequence(_ content: [UInt8]) -> [UInt8] { item(0x30, content) }

    /// A number without sign from its bytes, the highest first.
    static func integer(_ bytes: [UInt8]) -> [UInt8] {
        var digits = Array(bytes.drop { $0 == 0 })
        if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
        return item(0x02, digits)
    }

    static func rsa(modulus: [UInt8], exponent: [UInt8]) -> [UInt8] {
        let encryption: [UInt8] = [0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00]
        return sequence(sequence(encryption) + bits(sequence(integer(modulus) + integer(exponent))))
    }

    static func curve(_ identifier: [UInt8], _ x: [UInt8], _ y: [UInt8]) -> [UInt8] {
        let key: [UInt8] = [0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01]
        return sequence(sequence(key + identifier) + bits([0x04] + x + y))
    }

    private static func bits(_ content: [UInt8]) -> [UInt8] { item(0x03, [0] + content) }

    private static func item(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        var rest = content.count
        repeat {
            length.insert(UInt8(truncatingIfNeeded: rest), at: 0)
            rest >>= 8
        } while rest > 0
        if content.count >= 128 { length.insert(0x80 | UInt8(length.count), at: 0) }
        return [tag] + length + content
    }
}
