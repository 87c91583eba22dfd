// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// An Ethernet address, 48 bits, written in lower case with colons.
package struct MACAddress: Sendable, Hashable {
    package let number: UInt64

    package init?(number: UInt64) {
        guard number >> 48 == 0 else { return nil }
        self.number = number
    }

    /// Reads six pairs of digits with colons or hyphens between them.
    package init?(_ text: some StringProtocol) {
        var (number, mark, at) = (UInt64(0), UInt8(0), 0)
        for byte in text.utf8 {
            guard at < 17 else { return nil }
            if at == 2 { mark = byte }
            if at % 3 == 2 {
                guard byte == mark, mark == UInt8(ascii: ":") || mark == UInt8(ascii: "-") else { return nil }
            } else {
                guard let digit = MACAddress.digit(byte) else { return nil }
                number = number << 4 | digit
            }
            at += 1
        }
        guard at == 17 else { return nil }
        self.number = number
    }

    private static func digit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 48...57: UInt64(byte - 48)
        case 65...70, 97...102: UInt64((byte | 0x20) - 87)
        default: nil
        }
    }

    package var bytes: [UInt8] {
        stride(from: 40, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> UInt64($0)) }
    }
    package var isMulticast: Bool { number >> 40 & 1 == 1 }
}

// MARK: - Generation

extension MACAddress {
    /// Where generated addresses start (`base_mac`): the first three bytes stay, and the fourth too unless it is zero.
    package static let base = MACAddress(number: 0xFA16_3E00_0000)!

    /// A random address under a base. Uniqueness is the table's affair: on a conflict ask again.
    package static func generate(base: MACAddress = .base, _ ids: some Identifiers) -> MACAddress {
        let fixed: UInt64 = base.bytes[3] == 0 ? 0xFFFF_FF00_0000 : 0xFFFF_FFFF_0000
        let chance = ids.bytes(6).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return MACAddress(number: base.number & fixed | chance & ~fixed & 0xFFFF_FFFF_FFFF)!
    }
}

// MARK: - EUI-64

extension MACAddress {
    /// The interface identifier of RFC 4291 appendix A: ff:fe in the middle, universal bit flipped.
    package var interfaceID: UInt64 {
        ((number >> 24) << 40 | 0xFF_FE00_0000 | number & 0xFF_FFFF) ^ 0x0200_0000_0000_0000
    }

    /// The address that a machine gives itself (SLAAC) in an IPv6 block of at most 64 bits; nil for others.
    package func eui64(in block: CIDR) -> IPAddress? {
        guard block.version == .v6, block.prefix <= 64 else { return nil }
        return IPAddress(unchecked: .v6, block.network.number | UInt128(interfaceID))
    }

    /// `fe80::...`
    package var linkLocal: IPAddress { IPAddress(unchecked: .v6, UInt128(0xFE80) << 112 | UInt128(interfaceID)) }
}

// MARK: - Text

extension MACAddress: CustomStringConvertible, Codable, Comparable {
    package var description: String {
        String(unsafeUninitializedCapacity: 17) { out in
            for at in 0..<17 {
                let nibble = UInt8(truncatingIfNeeded: number >> UInt64(44 - (at - at / 3) * 4)) & 15
                out[at] = at % 3 == 2 ? UInt8(ascii: ":") : nibble < 10 ? 48 + nibble : 87 + nibble
            }
            return 17
        }
    }

    package static func < (left: MACAddress, right: MACAddress) -> Bool { left.number < right.number }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = MACAddress(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no MAC address")
        }
        self = address
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
