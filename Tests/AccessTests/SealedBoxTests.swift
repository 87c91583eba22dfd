// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Testing

struct SealedBoxTests {
    @Test("What is sealed opens with its key at its place, and is another text each time")
    func opens() throws {
        let chance = RandomIdentifiers()
        let key = try #require(SealingKey(bytes: chance.bytes(32)))
        let secret = Array("a passphrase".utf8)
        let one = try key.seal(secret, for: "place", chance)
        let two = try key.seal(secret, for: "place", chance)
        #expect(one != two && key.open(one, from: "place") == secret && key.open(two, from: "place") == secret)
        #expect(key.open(try key.seal([], for: "place", chance), from: "place") == [])
        #expect(SealingKey(bytes: chance.bytes(31)) == nil)
    }

    @Test("Another key, another place, a changed or a shortened text open nothing")
    func refuses() throws {
        let chance = RandomIdentifiers()
        let key = try #require(SealingKey(bytes: chance.bytes(32)))
        let box = try key.seal(Array("a passphrase".utf8), for: "place", chance)
        #expect(SealingKey(bytes: chance.bytes(32))?.open(box, from: "place") == nil)
        #expect(key.open(box, from: "elsewhere") == nil)
        for at in box.indices {
            var changed = box
            changed[at] ^= 1
            #expect(key.open(changed, from: "place") == nil)
            #expect(key.open(Array(box[..<at]), from: "place") == nil)
        }
    }

    @Test("CBC pads as PKCS#7 has it (NIST SP 800-38A, F.2.5)")
    func blocks() throws {
        let key = try #require(Hex.decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"))
        let vector = try #require(Hex.decode("000102030405060708090a0b0c0d0e0f"))
        let plain = try #require(Hex.decode("6bc1bee22e409f96e93d7e117393172a"))
        let found = try BlockCipher.encrypt(plain, key: key, vector: vector)
        #expect(Hex.encode(found.prefix(16)) == "f58c4c04d6e5f1ba779eabfb5f7bfbd6" && found.count == 32)
    }
}
