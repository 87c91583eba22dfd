// SPDX-License-Identifier: Apache-2.0
package import Base
internal import CCrypt
internal import COpenSSL
internal import Glibc

/// Passwords as Keystone keeps them by default: bcrypt, `$2b$`. A hash takes a quarter of a second on purpose, so call
/// these on a blocking pool, never on a loop thread.
package struct Passwords: Sendable {
    /// What bcrypt looks at; Keystone cuts longer passwords here without a word, and so must we to know them again.
    package static let bytesMax = 72

    package let rounds: Int
    private let chance: any Identifiers

    /// Four rounds is the least that bcrypt knows, and enough for tests.
    package init(rounds: Int = 12, chance: any Identifiers = RandomIdentifiers()) {
        precondition((4...31).contains(rounds), "bcrypt takes 4 to 31 rounds")
        self.rounds = rounds
        self.chance = chance
    }

    package func hash(_ password: String, rounds: Int? = nil) throws(Fault) -> String {
        guard !password.utf8.contains(0) else {
            throw .badRequest("The password must not contain the character U+0000.")
        }
        guard let hash = crypt(password, setting(rounds ?? self.rounds)) else {
            throw .internalError("crypt(3) cannot make a bcrypt hash on this machine.")
        }
        return hash
    }

    /// Whether the password is the one behind the hash. Without a hash (no such user, no password set) it works as long
    /// and says no, so that the time taken does not tell who exists.
    package func verify(_ password: String, _ hash: String?) -> Bool {
        guard let hash, Passwords.isKnown(hash), !password.utf8.contains(0) else {
            _ = crypt(password, Passwords.dummy(rounds))
            return false
        }
        guard let again = crypt(password, hash) else { return false }
        return Passwords.isSame(again, hash)
    }

    /// Whether a stored hash is of a kind that can be verified.
    package static func isKnown(_ hash: String) -> Bool {
        hash.utf8.count == 60 && ["$2a$", "$2b$", "$2y$", "$2x$"].contains { hash.hasPrefix($0) }
    }

    // MARK: - crypt(3)

    private func setting(_ rounds: Int) -> String {
        let salt = chance.bytes(16).map { CChar(bitPattern: $0) }
        var out = [CChar](repeating: 0, count: Int(CRYPT_GENSALT_OUTPUT_SIZE))
        guard crypt_gensalt_rn("$2b$", UInt(rounds), salt, 16, &out, Int32(out.count)) != nil else { return "" }
        return String(decoding: out.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func dummy(_ rounds: Int) -> String {
        "$2b$\(rounds < 10 ? "0" : "")\(rounds)$abcdefghijklmnopqrstuu"
    }

    private func crypt(_ password: String, _ setting: String) -> String? {
        var bytes = Array(password.utf8.prefix(Passwords.bytesMax))
        bytes.append(0)
        // crypt_data is too large for a stack, and must begin zeroed.
        let size = MemoryLayout<crypt_data>.size
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        memset(memory, 0, size)
        defer {
            OPENSSL_cleanse(memory, size)
            memory.deallocate()
            bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
        }
        return bytes.withUnsafeBytes { bytes in
            let text = bytes.baseAddress!.assumingMemoryBound(to: CChar.self)
            return crypt_rn(text, setting, memory, Int32(size)).map { String(cString: $0) }
        }
    }

    private static func isSame(_ left: String, _ right: String) -> Bool {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        return left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }
}
