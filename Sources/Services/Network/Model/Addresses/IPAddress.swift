// SPDX-License-Identifier: Apache-2.0

/// The two families of the Internet Protocol; the raw value is the number that the API calls `ip_version`.
package enum IPVersion: Int, Sendable, Hashable, Codable {
    case v4 = 4
    case v6 = 6

    /// How many bits an address of this family has.
    package var bits: Int { self == .v4 ? 32 : 128 }
    /// The highest address of the family, as a number.
    package var highest: UInt128 { self == .v4 ? UInt128(UInt32.max) : .max }
    /// The word that OVN's match language and Neutron's `ethertype` (capitalised) use.
    package var word: String { self == .v4 ? "ip4" : "ip6" }
}

/// One IPv4 or IPv6 address as a number. Written in the canonical forms (dotted quad, RFC 5952), whatever it was read
/// from.
package struct IPAddress: Sendable, Hashable {
    package let version: IPVersion
    package let number: UInt128

    /// Nil when the number does not fit the family.
    package init?(_ version: IPVersion, number: UInt128) {
        guard number <= version.highest else { return nil }
        self.version = version
        self.number = number
    }

    /// The caller vouches that the number fits.
    init(unchecked version: IPVersion, _ number: UInt128) {
        self.version = version
        self.number = number
    }

    /// Reads an address; nil for anything else, zone indices, spaces, and quads with leading zeros (octal to some)
    /// included.
    package init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard bytes.count <= 45 else { return nil }
        if bytes.contains(UInt8(ascii: ":")) {
            guard let number = IPAddress.parseV6(bytes) else { return nil }
            self.init(unchecked: .v6, number)
        } else {
            guard let number = IPAddress.parseV4(bytes[...]) else { return nil }
            self.init(unchecked: .v4, UInt128(number))
        }
    }

    package static func v4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) -> IPAddress {
        IPAddress(unchecked: .v4, UInt128(a) << 24 | UInt128(b) << 16 | UInt128(c) << 8 | UInt128(d))
    }

    /// `0.0.0.0` or `::`.
    package static func zero(_ version: IPVersion) -> IPAddress { IPAddress(unchecked: version, 0) }
}

// MARK: - Arithmetic

extension IPAddress: Comparable {
    /// IPv4 sorts before IPv6.
    package static func < (left: IPAddress, right: IPAddress) -> Bool {
        left.version == right.version ? left.number < right.number : left.version.rawValue < right.version.rawValue
    }

    /// The address `steps` further on; nil beyond either end of the family.
    package func advanced(by steps: Int) -> IPAddress? {
        let (number, overflow) =
            steps >= 0
            ? number.addingReportingOverflow(UInt128(steps))
            : number.subtractingReportingOverflow(UInt128(steps.magnitude))
        return overflow ? nil : IPAddress(version, number: number)
    }

    package var next: IPAddress? { advanced(by: 1) }
    package var previous: IPAddress? { advanced(by: -1) }

    /// The big-endian bytes, 4 or 16.
    package var bytes: [UInt8] {
        stride(from: version.bits - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> UInt128($0)) }
    }
}

// MARK: - Kinds

extension IPAddress {
    package var isUnspecified: Bool { number == 0 }
    package var isLoopback: Bool { version == .v4 ? number >> 24 == 127 : number == 1 }
    package var isMulticast: Bool { version == .v4 ? number >> 28 == 0xE : number >> 120 == 0xFF }
    package var isLinkLocal: Bool { version == .v4 ? number >> 16 == 0xA9FE : number >> 118 == 0x3FA }
    package var isBroadcast: Bool { version == .v4 && number == version.highest }
    /// An IPv4 address in IPv6's clothes, `::ffff:192.0.2.1`.
    package var isV4Mapped: Bool { version == .v6 && number >> 32 == 0xFFFF }

    /// What a machine without a name of its own is called: `host-10-0-0-5`.
    package var hostName: String {
        let marks = [UInt8(ascii: "."), UInt8(ascii: ":")]
        let bytes = description.utf8.map { marks.contains($0) ? UInt8(ascii: "-") : $0 }
        return "host-" + String(decoding: bytes, as: UTF8.self)
    }

    /// The name to look up in reverse: `1.2.0.192.in-addr.arpa`, or the nibbles under `ip6.arpa`.
    package var reverseName: String {
        switch version {
        case .v4:
            bytes.reversed().map { String($0) }.joined(separator: ".") + ".in-addr.arpa"
        case .v6:
            bytes.reversed().flatMap { [$0 & 15, $0 >> 4] }.map { String($0, radix: 16) }.joined(separator: ".")
                + ".ip6.arpa"
        }
    }
}

// MARK: - Text

extension IPAddress: CustomStringConvertible, LosslessStringConvertible, Codable {
    package init?(_ description: String) { self.init(description[...]) }

    package var description: String {
        switch version {
        case .v4: describeV4()
        case .v6: describeV6()
        }
    }

    private func describeV4() -> String {
        String(unsafeUninitializedCapacity: 15) { out in
            var at = 0
            func put(_ byte: UInt8) {
                out[at] = byte
                at += 1
            }
            for shift in stride(from: 24, through: 0, by: -8) {
                let octet = UInt8(truncatingIfNeeded: number >> UInt128(shift))
                if at > 0 { put(UInt8(ascii: ".")) }
                if octet >= 100 { put(48 + octet / 100) }
                if octet >= 10 { put(48 + octet / 10 % 10) }
                put(48 + octet % 10)
            }
            return at
        }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = IPAddress(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no IP address")
        }
        self = address
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    static func parseV4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        var (number, octet, digits, dots) = (UInt32(0), UInt32(0), 0, 0)
        for byte in bytes {
            if byte == UInt8(ascii: ".") {
                guard digits > 0, dots < 3 else { return nil }
                number = number << 8 | octet
                (octet, digits, dots) = (0, 0, dots + 1)
            } else {
                guard (48...57).contains(byte), digits == 0 || octet > 0 else { return nil }
                octet = octet * 10 + UInt32(byte - 48)
                digits += 1
                guard octet <= 255 else { return nil }
            }
        }
        return dots == 3 && digits > 0 ? number << 8 | octet : nil
    }

    private static func parseV6(_ bytes: [UInt8]) -> UInt128? {
        var halves: [[UInt16]] = [[]]
        var at = 0
        if bytes.starts(with: [58, 58]) {
            halves.append([])
            at = 2
        }
        while at < bytes.count {
            let end = bytes[at...].firstIndex(of: 58) ?? bytes.count
            let group = bytes[at..<end]
            if end == bytes.count, group.contains(46) {
                guard let quad = parseV4(group) else { return nil }
                halves[halves.count - 1] += [UInt16(quad >> 16), UInt16(truncatingIfNeeded: quad)]
                at = end
                break
            }
            guard (1...4).contains(group.count), let value = hexadecimal(group) else { return nil }
            halves[halves.count - 1].append(value)
            at = end
            guard at < bytes.count else { break }
            at += 1
            if at < bytes.count, bytes[at] == 58 {
                guard halves.count == 1 else { return nil }
                halves.append([])
                at += 1
            } else if at == bytes.count {
                return nil
            }
        }
        let given = halves.reduce(0) { $0 + $1.count }
        if halves.count == 1 {
            guard given == 8 else { return nil }
        } else {
            guard given <= 7 else { return nil }
            halves.insert(Array(repeating: 0, count: 8 - given), at: 1)
        }
        return halves.joined().reduce(UInt128(0)) { $0 << 16 | UInt128($1) }
    }

    private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt16? {
        var value: UInt16 = 0
        for digit in digits {
            let nibble: UInt8
            switch digit {
            case 48...57: nibble = digit - 48
            case 65...70: nibble = digit - 55
            case 97...102: nibble = digit - 87
            default: return nil
            }
            value = value << 4 | UInt16(nibble)
        }
        return value
    }

    /// RFC 5952: the longest run of two or more zero groups becomes `::` (the first of equals), digits are lower case.
    private func describeV6() -> String {
        if isV4Mapped { return "::ffff:" + IPAddress(unchecked: .v4, number & 0xFFFF_FFFF).description }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: number >> UInt128(112 - 16 * $0)) }
        var best = 0..<0
        var at = 0
        while at < 8 {
            let end = groups[at...].firstIndex { $0 != 0 } ?? 8
            if end - at > max(best.count, 1) { best = at..<end }
            at = end + 1
        }
        func text(_ part: ArraySlice<UInt16>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard !best.isEmpty else { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }
}
