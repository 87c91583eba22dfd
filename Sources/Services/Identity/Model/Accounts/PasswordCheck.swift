// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Passwords hashed and verified on threads of their own: a quarter of a second each, so the line is bounded and a
/// full one is told to come back.
struct PasswordCheck: Sendable {
    private let passwords: Passwords
    private let pool: BlockingPool
    private let options: IdentityOptions

    init(_ options: IdentityOptions, chance: any Identifiers, on pool: BlockingPool) {
        passwords = Passwords(
            options.passwords.algorithm, rounds: options.passwordRounds,
            scryptBlockSize: options.passwords.scryptBlockSize,
            scryptParallelism: options.passwords.scryptParallelism, saltBytes: options.passwords.saltBytes,
            chance: chance)
        self.options = options
        self.pool = pool
    }

    func hash(_ password: String) async throws(Fault) -> String {
        let passwords = passwords
        let bytes = try cut(password)
        return try await pool.run { () throws(Fault) in try passwords.hash(bytes) }
    }

    /// Takes as long for a user that does not exist.
    func verify(_ password: String, _ hash: String?) async throws(Fault) -> Bool {
        let passwords = passwords
        let bytes = try cut(password)
        return try await pool.run { () throws(Fault) in passwords.verify(bytes, hash) }
    }

    /// Refuses a new password that is not what the operator asks for.
    func require(_ password: String) throws(Fault) {
        guard let pattern = options.compliance.passwordRegex, let regex = try? Regex(pattern) else { return }
        // Python's `match`: from the beginning, not necessarily to the end.
        guard (try? regex.prefixMatch(in: password)) == nil else { return }
        let words = options.compliance.passwordRegexDescription ?? "None"
        throw .badRequest("The password does not match the requirements: \(words).")
    }

    /// What counts of a password. Hashes are made of it, so cutting elsewhere would lock people out.
    private func cut(_ password: String) throws(Fault) -> [UInt8] {
        let bytes = Array(password.utf8)
        let limit = options.passwords.bytesMax
        guard bytes.count > limit else { return bytes }
        guard !options.passwords.isStrict else {
            throw .forbidden(
                "The password length must be less than or equal to \(limit). The server could not comply with the "
                    + "request because the password is invalid.")
        }
        return Array(bytes.prefix(limit))
    }
}

/// How passwords are hashed: keystone.conf's `[identity] password_hash_*` and their kin.
package struct PasswordOptions: Sendable {
    package var algorithm = Passwords.Algorithm.bcrypt
    package var scryptBlockSize = 8
    package var scryptParallelism = 1
    package var saltBytes = 16
    package var lengthMax = 4096
    /// Whether longer ones are refused rather than cut.
    package var isStrict = false

    /// bcrypt looks at no more than 72 bytes, whatever the operator allows.
    var bytesMax: Int { algorithm == .bcrypt ? min(lengthMax, Passwords.bcryptBytes) : lengthMax }

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("identity")
        algorithm = read.choice(
            "password_hash_algorithm", default: algorithm,
            help: "How new passwords are hashed. Those that are there are known whatever they were made with.")
        scryptBlockSize = read.int(
            "scrypt_block_size", default: scryptBlockSize, in: 2...64, help: "The memory that scrypt takes.")
        scryptParallelism = read.int(
            "scrypt_parallelism", default: scryptParallelism, in: 1...64, help: "How often scrypt takes it.")
        saltBytes = read.int(
            "salt_bytesize", default: saltBytes, in: 1...96, help: "The length of scrypt's and pbkdf2's salts.")
        lengthMax = read.int(
            "max_password_length", default: lengthMax, in: 1...4096,
            help: "How many bytes of a password count; bcrypt looks at 72 whatever this says.")
        read.section(INI.defaultSection)
        isStrict = read.bool(
            "strict_password_check", default: isStrict,
            help: "Whether longer passwords are refused instead of cut.")
    }
}
