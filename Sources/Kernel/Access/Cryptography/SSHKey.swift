// SPDX-License-Identifier: Apache-2.0
package import Base
internal import COpenSSL

/// A key that guests let their users in with: one that a user brought, or one made here.
package struct SSHKey: Sendable {
    /// As it stands in `authorized_keys`.
    package let publicKey: String
    /// PEM, only of a key made here: it is handed out once and kept nowhere.
    package let privateKey: String?
    /// The MD5 digest of the public key in Nova's form: `aa:bb:...`.
    package let fingerprint: String

    private static let kinds: Set<String> = [
        "ssh-rsa", "ssh-dss", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
    ]

    /// A public key as a user pasted it; nil when it is none.
    package init?(importing text: String) {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count >= 2, SSHKey.kinds.contains(String(words[0])),
            let blob = Base64.decode(String(words[1])), blob.starts(with: SSHKey.wire(Array(words[0].utf8))),
            blob.count > words[0].utf8.count + 8
        else { return nil }
        publicKey = text
        privateKey = nil
        fingerprint = SSHKey.fingerprint(blob)
    }

    private init(blob: [UInt8], privateKey: String) {
        publicKey = "ssh-rsa " + Base64.encode(blob) + " Generated-by-Apus"
        self.privateKey = privateKey
        fingerprint = SSHKey.fingerprint(blob)
    }

    private static func fingerprint(_ blob: [UInt8]) -> String {
        Digest.bytes(.md5, blob).map { Hex.encode([$0]) }.joined(separator: ":")
    }

    /// A field of the SSH protocol: its length, then its bytes (RFC 4251 section 5).
    private static func wire(_ bytes: [UInt8]) -> [UInt8] {
        let count = UInt32(bytes.count)
        return [UInt8(count >> 24), UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)] + bytes
    }
}

// MARK: - Making one

extension SSHKey {
    /// A new RSA key of 2048 bits. It takes a tenth of a second of computing: call it on a blocking pool.
    package static func generate() throws(Fault) -> SSHKey {
        guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nil) else { throw failure }
        defer { EVP_PKEY_CTX_free(context) }
        var made: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048) == 1,
            EVP_PKEY_keygen(context, &made) == 1, let key = made
        else { throw failure }
        defer { EVP_PKEY_free(key) }
        // A number with its highest bit set would be read as negative (RFC 4251, mpint).
        let parts = [try number(key, "e"), try number(key, "n")].map {
            $0.first.map { $0 > 127 } == true ? [0] + $0 : $0
        }
        let blob = wire(Array("ssh-rsa".utf8)) + parts.flatMap { wire($0) }
        return SSHKey(blob: blob, privateKey: try pem(key))
    }

    private static var failure: Fault { .internalError("OpenSSL could not make an RSA key.") }

    private static func number(_ key: OpaquePointer, _ name: String) throws(Fault) -> [UInt8] {
        var number: OpaquePointer?
        guard EVP_PKEY_get_bn_param(key, name, &number) == 1, let number else { throw failure }
        defer { BN_free(number) }
        return [UInt8](unsafeUninitializedCapacity: Int(BN_num_bits(number) + 7) / 8) { buffer, filled in
            filled = Int(BN_bn2bin(number, buffer.baseAddress))
        }
    }

    /// The form every SSH client reads: `BEGIN RSA PRIVATE KEY`.
    private static func pem(_ key: OpaquePointer) throws(Fault) -> String {
        guard let sink = BIO_new(BIO_s_mem()) else { throw failure }
        defer { BIO_free(sink) }
        guard PEM_write_bio_PrivateKey_traditional(sink, key, nil, nil, 0, nil, nil) == 1 else { throw failure }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = BIO_read(sink, &chunk, Int32(chunk.count))
            guard count > 0 else { break }
            text += chunk.prefix(Int(count))
        }
        return String(decoding: text, as: UTF8.self)
    }
}
