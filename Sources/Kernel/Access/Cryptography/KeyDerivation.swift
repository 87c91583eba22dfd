// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import COpenSSL

/// Keys from passwords, by OpenSSL. Slow on purpose.
enum KeyDerivation {
    struct ScryptCost: Sendable, Equatable {
        /// The base-2 logarithm of the number of blocks.
        let exponent: Int
        let blockSize: Int
        let parallelism: Int

        init(exponent: Int, blockSize: Int, parallelism: Int) {
            self.exponent = exponent
            self.blockSize = blockSize
            self.parallelism = parallelism
        }

        /// `ln=16,r=8,p=1`; nil for one that would take more than a gibibyte.
        init?(_ text: String) {
            var values: [Substring: Int] = [:]
            for part in text.split(separator: ",") {
                let pair = part.split(separator: "=", maxSplits: 1)
                if pair.count == 2 { values[pair[0]] = Int(pair[1]) }
            }
            guard let exponent = values["ln"], let blockSize = values["r"], let parallelism = values["p"],
                (1...24).contains(exponent), (1...64).contains(blockSize), (1...64).contains(parallelism),
                128 * blockSize << exponent <= 1 << 30
            else { return nil }
            self.init(exponent: exponent, blockSize: blockSize, parallelism: parallelism)
        }

        fileprivate var memory: UInt64 { UInt64(128 * blockSize) * (UInt64(1) << exponent + UInt64(parallelism) + 32) }
    }

    static func scrypt(_ password: [UInt8], salt: [UInt8], _ cost: ScryptCost, count: Int) -> [UInt8]? {
        var done: Int32 = 0
        let key = [UInt8](unsafeUninitializedCapacity: count) { out, filled in
            done = password.withUnsafeBytes { password in
                EVP_PBE_scrypt(
                    password.baseAddress?.assumingMemoryBound(to: CChar.self), password.count, salt, salt.count,
                    1 << cost.exponent, UInt64(cost.blockSize), UInt64(cost.parallelism), cost.memory,
                    out.baseAddress, count)
            }
            filled = done == 1 ? count : 0
        }
        return done == 1 ? key : nil
    }

    static func pbkdf2SHA512(_ password: [UInt8], salt: [UInt8], rounds: Int, count: Int) -> [UInt8]? {
        var done: Int32 = 0
        let key = [UInt8](unsafeUninitializedCapacity: count) { out, filled in
            done = password.withUnsafeBytes { password in
                PKCS5_PBKDF2_HMAC(
                    password.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(password.count), salt,
                    Int32(salt.count), Int32(rounds), EVP_sha512(), Int32(count), out.baseAddress)
            }
            filled = done == 1 ? count : 0
        }
        return done == 1 ? key : nil
    }
}
