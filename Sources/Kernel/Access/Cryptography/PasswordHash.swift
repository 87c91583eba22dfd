// SPDX-License-Identifier: Apache-2.0
internal import Base

/// A stored hash taken apart: its kind, its costs, its salt. Keystone writes all but bcrypt's own in passlib's forms.
struct PasswordHash {
    typealias Bcrypt = (_ password: [UInt8], _ setting: String) -> String?

    private enum Kind {
        case bcrypt(setting: String)
        case bcryptSHA256(setting: String)
        case scrypt(salt: [UInt8], KeyDerivation.ScryptCost)
        case pbkdf2(salt: [UInt8], rounds: Int)
    }

    private let kind: Kind
    /// The hash itself in the spelling that is written here; older ones say "." for "+".
    private let written: String

    init?(_ text: String) {
        written = text
        let parts = text.split(separator: "$", omittingEmptySubsequences: false).map(String.init)
        guard parts.count > 3, parts[0].isEmpty else { return nil }
        switch parts[1] {
        case "2a", "2b", "2x", "2y":
            guard text.utf8.count == 60 else { return nil }
            kind = .bcrypt(setting: text)
        case "bcrypt-sha256":
            guard parts.count == 5, let setting = PasswordHash.setting(parts[2], salt: parts[3]) else { return nil }
            kind = .bcryptSHA256(setting: setting)
        case "scrypt":
            guard parts.count == 5, let salt = PasswordHash.decode(parts[3]),
                let cost = KeyDerivation.ScryptCost(parts[2])
            else { return nil }
            kind = .scrypt(salt: salt, cost)
        case "pbkdf2-sha512":
            guard parts.count == 5, let rounds = Int(parts[2]), (1...10_000_000).contains(rounds),
                let salt = PasswordHash.decode(parts[3])
            else { return nil }
            kind = .pbkdf2(salt: salt, rounds: rounds)
        default: return nil
        }
    }

    var usesBcrypt: Bool {
        switch kind {
        case .bcrypt, .bcryptSHA256: true
        case .scrypt, .pbkdf2: false
        }
    }

    /// The password's hash of the same kind, cost and salt, in the spelling of the stored one.
    func hash(_ password: [UInt8], with bcrypt: Bcrypt) -> String? {
        let made: String? =
            switch kind {
            case .bcrypt(let setting): bcrypt(password, setting)
            case .bcryptSHA256(let setting): PasswordHash.bcryptSHA256(password, setting, with: bcrypt)
            case .scrypt(let salt, let cost): PasswordHash.scrypt(password, salt: salt, cost)
            case .pbkdf2(let salt, let rounds): PasswordHash.pbkdf2(password, salt: salt, rounds: rounds)
            }
        guard let made else { return nil }
        if case .bcrypt = kind { return made }
        // Salt and costs are the same by construction; what counts is the last part.
        let digest = made.split(separator: "$").last ?? ""
        let dotted = written.contains(".") && !usesBcrypt ? String(digest).replacing("+", with: ".") : String(digest)
        return String(written.prefix(upTo: written.lastIndex(of: "$")!)) + "$" + dotted
    }
}

// MARK: - Kinds

extension PasswordHash {
    /// bcrypt over an HMAC of the password with the salt, so that length is no matter:
    /// `$bcrypt-sha256$v=2,t=2b,r=12$<salt>$<digest>`.
    static func bcryptSHA256(_ password: [UInt8], _ setting: String, with bcrypt: Bcrypt) -> String? {
        let parts = setting.split(separator: "$")
        guard parts.count == 3 else { return nil }
        let salt = parts[2].prefix(22)
        let inner = Base64.encode(HMAC.bytes(.sha256, key: Array(salt.utf8), password))
        guard let hash = bcrypt(Array(inner.utf8), setting) else { return nil }
        return "$bcrypt-sha256$v=2,t=\(parts[0]),r=\(Int(parts[1]) ?? 12)$\(salt)$\(hash.suffix(31))"
    }

    static func scrypt(_ password: [UInt8], salt: [UInt8], _ cost: KeyDerivation.ScryptCost) -> String? {
        guard let key = KeyDerivation.scrypt(password, salt: salt, cost, count: 32) else { return nil }
        return "$scrypt$ln=\(cost.exponent),r=\(cost.blockSize),p=\(cost.parallelism)$\(encode(salt))$\(encode(key))"
    }

    static func pbkdf2(_ password: [UInt8], salt: [UInt8], rounds: Int) -> String? {
        guard let key = KeyDerivation.pbkdf2SHA512(password, salt: salt, rounds: rounds, count: 64) else { return nil }
        return "$pbkdf2-sha512$\(rounds)$\(encode(salt))$\(encode(key))"
    }

    /// `v=2,t=2b,r=12` as bcrypt's own setting. Version 1, older than the HMAC, Keystone does not read either.
    private static func setting(_ parameters: String, salt: String) -> String? {
        var values: [Substring: Substring] = [:]
        for part in parameters.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1)
            if pair.count == 2 { values[pair[0]] = pair[1] }
        }
        guard let type = values["t"], ["2a", "2b"].contains(type), let rounds = values["r"].flatMap({ Int($0) }),
            (4...31).contains(rounds), salt.utf8.count == 22
        else { return nil }
        return "$\(type)$\(rounds < 10 ? "0" : "")\(rounds)$\(salt)"
    }

    // MARK: Base 64 without padding

    private static func encode(_ bytes: [UInt8]) -> String {
        String(Base64.encode(bytes).prefix { $0 != "=" })
    }

    private static func decode(_ text: String) -> [UInt8]? {
        let plain = text.replacing(".", with: "+")
        return Base64.decode(plain + String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4))
    }
}
