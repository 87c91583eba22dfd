// SPDX-License-Identifier: Apache-2.0
import Base
import Testing

@testable import Access

/// The bytes and tokens here were made by msgpack-python and cryptography from the layouts of Keystone's formatters.
struct TokenPayloadTests {
    static let user = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"
    static let project = "0123456789abcdef0123456789abcdef"
    static let expires = Timestamp(microseconds: 1_795_222_800_123_456)
    static let audit = "AAECAwQFBgcICQoLDA0ODw"
    static let parent = "ZGVmZ2hpamtsbW5vcHFycw"
    static let head = "92c3c410aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"
    static let packedProject = "92c3c4100123456789abcdef0123456789abcdef"
    static let tail = "cb41dac03b4407e6b491c410000102030405060708090a0b0c0d0e0f"
    static let tailTwo =
        "cb41dac03b4407e6b492c410000102030405060708090a0b0c0d0e0fc4106465666768696a6b6c6d6e6f70717273"

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var hex: String
        var payload: TokenPayload
        var testDescription: String { name }

        init(
            _ name: String, _ hex: String, _ scope: TokenPayload.Scope, user: String = TokenPayloadTests.user,
            _ methods: [String] = ["password"], chain: Bool = false, groups: [String]? = nil
        ) {
            self.name = name
            self.hex = hex
            payload = TokenPayload(
                userID: user, methods: methods, scope: scope, expiresAt: expires,
                auditIDs: chain ? [audit, parent] : [audit],
                federation: groups.map {
                    TokenPayload.Federation(groupIDs: $0, identityProvider: "myidp", protocolID: "mapped")
                })
        }
    }

    static let cases = [
        Case("unscoped", "9500" + head + "02" + tail, .unscoped),
        Case(
            "a directory's user, by token", "950092c2a46a646f6506" + tailTwo, .unscoped, user: "jdoe",
            ["token", "password"], chain: true),
        Case("domain", "9601" + head + "02c4100123456789abcdef0123456789abcdef" + tail, .domain(project)),
        Case("default domain", "9601" + head + "02a764656661756c74" + tail, .domain("default")),
        Case(
            "project", "9602" + head + "06" + packedProject + tailTwo, .project(project), ["token", "password"],
            chain: true),
        Case(
            "trust", "9703" + head + "02" + packedProject + tail + "c410ffffffffffffffffffffffffffffffff",
            .trust(project: project, trust: String(repeating: "f", count: 32))),
        Case("system", "9608" + head + "02a3616c6c" + tail, .system),
        Case(
            "application credential",
            "9709" + head + "20" + packedProject + tail + "92c3c410cccccccccccccccccccccccccccccccc",
            .applicationCredential(project: project, credential: String(repeating: "c", count: 32)),
            ["application_credential"]),
        Case(
            "federated", "9804" + head + "10" + "91" + packedProject + federation + tail, .unscoped, ["mapped"],
            groups: [project]),
        Case(
            "federated, in a project", "9905" + head + "14" + packedProject + "90" + federation + tailTwo,
            .project(project), ["mapped", "token"], chain: true, groups: []),
        Case(
            "federated, in a domain", "9906" + head + "10" + "92c2a764656661756c74" + "90" + federation + tail,
            .domain("default"), ["mapped"], groups: []),
        Case(
            "OAuth 1.0",
            "9707" + head + "08" + packedProject + "92c3c410cccccccccccccccccccccccccccccccc" + tail,
            .oauth(project: project, accessToken: String(repeating: "c", count: 32)), ["oauth1"]),
        Case(
            "OAuth 2.0, bound to a certificate",
            "980a" + head + "00" + packedProject + "92c2c0" + tail + "92c2d92c" + String(repeating: "61", count: 44),
            .certificate(project: project, thumbprint: String(repeating: "a", count: 44)), []),
    ]
    static let federation = "92c2a56d79696470" + "a66d6170706564"

    @Test("Payloads are written as Keystone writes them", arguments: cases)
    func write(_ item: Case) { #expect(Hex.encode(item.payload.bytes()) == item.hex) }

    @Test("Payloads that Keystone wrote are read", arguments: cases)
    func read(_ item: Case) throws { #expect(try TokenPayload(Hex.decode(item.hex)!) == item.payload) }

    @Test("A token from Keystone's libraries is read whole")
    func token() throws {
        let keys = FernetKeys([FernetKey(bytes: Array(0..<32))!])
        let text =
            "gAAAAABrAN8AAAECAwQFBgcICQoLDA0ODxc_IKNo5cN_pMcWRN7n8YGhWt0HHcDsqW3BsNCNP5nWYLhhCfiPPg8wstOk5Fz64S4AvWas"
            + "rSPjjz1peASoLlXuoD48Bggi-XmiXP53dEK-nLvxV19EbtHjsuyqx-JCOeBC7xmKu_H3-iwJFWDVYWhJBgo8tY4_fGTwz68Oxash"
        let message = try #require(keys.decrypt(text))
        #expect(message.issuedAt == Timestamp(seconds: 1_795_219_200))
        #expect(try TokenPayload(message.payload) == TokenPayloadTests.cases[4].payload)
    }

    @Test("The older msgpack's bytes, all tagged as text, are read too")
    func older() throws {
        let hex =
            "960292c3b0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa10692c3b00123456789abcdef0123456789abcdefcb41dac03b4407e6b492b0"
            + "000102030405060708090a0b0c0d0e0fb06465666768696a6b6c6d6e6f70717273"
        #expect(try TokenPayload(Hex.decode(hex)!) == TokenPayloadTests.cases[4].payload)
    }

    @Test("Kinds that nobody makes are refused by name")
    func others() {
        let fault = #expect(throws: Fault.self) { try TokenPayload(Hex.decode("980b00000000000000")!) }
        #expect(fault?.status == 401)
        #expect(fault?.message.contains("version: 11") == true)
    }

    @Test("Ids that are not 32 lower-case digits keep their spelling")
    func spelling() throws {
        for id in ["0123456789ABCDEF0123456789ABCDEF", "01234567-89ab-cdef-0123-456789abcdef", "ünï", ""] {
            let payload = TokenPayload(
                userID: "u", methods: [], scope: .project(id), expiresAt: Timestamp(seconds: 1), auditIDs: [])
            #expect(try TokenPayload(payload.bytes()) == payload)
        }
    }

    @Test("Every cut of a payload is refused, and so is one with something after it")
    func cuts() {
        for item in TokenPayloadTests.cases {
            let bytes = Hex.decode(item.hex)!
            for count in bytes.indices {
                #expect(throws: Fault.self) { try TokenPayload(Array(bytes[..<count])) }
            }
            #expect(throws: Fault.self) { try TokenPayload(bytes + [0xC0]) }
        }
    }

    @Test("Audit ids are 22 characters")
    func auditID() { #expect(TokenPayload.auditID(RandomIdentifiers()).utf8.count == 22) }
}
