// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Testing

struct OneTimePasswordTests {
    @Test(
        "RFC 6238's own examples come out, as far as six digits go",
        arguments: [
            (59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (1_234_567_890, "005924"),
            (2_000_000_000, "279037"), (20_000_000_000, "353130"),
        ] as [(Int64, String)])
    func passcodes(seconds: Int64, passcode: String) {
        let secret = Array("12345678901234567890".utf8)
        let window = OneTimePassword.window(Timestamp(seconds: seconds))
        #expect(OneTimePassword.passcode(secret: secret, window: window) == passcode)
    }

    @Test("Base 32 is read with and without its padding, and nothing else is")
    func base32() {
        #expect(Base32.decode("MZXW6YTBOI======") == Array("foobar".utf8))
        #expect(Base32.decode("MZXW6YTBOI") == Array("foobar".utf8))
        #expect(Base32.decode("") == [])
        for text in ["mzxw6", "MZ1", "MZ=XW", "MZ XW"] { #expect(Base32.decode(text) == nil) }
    }
}
