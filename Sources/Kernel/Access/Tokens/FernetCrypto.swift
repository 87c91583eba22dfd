// SPDX-License-Identifier: Apache-2.0
internal import COpenSSL
internal import Synchronization

/// OpenSSL's algorithms, fetched once, and a stack of contexts: at most one for each thread that works at a time.
/// Fetching them for each token would cost several times what the token does.
final class FernetCrypto: Sendable {
    private let idle = Mutex<[FernetEngine]>([])

    func use<T>(_ body: (FernetEngine) -> T) -> T {
        let engine = idle.withLock { $0.popLast() } ?? FernetEngine()
        defer { idle.withLock { $0.append(engine) } }
        return body(engine)
    }
}

/// One set of contexts; used by one thread at a time, which `FernetCrypto` sees to.
final class FernetEngine: @unchecked Sendable {
    private let cipher: OpaquePointer
    private let cipherContext: OpaquePointer
    private let mac: OpaquePointer
    private let macContext: OpaquePointer

    init() {
        guard let cipher = EVP_CIPHER_fetch(nil, "AES-128-CBC", nil), let cipherContext = EVP_CIPHER_CTX_new(),
            let mac = EVP_MAC_fetch(nil, "HMAC", nil), let macContext = EVP_MAC_CTX_new(mac)
        else { preconditionFailure("no AES-128-CBC or HMAC: \(OpenSSLError.text)") }
        self.cipher = cipher
        self.cipherContext = cipherContext
        self.mac = mac
        self.macContext = macContext
        // A parameter holds the addresses of its texts. A string that is handed to the function that makes it lives for
        // that call alone; then OpenSSL would read freed memory, find no digest named, and take that for well.
        let isSet = "digest".withCString { key in
            "SHA256".withCString { name in
                var parameters = [
                    OSSL_PARAM_construct_utf8_string(key, UnsafeMutablePointer(mutating: name), 0),
                    OSSL_PARAM_construct_end(),
                ]
                return EVP_MAC_CTX_set_params(macContext, &parameters)
            }
        }
        // A first key, for only that says whether the digest has come.
        let isReady = isSet == 1 && EVP_MAC_init(macContext, [UInt8](repeating: 0, count: 16), 16, nil) == 1
        precondition(isReady, "no HMAC-SHA256: \(OpenSSLError.text)")
    }

    deinit {
        EVP_CIPHER_CTX_free(cipherContext)
        EVP_CIPHER_free(cipher)
        EVP_MAC_CTX_free(macContext)
        EVP_MAC_free(mac)
    }

    func sign(_ bytes: ArraySlice<UInt8>, key: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { out, filled in
            let done = bytes.withUnsafeBufferPointer { bytes in
                EVP_MAC_init(macContext, key, key.count, nil) == 1
                    && EVP_MAC_update(macContext, bytes.baseAddress, bytes.count) == 1
                    && EVP_MAC_final(macContext, out.baseAddress, &filled, 32) == 1
            }
            precondition(done && filled == 32, "HMAC-SHA256 failed: \(OpenSSLError.text)")
        }
    }

    /// Takes as long wherever the two differ.
    func isSame(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        return left.withUnsafeBytes { left in
            right.withUnsafeBytes { right in CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0 }
        }
    }

    func encrypt(_ plain: [UInt8], key: [UInt8], vector: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: plain.count + 16) { out, filled in
            var first: Int32 = 0
            var last: Int32 = 0
            let done =
                EVP_EncryptInit_ex2(cipherContext, cipher, key, vector, nil) == 1
                && EVP_EncryptUpdate(cipherContext, out.baseAddress, &first, plain, Int32(plain.count)) == 1
                && EVP_EncryptFinal_ex(cipherContext, out.baseAddress! + Int(first), &last) == 1
            precondition(done, "AES-128-CBC failed: \(OpenSSLError.text)")
            filled = Int(first + last)
        }
    }

    /// Nil when the padding is not one that encryption leaves.
    func decrypt(_ secret: ArraySlice<UInt8>, key: [UInt8], vector: ArraySlice<UInt8>) -> [UInt8]? {
        var done = false
        let plain = [UInt8](unsafeUninitializedCapacity: secret.count + 16) { out, filled in
            var first: Int32 = 0
            var last: Int32 = 0
            done = secret.withUnsafeBufferPointer { secret in
                vector.withUnsafeBufferPointer { vector in
                    EVP_DecryptInit_ex2(cipherContext, cipher, key, vector.baseAddress, nil) == 1
                        && EVP_DecryptUpdate(
                            cipherContext, out.baseAddress, &first, secret.baseAddress, Int32(secret.count)) == 1
                        && EVP_DecryptFinal_ex(cipherContext, out.baseAddress! + Int(first), &last) == 1
                }
            }
            filled = done ? Int(first + last) : 0
        }
        return done ? plain : nil
    }
}
