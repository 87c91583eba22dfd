// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// How many addresses networks have, and how many of them are taken.
package enum NetworkIPAvailability: Resource {
    private static let get = NetworkRules.adminOrService

    package static let routes: [Route] = [
        .get(
            "/network-ip-availabilities", "List IP availability", of: Anything.from,
            allow: .rule("get_network_ip_availability", get), list),
        .get(
            "/network-ip-availabilities/{id}", "Show IP availability", of: Anything.from,
            allow: .rule("get_network_ip_availability", get), show),
    ]

    private struct Line: Sendable {
        let network: Network
        let subnets: [SubnetCount]

        func write(_ view: inout View) {
            view.put("network_id", network.id)
            view.put("network_name", network.name)
            view.put("project_id", network.projectID)
            view.put("tenant_id", network.projectID)
            view.put("total_ips", AddressCount(subnets.map(\.total)))
            view.put("used_ips", subnets.reduce(0) { $0 + $1.used })
            view.list("subnet_ip_availability", subnets) {
                $0.put("subnet_id", $1.subnet.id)
                $0.put("subnet_name", $1.subnet.name)
                $0.put("ip_version", $1.subnet.ipVersion)
                $0.put("cidr", $1.subnet.cidr.description)
                $0.put("total_ips", AddressCount([$1.total]))
                $0.put("used_ips", $1.used)
                SubnetCount.details([$1], &$0)
            }
            SubnetCount.details(subnets, &view)
        }
    }

    /// A subnet's addresses: all that machines may have, those that are given out unasked, and those that are taken.
    private struct SubnetCount: Sendable {
        let subnet: Subnet
        let used: Int
        let usedInPools: Int

        /// A subnet without a pool is counted whole.
        var total: UInt128 { subnet.allocationPools.isEmpty ? subnet.cidr.size : subnet.pools.size }
        var whole: UInt128 {
            let size = subnet.cidr.size
            return subnet.cidr.version == .v4 ? size - min(2, size) : size
        }

        static func details(_ subnets: [SubnetCount], _ view: inout View) {
            view.nest("ip_availability_details") {
                $0.put("total_ips_in_subnet", AddressCount(subnets.map(\.whole)))
                $0.put("total_ips_in_allocation_pool", AddressCount(subnets.map { $0.subnet.pools.size }))
                $0.put("used_ips_in_subnet", subnets.reduce(0) { $0 + $1.used })
                $0.put("used_ips_in_allocation_pool", subnets.reduce(0) { $0 + $1.usedInPools })
            }
        }
    }

    private static func lines(_ request: Request, _ condition: SQL) async throws(Fault) -> [Line] {
        let networks = try await request.database.all(Network.self, condition)
        let subnets = try await request.database.all(Subnet.self, "network_id", in: networks.map(\.id))
        let counts = Dictionary(grouping: try await counts(subnets, request.database), by: \.subnet.networkID)
        return networks.map { Line(network: $0, subnets: counts[$0.id] ?? []) }
    }

    /// The database counts. What it cannot tell is whether an address is in a pool: usually few are in none, and those
    /// are looked for.
    private static func counts(_ subnets: [Subnet], _ database: Database) async throws(Fault) -> [SubnetCount] {
        var (used, inPools): ([String: Int], [String: Int]) = ([:], [:])
        for start in stride(from: 0, to: subnets.count, by: 100) {
            let part = subnets[start..<min(start + 100, subnets.count)]
            let from: SQL = "FROM network_addresses WHERE subnet_id IN \(part.map(\.id))"
            for row in try await database.rows("SELECT subnet_id, COUNT(*) " + from + " GROUP BY subnet_id") {
                used[row[0].text ?? ""] = row[1].int ?? 0
            }
            let pooled = part.filter { !$0.allocationPools.isEmpty && used[$0.id] != nil }
            var (few, many): ([Subnet], [Subnet]) = ([], [])
            var outside: Set<String> = []
            for subnet in pooled {
                if let addresses = subnet.pools.outside(subnet.cidr, most: 8) {
                    few.append(subnet)
                    outside.formUnion(addresses.map(\.description))
                } else {
                    many.append(subnet)
                }
            }
            for subnet in few { inPools[subnet.id] = used[subnet.id] }
            for row in try await addresses(
                of: outside.isEmpty ? [] : few, " AND address IN \(outside.sorted())", database)
            where !row.subnet.pools.contains(row.address) {
                inPools[row.subnet.id, default: 0] -= 1
            }
            for row in try await addresses(of: many, "", database) where row.subnet.pools.contains(row.address) {
                inPools[row.subnet.id, default: 0] += 1
            }
        }
        return subnets.map { SubnetCount(subnet: $0, used: used[$0.id] ?? 0, usedInPools: inPools[$0.id] ?? 0) }
    }

    private static func addresses(
        of subnets: [Subnet], _ condition: SQL, _ database: Database
    ) async throws(Fault) -> [(subnet: Subnet, address: IPAddress)] {
        guard !subnets.isEmpty else { return [] }
        let byID = Dictionary(subnets.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let rows = try await database.rows(
            "SELECT subnet_id, address FROM network_addresses WHERE subnet_id IN \(subnets.map(\.id))" + condition)
        return rows.compactMap { row in
            guard let subnet = byID[row[0].text ?? ""], let address = IPAddress(row[1].text ?? "") else { return nil }
            return (subnet, address)
        }
    }

    private static let filters: [Filter] = [
        .text("network_id", "id"), .text("network_name", "name"), .text("project_id"), .text("tenant_id", "project_id"),
        .other("ip_version") { values in
            "id IN (SELECT network_id FROM network_subnets WHERE ip_version IN \(values.compactMap { Int($0) }))"
        },
    ]

    private static func list(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let narrowed = try Filter.condition(filters, request)
        let lines = try await lines(request, "1 = 1\(sql: narrowed) ORDER BY id")
        return .list("network_ip_availabilities", lines.map { line in { line.write(&$0) } })
    }

    private static func show(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let id = request["id"]
        guard let line = try await lines(request, "id = \(id)").first else { throw Network.notFound(id) }
        return .object("network_ip_availability", line.write)
    }
}

/// A sum that may be larger than any 64-bit number: IPv6 has such subnets.
private struct AddressCount: JSONValue {
    let sum: UInt128

    init(_ sizes: [UInt128]) {
        sum = sizes.reduce(UInt128(0)) { total, size in
            let (sum, overflow) = total.addingReportingOverflow(size)
            return overflow ? .max : sum
        }
    }

    func write(to writer: inout JSONWriter) { writer.raw(Array(String(sum).utf8)) }
}

extension AllocationPools {
    /// The addresses of a subnet that are in none of them; nil when there are more than so many.
    fileprivate func outside(_ cidr: CIDR, most: Int) -> [IPAddress]? {
        var found: [IPAddress] = []
        var next: IPAddress? = cidr.network
        while let address = next, cidr.contains(address) {
            if let pool = pools.first(where: { $0.contains(address) }) {
                next = pool.end.next
                continue
            }
            found.append(address)
            guard found.count <= most else { return nil }
            next = address.next
        }
        return found
    }
}
