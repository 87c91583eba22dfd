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
        let subnets: [(subnet: Subnet, used: Int)]

        func write(_ view: inout View) {
            view.put("network_id", network.id)
            view.put("network_name", network.name)
            view.put("project_id", network.projectID)
            view.put("tenant_id", network.projectID)
            view.put("total_ips", AddressCount(subnets.map { $0.subnet.pools.size }))
            view.put("used_ips", subnets.reduce(0) { $0 + $1.used })
            view.list("subnet_ip_availability", subnets) {
                $0.put("subnet_id", $1.subnet.id)
                $0.put("subnet_name", $1.subnet.name)
                $0.put("ip_version", $1.subnet.ipVersion)
                $0.put("cidr", $1.subnet.cidr.description)
                $0.put("total_ips", AddressCount([$1.subnet.pools.size]))
                $0.put("used_ips", $1.used)
            }
        }
    }

    private static func lines(_ request: Request, _ condition: SQL) async throws(Fault) -> [Line] {
        let networks = try await request.database.all(Network.self, condition)
        let subnets = try await request.database.all(Subnet.self, "network_id", in: networks.map(\.id))
        var used: [String: Int] = [:]
        for row in try await request.database.rows(
            "SELECT subnet_id, COUNT(*) FROM network_addresses GROUP BY subnet_id")
        {
            used[row[0].text ?? ""] = row[1].int
        }
        return networks.map { network in
            Line(
                network: network,
                subnets: subnets.filter { $0.networkID == network.id }.map { ($0, used[$0.id] ?? 0) })
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
