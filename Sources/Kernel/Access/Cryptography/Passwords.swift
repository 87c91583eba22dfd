// SPDX-License-Identifier: Apache-2.0
package import Base
internal import CCrypt
internal import COpenSSL
internal import Glibc

/// Passwords as Keystone keeps them: bcrypt (`$2b$`) unless told otherwise; each kind that it knows is known again. A
/// hash takes a quarter of a second on purpose, so call these on a blocking pool, never on a loop thread.
package struct Passwords: Sendable {
    /// What bcrypt looks at; Keystone cuts longer passwords here without a word, and so must we to know them again.
    package static let bcryptBytes = 72

    /// How new hashes are made.
    package enum Algorithm: String, Sendable, CaseIterable {
        case bcrypt
        case bcryptSHA256 = "bcrypt_sha256"
        case scrypt
        case pbkdf2SHA512 = "pbkdf2_sha512"
    }

    package let algorithm: Algorithm
    package let rounds: Int
    private let cost: KeyDerivation.ScryptCost
    private let saltBytes: Int
    private let chance: any Identifiers

    /// Four rounds is the least that bcrypt knows, and enough for tests.
    /// - Parameter rounds: of bcrypt or pbkdf2; nil is Keystone's own number (12 and 25000).
    package init(
        _ algorithm: Algorithm = .bcrypt, rounds: Int? = nil, scryptBlockSize: Int = 8, scryptParallelism: Int = 1,
        saltBytes: Int = 16, chance: any Identifiers = RandomIdentifiers()
    ) {
        let rounds = rounds ?? (algorithm == .pbkdf2SHA512 ? 25_000 : 12)
        precondition(
            algorithm == .pbkdf2SHA512 || algorithm == .scrypt || (4...31).contains(rounds),
            "bcrypt takes 4 to 31 rounds")
        self.algorithm = algorithm
        self.rounds = rounds
        cost = KeyDerivation.ScryptCost(exponent: 16, blockSize: scryptBlockSize, parallelism: scryptParallelism)
        self.saltBytes = saltBytes
        self.chance = chance
    }

    package func hash(_ password: String, rounds: Int? = nil) throws(Fault) -> String {
        try hash(Array(password.utf8), rounds: rounds)
    }

    package func hash(_ password: [UInt8], rounds: Int? = nil) throws(Fault) -> String {
        let rounds = rounds ?? self.rounds
        guard !password.contains(0) || !usesBcrypt else {
            throw .badRequest("The password must not contain the character U+0000.")
        }
        let hash: String? =
            switch algorithm {
            case .bcrypt: bcrypt(password, setting(rounds))
            case .bcryptSHA256: PasswordHash.bcryptSHA256(password, setting(rounds), with: bcrypt)
            case .scrypt: PasswordHash.scrypt(password, salt: chance.bytes(saltBytes), cost)
            case .pbkdf2SHA512: PasswordHash.pbkdf2(password, salt: chance.bytes(saltBytes), rounds: rounds)
            }
        guard let hash else { throw .internalError("No \(algorithm.rawValue) hash can be made on this machine.") }
        return hash
    }

    /// Whether the password is the one behind the hash. Without a hash (no such user, no password set) it works as long
    /// and says no, so that the time taken does not tell who exists.
    package func verify(_ password: String, _ hash: String?) -> Bool { verify(Array(password.utf8), hash) }

    package func verify(_ password: [UInt8], _ hash: String?) -> Bool {
        guard let hash, let kind = PasswordHash(hash), !kind.usesBcrypt || !password.contains(0) else {
            work(password.filter { $0 != 0 })
            return false
        }
        guard let again = kind.hash(password, with: bcrypt) else { return false }
        return Passwords.isSame(again, hash)
    }

    /// Whether a stored hash is of a kind that can be verified.
    package static func isKnown(_ hash: String) -> Bool { PasswordHash(hash) != nil }

    private var usesBcrypt: Bool { algorithm == .bcrypt || algorithm == .bcryptSHA256 }

    /// What making a hash costs, for nothing.
    private func work(_ password: [UInt8]) {
        let salt = [UInt8](repeating: 0, count: saltBytes)
        switch algorithm {
        case .bcrypt, .bcryptSHA256: _ = bcrypt(password, Passwords.dummy(rounds))
        case .scrypt: _ = PasswordHash.scrypt(password, salt: salt, cost)
        case .pbkdf2SHA512: _ = PasswordHash.pbkdf2(password, salt: salt, rounds: rounds)
        }
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

    private func bcrypt(_ password: [UInt8], _ setting: String) -> String? {
        var bytes = Array(password.prefix(Passwords.bcryptBytes))
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
