// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import COpenSSL

/// OpenSSL's message digests, at once or over bytes that arrive in pieces. One owner at a time.
package final class Digest {
    package enum Algorithm: String, Sendable, CaseIterable {
        case md5, sha1, sha224, sha256, sha384, sha512
    }

    /// OpenSSL's implementation of an algorithm. `@unchecked`: once fetched it never changes, and OpenSSL shares it
    /// between threads itself.
    private struct Method: @unchecked Sendable {
        let pointer: OpaquePointer
    }

    /// Fetched once: OpenSSL 3 searches its providers each time it is asked by name.
    private static let methods = Dictionary(
        uniqueKeysWithValues: Algorithm.allCases.compactMap { algorithm in
            EVP_MD_fetch(nil, algorithm.rawValue, nil).map { (algorithm, Method(pointer: $0)) }
        })

    private let context: OpaquePointer

    package init(_ algorithm: Algorithm) {
        guard let context = EVP_MD_CTX_new(), let method = Digest.methods[algorithm],
            EVP_DigestInit_ex(context, method.pointer, nil) == 1
        else { preconditionFailure("no \(algorithm.rawValue): \(OpenSSLError.text)") }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    package func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        EVP_DigestUpdate(context, start, bytes.count)
    }

    package func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The digest of all bytes so far; ends it.
    package func finish() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 64) { buffer, filled in
            var length: UInt32 = 0
            EVP_DigestFinal_ex(context, buffer.baseAddress, &length)
            filled = Int(length)
        }
    }

    /// The digest of a text, in hexadecimal.
    package static func hex(_ algorithm: Algorithm, _ text: String) -> String {
        let digest = Digest(algorithm)
        digest.update(Array(text.utf8))
        return Hex.encode(digest.finish())
    }

    package static func bytes(_ algorithm: Algorithm, _ bytes: [UInt8]) -> [UInt8] {
        let digest = Digest(algorithm)
        digest.update(bytes)
        return digest.finish()
    }
}
