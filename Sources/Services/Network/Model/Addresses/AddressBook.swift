// SPDX-License-Identifier: Apache-2.0
import Kernel

/// An address that a port holds; the key keeps any address from being given twice.
struct HeldAddress: Record {
    static let table = "network_addresses"
    let subnetID: String, address: String, portID: String

    static let migration: Migration = """
        2026-11-21 network addresses
        CREATE TABLE network_addresses (
            subnet_id VARCHAR(36) NOT NULL, address VARCHAR(45) NOT NULL, port_id VARCHAR(36) NOT NULL,
            PRIMARY KEY (subnet_id, address));
        CREATE INDEX network_addresses_by_port ON network_addresses (port_id)
        """
}

/// One entry of a request's `fixed_ips`.
struct AskedIP: Sendable, Hashable {
    var subnetID: String?
    var address: IPAddress?

    static func list(_ body: inout Body) throws(Fault) -> [AskedIP]? {
        guard body.peek("fixed_ips")?.isNull != true else {
            body.ignore("fixed_ips")
            return []
        }
        guard let entries = try body.takeObjects("fixed_ips") else { return nil }
        var asked: [AskedIP] = []
        for var entry in entries {
            let ip = AskedIP(
                subnetID: try entry.option("subnet_id", .id), address: try entry.option("ip_address", .address))
            try entry.end()
            if let address = ip.address, asked.contains(where: { $0.address == address }) {
                throw .httpBadRequest(
                    "Invalid input for fixed_ips. Reason: Duplicate IP address '\(address)'.")
            }
            asked.append(ip)
        }
        return asked
    }
}

/// Gives addresses out inside a transaction.
struct AddressBook {
    static let addressesMaximum = 5

    let transaction: Transaction
    let network: String
    let subnets: [Subnet]
    let ids: any Identifiers

    init(_ transaction: Transaction, network: String, _ ids: any Identifiers) throws(Fault) {
        self.transaction = transaction
        self.network = network
        self.ids = ids
        subnets = try transaction.all(Subnet.self, "network_id = \(network) ORDER BY created_at, id")
    }

    private init(_ book: AddressBook, _ subnets: [Subnet]) {
        transaction = book.transaction
        network = book.network
        ids = book.ids
        self.subnets = subnets
    }

    /// The same book with some of the subnets alone.
    func narrowed(_ isKept: (Subnet) -> Bool) -> AddressBook { AddressBook(self, subnets.filter(isKept)) }

    /// Decides on the addresses of a port and holds them for it.
    /// - Parameter asked: nil is "whatever the network gives", empty is none.
    func assign(
        _ asked: [AskedIP]?, to port: String, mac: MACAddress, owner: String, keeping kept: FixedIPs = FixedIPs()
    ) throws(Fault) -> FixedIPs {
        var result: [FixedIPs.Entry] = []
        if let asked {
            guard asked.count <= AddressBook.addressesMaximum || DeviceOwner.isOwn(owner) else {
                throw .invalidInput("Exceeded maximum amount of fixed ips per port.")
            }
            // What nobody asks for by name may serve whoever asks for any address of its subnet, once.
            var spare = FixedIPs(kept.entries.filter { entry in !asked.contains { $0.address == entry.address } })
            for ip in asked {
                let found = try entry(
                    for: ip, mac: mac, owner: owner, kept: ip.address == nil ? spare : kept, port: port)
                spare.entries.removeAll { $0 == found }
                result.append(found)
            }
            if !asked.isEmpty, !DeviceOwner.isRouter(owner) {
                for subnet in subnets where subnet.isAutomatic && !result.contains(where: { $0.subnetID == subnet.id })
                {
                    result += try automatic(subnet, mac, port)
                }
            }
        } else {
            result = try anything(mac: mac, owner: owner, port: port)
        }
        return FixedIPs(result)
    }

    func release(_ entries: [FixedIPs.Entry]) throws(Fault) {
        for entry in entries {
            try transaction.delete(
                HeldAddress.self, "subnet_id = \(entry.subnetID) AND address = \(entry.address.description)")
        }
    }

    /// Without a wish: an address of each family from the first subnet that has one left, and every automatic one.
    private func anything(mac: MACAddress, owner: String, port: String) throws(Fault) -> [FixedIPs.Entry] {
        var result: [FixedIPs.Entry] = []
        for version in [4, 6] {
            let family = serving(owner, subnets.filter { $0.ipVersion == version })
            let managed = family.filter { !$0.isAutomatic || DeviceOwner.isRouter(owner) }
            if !managed.isEmpty {
                guard let found = try firstFree(managed, port, owner) else {
                    throw .neutron(
                        409, "IpAddressGenerationFailure", "No more IP addresses available on network \(network).")
                }
                result.append(found)
            }
            for subnet in family where subnet.isAutomatic && !DeviceOwner.isRouter(owner) {
                result += try automatic(subnet, mac, port)
            }
        }
        return result
    }

    private func firstFree(_ subnets: [Subnet], _ port: String, _ owner: String) throws(Fault) -> FixedIPs.Entry? {
        for subnet in subnets {
            guard let address = try free(in: subnet, for: owner) else { continue }
            return try hold(subnet, address, port)
        }
        return nil
    }

    /// Subnets meant for this kind of port (`service_types`); those meant for all when there is none.
    private func serving(_ owner: String, _ subnets: [Subnet]) -> [Subnet] {
        let meant = subnets.filter { $0.serviceTypes.contains(owner) }
        return meant.isEmpty ? subnets.filter(\.serviceTypes.isEmpty) : meant
    }

    private func entry(
        for asked: AskedIP, mac: MACAddress, owner: String, kept: FixedIPs, port: String
    ) throws(Fault) -> FixedIPs.Entry {
        let subnet = try subnet(for: asked)
        if let address = asked.address {
            let same = FixedIPs.Entry(subnetID: subnet.id, address: address)
            if kept.entries.contains(same) { return same }
            guard subnet.cidr.contains(address), subnet.admits(address) else {
                throw asked.subnetID == nil
                    ? .neutron(
                        400, "InvalidIpForNetwork",
                        "IP address \(address) is not a valid IP for any of the subnets on the specified network.")
                    : .neutron(
                        400, "InvalidIpForSubnet",
                        "IP address \(address) is not a valid IP for the specified subnet.")
            }
            if subnet.isAutomatic, !DeviceOwner.isRouter(owner), mac.eui64(in: subnet.cidr) != address {
                throw .neutron(
                    400, "AllocationOnAutoAddressSubnet",
                    "IPv6 address \(address) cannot be directly assigned to a port on subnet \(subnet.id) as the "
                        + "subnet is configured for automatic addresses")
            }
            return try hold(subnet, address, port)
        }
        if let present = kept.entries.first(where: { $0.subnetID == subnet.id }) { return present }
        if subnet.isAutomatic, !DeviceOwner.isRouter(owner), let own = try automatic(subnet, mac, port).first {
            return own
        }
        guard let address = try free(in: subnet, for: owner) else {
            throw .neutron(
                409, "IpAddressGenerationFailureForSubnet", "No more IP addresses available on subnet \(subnet.id).")
        }
        return try hold(subnet, address, port)
    }

    private func subnet(for asked: AskedIP) throws(Fault) -> Subnet {
        if let id = asked.subnetID {
            guard let subnet = subnets.first(where: { $0.id == id }) else {
                guard try transaction.count(Subnet.self, "id = \(id)") > 0 else { throw Subnet.notFound(id) }
                throw .invalidInput(
                    "Failed to create port on network \(network), because fixed_ips included invalid subnet \(id)")
            }
            return subnet
        }
        guard let address = asked.address else {
            throw .invalidInput("IP allocation requires subnet_id or ip_address")
        }
        guard let subnet = subnets.first(where: { $0.cidr.contains(address) }) else {
            throw .neutron(
                400, "InvalidIpForNetwork",
                "IP address \(address) is not a valid IP for any of the subnets on the specified network.")
        }
        return subnet
    }

    private func automatic(_ subnet: Subnet, _ mac: MACAddress, _ port: String) throws(Fault) -> [FixedIPs.Entry] {
        guard let address = mac.eui64(in: subnet.cidr) else { return [] }
        return [try hold(subnet, address, port)]
    }

    private func hold(_ subnet: Subnet, _ address: IPAddress, _ port: String) throws(Fault) -> FixedIPs.Entry {
        try transaction.insert(
            HeldAddress(subnetID: subnet.id, address: address.description, portID: port),
            or: .neutron(
                409, "IpAddressAlreadyAllocated",
                "IP address \(address) already allocated in subnet \(subnet.id)"))
        return FixedIPs.Entry(subnetID: subnet.id, address: address)
    }

    /// A free address of the pools: by chance first, which takes one probe in a subnet that is not nearly full. The
    /// cloud's own ports take the first one (upstream's `PreferNextAddressRequest`), where nobody is surprised by them.
    private func free(in subnet: Subnet, for owner: String) throws(Fault) -> IPAddress? {
        let pools = subnet.pools
        let size = pools.size
        guard size > 0 else { return nil }
        for _ in 0..<(DeviceOwner.takesFirst.contains(owner) ? 0 : 6) {
            let bound = Int(min(size, 1 << 62))
            guard let address = pools.address(at: UInt128(ids.number(below: bound))) else { continue }
            let taken = try transaction.count(
                HeldAddress.self, "subnet_id = \(subnet.id) AND address = \(address.description)")
            if taken == 0 { return address }
        }
        let held = try transaction.rows("SELECT address FROM network_addresses WHERE subnet_id = \(subnet.id)")
        return pools.firstFree(taken: Set(held.compactMap { $0[0].text.flatMap { IPAddress($0) } }))
    }
}

extension AllocationPools {
    /// The n-th address of all pools together.
    func address(at offset: UInt128) -> IPAddress? {
        var rest = offset
        for pool in pools {
            if rest < pool.size { return IPAddress(pool.start.version, number: pool.start.number + rest) }
            rest -= pool.size
        }
        return nil
    }
}
