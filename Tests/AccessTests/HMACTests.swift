// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Testing

struct HMACTests {
    @Test("RFC 2202's and 4231's examples come out")
    func examples() {
        let message = Array("what do ya want for nothing?".utf8)
        let key = Array("Jefe".utf8)
        #expect(Hex.encode(HMAC.bytes(.sha1, key: key, message)) == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
        #expect(
            Hex.encode(HMAC.bytes(.sha256, key: key, message))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }

    @Test("Texts are the same or they are not")
    func sameness() {
        #expect(HMAC.isSame("abc", "abc"))
        #expect(!HMAC.isSame("abc", "abd") && !HMAC.isSame("abc", "ab"))
    }
}
