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

        init(_ subnet: Subnet, _ taken: [IPAddress]) {
            self.subnet = subnet
            used = taken.count
            usedInPools = taken.count { subnet.pools.contains($0) }
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
        let only: SQL = subnets.count <= 100 ? " WHERE subnet_id IN \(subnets.map(\.id))" : ""
        var taken: [String: [IPAddress]] = [:]
        if !subnets.isEmpty {
            for row in try await request.database.rows("SELECT subnet_id, address FROM network_addresses" + only) {
                guard let address = IPAddress(row[1].text ?? "") else { continue }
                taken[row[0].text ?? "", default: []].append(address)
            }
        }
        return networks.map { network in
            Line(
                network: network,
                subnets: subnets.filter { $0.networkID == network.id }.map { SubnetCount($0, taken[$0.id] ?? []) })
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
