// SPDX-License-Identifier: Apache-2.0
import Base
import Testing

@testable import Access

/// The vectors are those of the Fernet specification; the tokens of other tests were made by Python's libraries.
struct FernetTests {
    static let secret = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
    static let hello =
        "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="
    static let refused = [
        "incorrect mac":
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
        "too short": "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
        "invalid base64":
            "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
        "payload size not multiple of block size":
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
        "payload padding error":
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
        "incorrect IV":
            "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
        "nothing": "", "one character": "g", "version alone": "gAAA",
    ]

    let keys = FernetKeys([FernetKey(FernetTests.secret)!])

    @Test("The specification's token is made, byte for byte")
    func generate() {
        let token = keys.encrypt(
            Array("hello".utf8), at: Timestamp(seconds: 499_162_800), vector: Array(0..<16), padded: true)
        #expect(token == FernetTests.hello)
    }

    @Test("The specification's token is read, with its padding and without")
    func verify() {
        let message = FernetMessage(payload: Array("hello".utf8), issuedAt: Timestamp(seconds: 499_162_800))
        #expect(keys.decrypt(FernetTests.hello) == message)
        #expect(keys.decrypt(String(FernetTests.hello.dropLast(2))) == message)
        #expect(keys.decrypt(String(FernetTests.hello.dropLast(1))) == nil, "padding is whole or absent")
    }

    @Test("What the specification calls invalid is refused", arguments: refused.keys.sorted())
    func invalid(name: String) {
        #expect(keys.decrypt(FernetTests.refused[name]!) == nil)
    }

    @Test("What one key made, another does not read")
    func otherKey() {
        let token = keys.encrypt([1, 2, 3], at: Timestamp(seconds: 7))
        #expect(FernetKeys([FernetKey.random(RandomIdentifiers())]).decrypt(token) == nil)
    }

    @Test("Every key reads, the first makes")
    func several() {
        let old = FernetKey.random(RandomIdentifiers())
        let new = FernetKey.random(RandomIdentifiers())
        let token = FernetKeys([old]).encrypt([9], at: Timestamp(seconds: 1))
        #expect(FernetKeys([new, old]).decrypt(token)?.payload == [9])
        let newer = FernetKeys([new, old]).encrypt([8], at: Timestamp(seconds: 1))
        #expect(FernetKeys([old]).decrypt(newer) == nil)
        #expect(FernetKeys([new]).decrypt(newer)?.payload == [8])
    }

    @Test("Payloads of every length come back", arguments: [0, 1, 15, 16, 17, 100, 4096])
    func lengths(count: Int) {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        let token = keys.encrypt(payload, at: Timestamp(seconds: 1_795_219_200))
        #expect(!token.contains("="))
        #expect(keys.decrypt(token) == FernetMessage(payload: payload, issuedAt: Timestamp(seconds: 1_795_219_200)))
    }

    @Test("No change of one character leaves a token valid")
    func tampering() {
        let token = Array(keys.encrypt(Array("payload".utf8), at: Timestamp(seconds: 5)).utf8)
        for at in token.indices {
            var changed = token
            changed[at] = changed[at] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(keys.decrypt(String(decoding: changed, as: UTF8.self)) == nil)
        }
    }

    @Test("Tokens made and read on many threads at a time keep apart")
    func threads() async {
        let keys = keys
        let right = await withTaskGroup(of: Bool.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    (0..<200).allSatisfy { turn in
                        let payload = Array("\(worker)-\(turn)".utf8)
                        return keys.decrypt(keys.encrypt(payload, at: Timestamp(seconds: 1)))?.payload == payload
                    }
                }
            }
            return await group.reduce(true) { $0 && $1 }
        }
        #expect(right)
    }

    @Test("Base64 has one spelling")
    func canonical() {
        #expect(Base64URL.decode("AA") == [0])
        #expect(Base64URL.decode("AA==") == [0])
        #expect(Base64URL.decode("AB") == nil, "stray bits")
        #expect(Base64URL.decode("A") == nil)
        #expect(Base64URL.decode("AA=") == nil)
        #expect(Base64URL.decode("A+") == nil, "the other alphabet")
        #expect(Base64URL.decode("") == [])
        for count in 0..<20 {
            let bytes = (0..<count).map { UInt8($0 * 13 & 255) }
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
            #expect(Base64URL.decode(Base64URL.encode(bytes, padded: true)) == bytes)
        }
    }
}
