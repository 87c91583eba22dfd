// SPDX-License-Identifier: Apache-2.0

/// A block of addresses: a network address and how many leading bits are fixed. Host bits are always zero.
package struct CIDR: Sendable, Hashable {
    /// The lowest address of the block.
    package let network: IPAddress
    package let prefix: Int

    /// The block of that length around an address; nil when the length does not fit the family.
    package init?(_ address: IPAddress, prefix: Int) {
        guard (0...address.version.bits).contains(prefix) else { return nil }
        network = IPAddress(unchecked: address.version, address.number & CIDR.mask(address.version, prefix))
        self.prefix = prefix
    }

    /// Reads `address/length`; nil when the length is missing or any host bit is set.
    package init?(strict text: some StringProtocol) {
        guard text.utf8.contains(UInt8(ascii: "/")), let (address, prefix) = CIDR.split(text) else { return nil }
        self.init(address, prefix: prefix)
        guard network == address else { return nil }
    }

    /// Reads `address/length` or a bare address (a block of one), dropping host bits.
    package init?(loose text: some StringProtocol) {
        guard let (address, prefix) = CIDR.split(text) else { return nil }
        self.init(address, prefix: prefix)
    }

    /// The block of exactly one address.
    package init(host address: IPAddress) {
        network = address
        prefix = address.version.bits
    }

    /// `0.0.0.0/0` or `::/0`.
    package static func everything(_ version: IPVersion) -> CIDR { CIDR(.zero(version), prefix: 0)! }

    private static func split(_ text: some StringProtocol) -> (IPAddress, Int)? {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        guard parts.count == 2 else { return (address, address.version.bits) }
        let digits = Array(parts[1].utf8)
        guard (1...3).contains(digits.count), digits.allSatisfy({ (48...57).contains($0) }) else {
            return netmask(parts[1], address.version).map { (address, $0) }
        }
        guard let prefix = Int(parts[1]), prefix <= address.version.bits else { return nil }
        return (address, prefix)
    }

    /// `255.255.255.0` as 24, as upstream's parser (netaddr) takes it too; nil when the ones are not one run.
    private static func netmask(_ text: some StringProtocol, _ version: IPVersion) -> Int? {
        guard version == .v4, let mask = IPAddress(text), mask.version == .v4 else { return nil }
        let bits = UInt32(mask.number)
        let prefix = (~bits).leadingZeroBitCount
        return mask.number == CIDR.mask(.v4, prefix) ? prefix : nil
    }

    static func mask(_ version: IPVersion, _ prefix: Int) -> UInt128 {
        // Swift's shifts are smart: shifting all 128 bits out leaves zero.
        version.highest & (UInt128.max << UInt128(version.bits - prefix))
    }
}

extension CIDR {
    package var version: IPVersion { network.version }
    package var netmask: IPAddress { IPAddress(unchecked: version, CIDR.mask(version, prefix)) }
    /// The lowest and the highest address, whatever they are used for.
    package var first: IPAddress { network }
    package var last: IPAddress {
        IPAddress(unchecked: version, network.number | (version.highest & ~CIDR.mask(version, prefix)))
    }
    /// The broadcast address; blocks of one or two IPv4 addresses (RFC 3021) and IPv6 have none.
    package var broadcast: IPAddress? { version == .v4 && prefix < 31 ? last : nil }

    /// How many addresses; `UInt128.max` stands for all of IPv6.
    package var size: UInt128 {
        let hostBits = version.bits - prefix
        return hostBits == 128 ? .max : UInt128(1) << UInt128(hostBits)
    }

    /// The addresses that machines may have: without network and broadcast address (IPv4) or the subnet router
    /// anycast address (IPv6, RFC 4291 2.6.1); blocks too small for those give everything.
    package var hosts: ClosedRange<IPAddress> {
        guard prefix < version.bits - 1 else { return first...last }
        let low = IPAddress(unchecked: version, first.number + 1)
        return version == .v4 ? low...IPAddress(unchecked: version, last.number - 1) : low...last
    }

    package func contains(_ address: IPAddress) -> Bool {
        address.version == version && address.number & CIDR.mask(version, prefix) == network.number
    }
    package func contains(_ other: CIDR) -> Bool { other.prefix >= prefix && contains(other.network) }
    package func overlaps(_ other: CIDR) -> Bool { contains(other.network) || other.contains(network) }

    /// The address at an offset from the network address; nil outside the block.
    package func address(at offset: UInt128) -> IPAddress? {
        offset < size ? IPAddress(unchecked: version, network.number + offset) : nil
    }

    /// The blocks of the given length inside this one, in order: how a subnet pool hands out subnets.
    package func subnets(prefix length: Int) -> some Sequence<CIDR> {
        let step = length <= version.bits && length >= prefix ? version.bits - length : nil
        return sequence(state: step == nil ? nil : network) { (state: inout IPAddress?) -> CIDR? in
            guard let step, let start = state, let block = CIDR(start, prefix: length) else { return nil }
            let top = block.last
            state = top == self.last || step == 128 ? nil : top.next
            return block
        }
    }
}

extension CIDR: CustomStringConvertible, Codable, Comparable {
    package var description: String { "\(network)/\(prefix)" }

    package static func < (left: CIDR, right: CIDR) -> Bool {
        (left.network, left.prefix) < (right.network, right.prefix)
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let block = CIDR(loose: text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no address block")
        }
        self = block
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
