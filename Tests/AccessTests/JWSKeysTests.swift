// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Testing

struct JWSKeysTests {
    private let payload = TokenPayload(
        userID: "ann", methods: ["password"], scope: .trust(project: "p", trust: "t"),
        expiresAt: Timestamp(seconds: 2000), auditIDs: ["AAAA"])

    private func keys(_ algorithm: JWSAlgorithm = .es256) throws -> JWSKeys {
        let pair = try JWSKeys.makePair(algorithm)
        return try JWSKeys(
            signer: pair.privateKey, verifiers: [pair.publicKey], algorithm: algorithm, accepted: [algorithm])
    }

    @Test("A signed token says what it was made with, in each algorithm", arguments: JWSAlgorithm.allCases)
    func roundTrip(algorithm: JWSAlgorithm) throws {
        let keys = try keys(algorithm)
        // Signatures differ from one to the next; short numbers in them come up now and then.
        for _ in 0..<50 {
            let read = try keys.payload(keys.token(payload, at: Timestamp(seconds: 1000)))
            #expect(read.payload == payload && read.issuedAt == Timestamp(seconds: 1000))
        }
    }

    @Test(
        "Each scope comes back",
        arguments: [
            .unscoped, .system, .domain("d"), .project("p"), .trust(project: nil, trust: "t"),
            .applicationCredential(project: "p", credential: "c"), .oauth(project: "p", accessToken: "a"),
            .certificate(project: "p", thumbprint: "x"),
        ] as [TokenPayload.Scope])
    func scopes(scope: TokenPayload.Scope) throws {
        var payload = payload
        payload.scope = scope
        let keys = try keys()
        #expect(try keys.payload(keys.token(payload, at: Timestamp(seconds: 1))).payload == payload)
    }

    @Test(
        "Nothing else is a token: another's, a changed one, an unsigned one, one signed in a way that is not accepted")
    func forgeries() throws {
        let keys = try keys()
        let token = keys.token(payload, at: Timestamp(seconds: 1000))
        #expect(throws: Fault.self) { try self.keys().payload(token) }
        let parts = token.split(separator: ".").map(String.init)
        let none = Base64URL.encode(Array(#"{"alg":"none"}"#.utf8))
        let other = Base64URL.encode(Array(#"{"alg":"ES384"}"#.utf8))
        let claims = Base64URL.encode(Array(#"{"sub":"bob","iat":1,"exp":9}"#.utf8))
        for text in [
            "", "..", "a.b.c", "\(none).\(parts[1]).", "\(none).\(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1]).",
            "\(parts[0]).\(claims).\(parts[2])", "\(other).\(parts[1]).\(parts[2])", token + "=", token + ".",
        ] {
            #expect(throws: Fault.self) { try keys.payload(text) }
        }
    }

    @Test("Keys replaced on disk are seen, and an unreadable state leaves those in use")
    func watch() throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-jws")
        defer { FileSystem.remove(folder) }
        let repository = JWSRepository(privateDirectory: folder + "/private", publicDirectory: folder + "/public")
        #expect(throws: Fault.self) { try JWSRing(repository, algorithm: .es256, accepted: [.es256]) }
        try repository.create(.es256)
        let ring = try JWSRing(repository, algorithm: .es256, accepted: [.es256])
        let old = ring.keys.token(payload, at: Timestamp(seconds: 1))
        #expect(try !ring.refresh())
        let pair = try JWSKeys.makePair(.es256)
        try FileSystem.write(pair.publicKey, to: folder + "/public/second.pem", mode: 0o644)
        try FileSystem.write(pair.privateKey, to: folder + "/private/private.pem")
        #expect(try ring.refresh())
        _ = try ring.keys.payload(old)
        _ = try ring.keys.payload(ring.keys.token(payload, at: Timestamp(seconds: 1)))
        try FileSystem.write("no key", to: folder + "/private/private.pem")
        #expect(throws: Fault.self) { try ring.refresh() }
        _ = try ring.keys.payload(old)
    }
}
