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

    @Test(
        "Keystone's other kinds are known again",
        arguments: [
            "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$S7FwBvpu+z8K0PUVUagFRTUAB2dAxIZpzVHvLZir+98",
            "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$S7FwBvpu.z8K0PUVUagFRTUAB2dAxIZpzVHvLZir.98",
            "$pbkdf2-sha512$1000$MDEyMzQ1Njc4OWFiY2RlZg$vgFvU7zWIDgDAUi7d8ayt+cfRiPWVVWfv8iQRsGZaZviWzsSNgWYXEE5"
                + "PmvI/VELMsOmEbqLz0PKuePNjOk41A",
            "$bcrypt-sha256$v=2,t=2b,r=4$abcdefghijklmnopqrstuu$m8phM5HLiIEvmH7mK6Z5Wd.AC8vC0.y",
        ])
    func kinds(hash: String) {
        #expect(Passwords.isKnown(hash))
        #expect(passwords.verify("secret", hash))
        #expect(!passwords.verify("secre", hash))
        #expect(!passwords.verify("secret", hash + "A"))
    }

    @Test("Each kind that can be asked for is made, and known again", arguments: Passwords.Algorithm.allCases)
    func algorithms(algorithm: Passwords.Algorithm) throws {
        let passwords = Passwords(algorithm, rounds: 4, scryptBlockSize: 2, saltBytes: 8)
        let hash = try passwords.hash("correct horse")
        #expect(passwords.verify("correct horse", hash))
        #expect(!passwords.verify("correct hors", hash))
        #expect(self.passwords.verify("correct horse", hash), "whatever new ones are made with")
        let long = String(repeating: "a", count: 100)
        #expect(passwords.verify(long + "x", try passwords.hash(long)) == (algorithm == .bcrypt))
    }

    @Test(
        "A hash whose costs would stop the machine is not one",
        arguments: [
            "$scrypt$ln=30,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$S7FwBvpu",
            "$scrypt$ln=10,r=8$MDEyMzQ1Njc4OWFiY2RlZg$S7FwBvpu",
            "$pbkdf2-sha512$99999999999$MDEy$vgFv", "$bcrypt-sha256$v=2,t=2z,r=4$abcdefghijklmnopqrstuu$x", "$5$a$b",
        ])
    func absurd(hash: String) {
        #expect(!Passwords.isKnown(hash) && !passwords.verify("secret", hash))
    }
}
