// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Passwords hashed and verified on threads of their own: a quarter of a second each, so the line is bounded and a
/// full one is told to come back.
struct PasswordCheck: Sendable {
    private let passwords: Passwords
    private let pool: BlockingPool

    init(_ passwords: Passwords, on pool: BlockingPool) {
        self.passwords = passwords
        self.pool = pool
    }

    func hash(_ password: String) async throws(Fault) -> String {
        let passwords = passwords
        return try await pool.run { () throws(Fault) in try passwords.hash(password) }
    }

    /// Takes as long for a user that does not exist.
    func verify(_ password: String, _ hash: String?) async throws(Fault) -> Bool {
        let passwords = passwords
        return try await pool.run { () throws(Fault) in passwords.verify(password, hash) }
    }
}
