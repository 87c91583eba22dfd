// SPDX-License-Identifier: Apache-2.0
package import Base
internal import COpenSSL

/// One Fernet key: 16 bytes that sign and 16 that encrypt, written as 44 characters of URL-safe base64.
package struct FernetKey: Sendable, Equatable {
    let signing: [UInt8]
    let encryption: [UInt8]

    package init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        signing = Array(bytes[..<16])
        encryption = Array(bytes[16...])
    }

    package init?(_ text: String) {
        guard let bytes = Base64URL.decode(text) else { return nil }
        self.init(bytes: bytes)
    }

    /// Everybody's key, which protects nothing.
    package static let null = FernetKey(bytes: [UInt8](repeating: 0, count: 32))!

    package static func random(_ chance: any Identifiers) -> FernetKey { FernetKey(bytes: chance.bytes(32))! }

    package var text: String { Base64URL.encode(signing + encryption, padded: true) }

    /// What Keystone knows a key by, beside what was encrypted with it.
    package var fingerprint: String { Digest.hex(.sha1, text) }
}

/// What a genuine token carried, and the second it was made.
package struct FernetMessage: Sendable, Equatable {
    package var payload: [UInt8]
    package var issuedAt: Timestamp
}

/// Makes and reads Fernet tokens (AES-128-CBC, HMAC-SHA256), as Keystone does: the first key makes them, every key
/// reads them, and the base64 padding is left off.
package final class FernetKeys: Sendable {
    private static let version: UInt8 = 0x80
    /// Version, time and initialisation vector in front, signature behind.
    private static let headCount = 25
    private static let signatureCount = 32
    private static let tokenLimit = 16_384

    package let keys: [FernetKey]
    private let chance: any Identifiers
    private let crypto: FernetCrypto

    package init(_ keys: [FernetKey], chance: any Identifiers = RandomIdentifiers()) {
        precondition(!keys.isEmpty, "a token needs a key")
        self.keys = keys
        self.chance = chance
        crypto = FernetCrypto()
    }

    package func encrypt(_ payload: [UInt8], at time: Timestamp) -> String {
        encrypt(payload, at: time, vector: chance.bytes(16), padded: false)
    }

    func encrypt(_ payload: [UInt8], at time: Timestamp, vector: [UInt8], padded: Bool) -> String {
        var token: [UInt8] = []
        token.reserveCapacity(FernetKeys.headCount + payload.count + 16 + FernetKeys.signatureCount)
        token.append(FernetKeys.version)
        let seconds = UInt64(bitPattern: time.seconds)
        for shift in stride(from: 56, through: 0, by: -8) { token.append(UInt8(truncatingIfNeeded: seconds >> shift)) }
        token += vector
        crypto.use { engine in
            token += engine.encrypt(payload, key: keys[0].encryption, vector: vector)
            token += engine.sign(token[...], key: keys[0].signing)
        }
        return Base64URL.encode(token, padded: padded)
    }

    /// Nil for anything that none of the keys made. How old it may be is for the reader of the payload to say.
    package func decrypt(_ token: String) -> FernetMessage? {
        guard token.utf8.count <= FernetKeys.tokenLimit, let bytes = Base64URL.decode(token) else { return nil }
        let cipherCount = bytes.count - FernetKeys.headCount - FernetKeys.signatureCount
        guard cipherCount >= 16, cipherCount.isMultiple(of: 16), bytes[0] == FernetKeys.version else { return nil }
        let seconds = bytes[1..<9].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard seconds < 1 << 40 else { return nil }
        let signed = bytes[..<(bytes.count - FernetKeys.signatureCount)]
        let signature = bytes[signed.endIndex...]
        return crypto.use { engine in
            for key in keys where engine.isSame(engine.sign(signed, key: key.signing)[...], signature) {
                guard
                    let payload = engine.decrypt(
                        signed[FernetKeys.headCount...], key: key.encryption, vector: bytes[9..<FernetKeys.headCount])
                else { return nil }
                return FernetMessage(payload: payload, issuedAt: Timestamp(seconds: Int64(seconds)))
            }
            return nil
        }
    }
}
