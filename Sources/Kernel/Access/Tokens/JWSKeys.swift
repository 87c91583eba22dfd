// SPDX-License-Identifier: Apache-2.0
package import Base
internal import COpenSSL
internal import JSON

/// How a signed token is signed: Keystone's `[jwt_tokens] jws_algorithm`.
package enum JWSAlgorithm: String, Sendable, CaseIterable {
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case edDSA = "EdDSA"

    fileprivate var digest: OpaquePointer? {
        switch self {
        case .es256: EVP_sha256()
        case .es384: EVP_sha384()
        case .es512: EVP_sha512()
        case .edDSA: nil
        }
    }

    /// OpenSSL's names of the key's kind and of the curve.
    fileprivate var kind: (String, curve: String?) {
        switch self {
        case .es256: ("EC", "P-256")
        case .es384: ("EC", "P-384")
        case .es512: ("EC", "P-521")
        case .edDSA: ("ED25519", nil)
        }
    }

    /// Half a signature.
    fileprivate var numberBytes: Int {
        switch self {
        case .es256, .edDSA: 32
        case .es384: 48
        case .es512: 66
        }
    }
}

/// One key of OpenSSL's, freed with this. Signing and verifying only read it, so threads may share it.
private final class PKey: @unchecked Sendable {
    let raw: OpaquePointer
    init(_ raw: OpaquePointer) { self.raw = raw }
    deinit { EVP_PKEY_free(raw) }
}

/// Makes and reads signed tokens (RFC 7515, compact form): one private key makes them, any of the public keys proves
/// them. Unlike Fernet's they are no secret: who has one can read it.
package final class JWSKeys: Sendable {
    private let signer: PKey
    private let verifiers: [PKey]
    private let algorithm: JWSAlgorithm
    private let accepted: [JWSAlgorithm]
    private static let textMax = 16_384

    /// - Parameters:
    ///   - signer: the private key, in PEM.
    ///   - verifiers: public keys, in PEM.
    package init(
        signer: String, verifiers: [String], algorithm: JWSAlgorithm = .es256, accepted: [JWSAlgorithm] = [.es256]
    ) throws(Fault) {
        guard let key = JWSKeys.read(signer, { PEM_read_bio_PrivateKey($0, nil, nil, nil) }) else {
            throw .internalError("The private key for signed tokens is none that OpenSSL reads.")
        }
        self.signer = key
        var known: [PKey] = []
        for text in verifiers {
            guard let key = JWSKeys.read(text, { PEM_read_bio_PUBKEY($0, nil, nil, nil) }) else {
                throw .internalError("A public key for signed tokens is none that OpenSSL reads.")
            }
            known.append(key)
        }
        self.verifiers = known
        self.algorithm = algorithm
        self.accepted = accepted
        guard JWSKeys.sign([1], key, algorithm) != nil else {
            throw .internalError("The private key for signed tokens cannot be used with \(algorithm.rawValue).")
        }
    }

    /// A new pair, in PEM.
    package static func makePair(_ algorithm: JWSAlgorithm) throws(Fault) -> (privateKey: String, publicKey: String) {
        let (kind, curve) = algorithm.kind
        var made: OpaquePointer?
        guard let context = EVP_PKEY_CTX_new_from_name(nil, kind, nil) else { throw failure }
        defer { EVP_PKEY_CTX_free(context) }
        guard EVP_PKEY_keygen_init(context) == 1,
            curve.map({ EVP_PKEY_CTX_set_group_name(context, $0) == 1 }) ?? true,
            EVP_PKEY_generate(context, &made) == 1, let raw = made
        else { throw failure }
        let key = PKey(raw)
        let privateKey = try pem { PEM_write_bio_PKCS8PrivateKey($0, key.raw, nil, nil, 0, nil, nil) }
        return (privateKey, try pem { PEM_write_bio_PUBKEY($0, key.raw) })
    }

    func encode(_ claims: JSONObject) -> String {
        let head: JSON = ["alg": .string(algorithm.rawValue), "typ": "JWT"]
        let text = Base64URL.encode(head.bytes()) + "." + Base64URL.encode(JSON.object(claims).bytes())
        guard let signature = JWSKeys.sign(Array(text.utf8), signer, algorithm) else {
            preconditionFailure("a key that signed once signs again")
        }
        return text + "." + Base64URL.encode(signature)
    }

    /// Nil for anything that none of the keys signed, in one of the ways that are accepted here.
    func decode(_ text: String) -> JSONObject? {
        guard text.utf8.count <= JWSKeys.textMax else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let head = JWSKeys.object(parts[0]),
            let algorithm = head["alg"]?.string.flatMap(JWSAlgorithm.init), accepted.contains(algorithm),
            head["crit"] == nil, let signature = Base64URL.decode(String(parts[2]))
        else { return nil }
        let signed = Array((parts[0] + "." + parts[1]).utf8)
        guard verifiers.contains(where: { JWSKeys.verify(signed, signature, $0, algorithm) }) else { return nil }
        return JWSKeys.object(parts[1])
    }

    private static func object(_ part: Substring) -> JSONObject? {
        Base64URL.decode(String(part)).flatMap { (try? JSON.parse($0))?.object }
    }

    private static var failure: Fault { .internalError("OpenSSL could not make a key pair for signed tokens.") }
}

// MARK: - OpenSSL

extension JWSKeys {
    private static func sign(_ message: [UInt8], _ key: PKey, _ algorithm: JWSAlgorithm) -> [UInt8]? {
        guard let context = EVP_MD_CTX_new() else { return nil }
        defer { EVP_MD_CTX_free(context) }
        guard EVP_DigestSignInit(context, nil, algorithm.digest, nil, key.raw) == 1 else { return nil }
        var done: Int32 = 0
        let signature = [UInt8](unsafeUninitializedCapacity: 256) { out, filled in
            filled = 256
            done = EVP_DigestSign(context, out.baseAddress, &filled, message, message.count)
            if done != 1 { filled = 0 }
        }
        guard done == 1 else { return nil }
        return algorithm == .edDSA ? signature : plain(signature, algorithm.numberBytes)
    }

    private static func verify(
        _ message: [UInt8], _ signature: [UInt8], _ key: PKey, _ algorithm: JWSAlgorithm
    ) -> Bool {
        guard signature.count == 2 * algorithm.numberBytes, let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        let written = algorithm == .edDSA ? signature : der(signature, algorithm.numberBytes)
        return EVP_DigestVerifyInit(context, nil, algorithm.digest, nil, key.raw) == 1
            && EVP_DigestVerify(context, written, written.count, message, message.count) == 1
    }

    /// Two numbers of a fixed length, as tokens have them, from OpenSSL's DER.
    private static func plain(_ der: [UInt8], _ count: Int) -> [UInt8]? {
        var at = der.count > 1 && der[1] & 0x80 != 0 ? 3 : 2
        var out: [UInt8] = []
        for _ in 0..<2 {
            guard at + 1 < der.count, der[at] == 2 else { return nil }
            let length = Int(der[at + 1])
            guard at + 2 + length <= der.count else { return nil }
            let digits = der[(at + 2)..<(at + 2 + length)].drop { $0 == 0 }
            guard digits.count <= count else { return nil }
            out += [UInt8](repeating: 0, count: count - digits.count) + digits
            at += 2 + length
        }
        return out
    }

    private static func der(_ signature: [UInt8], _ count: Int) -> [UInt8] {
        var content: [UInt8] = []
        for number in [signature[..<count], signature[count...]] {
            var digits = Array(number.drop { $0 == 0 })
            if digits.first.map({ $0 > 127 }) ?? true { digits.insert(0, at: 0) }
            content += [2, UInt8(digits.count)] + digits
        }
        return [0x30] + (content.count > 127 ? [0x81] : []) + [UInt8(content.count)] + content
    }

    private static func read(_ pem: String, _ body: (OpaquePointer) -> OpaquePointer?) -> PKey? {
        X509.over(Array(pem.utf8), body).map { PKey($0) }
    }

    private static func pem(_ body: (OpaquePointer) -> Int32) throws(Fault) -> String {
        guard let sink = BIO_new(BIO_s_mem()) else { throw failure }
        defer { BIO_free(sink) }
        guard body(sink) == 1 else { throw failure }
        var text = [UInt8](repeating: 0, count: 8192)
        let count = BIO_read(sink, &text, Int32(text.count))
        return String(decoding: text.prefix(Int(max(0, count))), as: UTF8.self)
    }
}
