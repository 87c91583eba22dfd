// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import COpenSSL

/// Keyed digests at once, for signatures and one-time passwords.
package enum HMAC {
    package static func bytes(_ algorithm: Digest.Algorithm, key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 64) { out, filled in
            var length: UInt32 = 0
            let made = COpenSSL.HMAC(
                EVP_get_digestbyname(algorithm.rawValue), key, Int32(key.count), message, message.count,
                out.baseAddress, &length)
            precondition(made != nil, "no HMAC of \(algorithm.rawValue): \(OpenSSLError.text)")
            filled = Int(length)
        }
    }

    /// Whether two texts are the same, found out in a time that does not tell where they differ.
    package static func isSame(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        return left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }
}
