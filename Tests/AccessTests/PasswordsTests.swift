// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Testing

/// The hashes were made by Python's bcrypt.
struct PasswordsTests {
    let passwords = Passwords(rounds: 4)

    @Test("A password is known again by its own hash only")
    func roundTrip() throws {
        let hash = try passwords.hash("correct horse")
        #expect(hash.hasPrefix("$2b$04$") && hash.utf8.count == 60)
        #expect(passwords.verify("correct horse", hash))
        #expect(!passwords.verify("correct hors", hash))
        #expect(try passwords.hash("correct horse") != hash, "the salt is new each time")
        #expect(try passwords.hash("x", rounds: 5).hasPrefix("$2b$05$"))
    }

    @Test("Hashes of Python's bcrypt hold")
    func foreign() {
        #expect(passwords.verify("secret", "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"))
        let accents = String(repeating: "é", count: 36)
        #expect(passwords.verify(accents, "$2b$04$abcdefghijklmnopqrstuuKiIlCeXB6chNXkLyAo8C7XcLPzh6zUe"))
    }

    @Test("Beyond 72 bytes nothing counts, as in Keystone")
    func long() throws {
        let base = String(repeating: "a", count: 72)
        let hash = try passwords.hash(base + "one")
        #expect(passwords.verify(base + "another", hash))
        #expect(passwords.verify(base, hash))
        #expect(!passwords.verify(String(base.dropLast()), hash))
    }

    @Test("Nobody's password is right: no hash, a damaged one, one of another kind")
    func nobody() {
        #expect(!passwords.verify("x", nil))
        for hash in ["", "*", "!", "$2b$04$", "$2b$99$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", "$6$a$b"]
        {
            #expect(!passwords.verify("x", hash))
        }
    }

    @Test("A password with a NUL is refused rather than cut there")
    func nul() {
        #expect(throws: Fault.self) { try passwords.hash("a\0b") }
        #expect(!passwords.verify("secret\0x", "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"))
    }
}
