// SPDX-License-Identifier: Apache-2.0
package import Base
internal import COpenSSL

/// A key that secrets are sealed with before they are written down: AES-256-GCM, a new nonce for each.
package struct SealingKey: Sendable {
    package static let count = 32
    private static let (nonceCount, tagCount) = (12, 16)
    private let bytes: [UInt8]

    /// Nil for anything but 32 bytes.
    package init?(bytes: [UInt8]) {
        guard bytes.count == SealingKey.count else { return nil }
        self.bytes = bytes
    }

    package static func random(_ chance: any Identifiers) -> SealingKey {
        SealingKey(unchecked: chance.bytes(count))
    }

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }

    /// A name that tells nothing of it.
    package var id: String {
        String(Hex.encode(Digest.bytes(.sha256, Array("sealing key ".utf8) + bytes)).prefix(16))
    }

    /// As it is written down.
    package var text: String { Hex.encode(bytes) }

    /// - Parameter place: where it is kept; what was sealed for one place is nothing in another.
    package func seal(_ plain: [UInt8], for place: String, _ chance: any Identifiers) throws(Fault) -> [UInt8] {
        let nonce = chance.bytes(SealingKey.nonceCount)
        guard let context = EVP_CIPHER_CTX_new() else { throw .internalError("OpenSSL gives no cipher.") }
        defer { EVP_CIPHER_CTX_free(context) }
        var sealed = [UInt8](repeating: 0, count: plain.count)
        var tag = [UInt8](repeating: 0, count: SealingKey.tagCount)
        let about = Array(place.utf8)
        var count: Int32 = 0
        let isDone =
            EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nil, bytes, nonce) == 1
            && EVP_EncryptUpdate(context, nil, &count, about, Int32(about.count)) == 1
            && EVP_EncryptUpdate(context, &sealed, &count, plain, Int32(plain.count)) == 1
            && EVP_EncryptFinal_ex(context, nil, &count) == 1
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, Int32(tag.count), &tag) == 1
        guard isDone else { throw .internalError("OpenSSL cannot seal a secret.") }
        return nonce + sealed + tag
    }

    /// Nil when it was sealed with another key or for another place, or was changed.
    package func open(_ box: [UInt8], from place: String) -> [UInt8]? {
        let (nonceCount, tagCount) = (SealingKey.nonceCount, SealingKey.tagCount)
        guard box.count >= nonceCount + tagCount, let context = EVP_CIPHER_CTX_new() else { return nil }
        defer { EVP_CIPHER_CTX_free(context) }
        let (nonce, sealed) = (Array(box[..<nonceCount]), Array(box[nonceCount..<(box.count - tagCount)]))
        var tag = Array(box[(box.count - tagCount)...])
        var plain = [UInt8](repeating: 0, count: sealed.count)
        let about = Array(place.utf8)
        var count: Int32 = 0
        let isDone =
            EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nil, bytes, nonce) == 1
            && EVP_DecryptUpdate(context, nil, &count, about, Int32(about.count)) == 1
            && EVP_DecryptUpdate(context, &plain, &count, sealed, Int32(sealed.count)) == 1
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, Int32(tag.count), &tag) == 1
            && EVP_DecryptFinal_ex(context, nil, &count) == 1
        return isDone ? plain : nil
    }
}

/// AES-256-CBC with PKCS#7 padding, for those who want it so.
package enum BlockCipher {
    /// - Parameters:
    ///   - key: 32 bytes.
    ///   - vector: 16 bytes.
    package static func encrypt(_ plain: [UInt8], key: [UInt8], vector: [UInt8]) throws(Fault) -> [UInt8] {
        guard key.count == 32, vector.count == 16, let context = EVP_CIPHER_CTX_new() else {
            throw .internalError("OpenSSL gives no cipher.")
        }
        defer { EVP_CIPHER_CTX_free(context) }
        var out = [UInt8](repeating: 0, count: plain.count + 16)
        var last = [UInt8](repeating: 0, count: 16)
        var (first, rest): (Int32, Int32) = (0, 0)
        let isDone =
            EVP_EncryptInit_ex(context, EVP_aes_256_cbc(), nil, key, vector) == 1
            && EVP_EncryptUpdate(context, &out, &first, plain, Int32(plain.count)) == 1
            && EVP_EncryptFinal_ex(context, &last, &rest) == 1
        guard isDone else { throw .internalError("OpenSSL cannot encrypt.") }
        return Array(out[..<Int(first)]) + last[..<Int(rest)]
    }
}
