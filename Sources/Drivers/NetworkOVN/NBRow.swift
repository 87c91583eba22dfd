// SPDX-License-Identifier: Apache-2.0
package import OVSDB

/// Names a northbound row by what it is for, not by the UUID that the server gave it. The id stands in the row's
/// `external_ids`, so rows are found again whoever wrote them.
package struct NBKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Where the id is kept.
    package static let column = "apus:id"

    package let table: String
    package let id: String

    package init(_ table: String, _ id: String) {
        self.table = table
        self.id = id
    }

    package static func < (left: NBKey, right: NBKey) -> Bool { (left.table, left.id) < (right.table, right.id) }
    package var description: String { "\(table) \(id)" }
}

/// A row's place in a set-valued column of another row.
package struct NBLink: Sendable, Hashable {
    package let parent: NBKey
    package let column: String
    package let child: NBKey
}

/// A row as it should be. Only the columns named here are ours; the rest is OVN's or the operator's.
package struct NBRow: Sendable, Hashable {
    package let key: NBKey
    package var columns: [String: OVSDBValue]
    /// Columns that hold at most one reference.
    package var references: [String: NBKey?] = [:]
    /// Of columns that are maps and of which only a part is known: the keys of that part, with a value or without.
    var parts: [String: Set<String>] = [:]
    /// The set-valued columns of other rows that this row is in.
    package var parents: [(NBKey, String)] {
        get { links.map { ($0.parent, $0.column) } }
        set { links = newValue.map { NBLink(parent: $0.0, column: $0.1, child: key) } }
    }
    package private(set) var links: [NBLink] = []

    init(
        _ table: String, _ id: String, _ columns: [String: OVSDBValue], ids: [String: String] = [:],
        in parents: [(NBKey, String)] = []
    ) {
        key = NBKey(table, id)
        self.columns = columns
        self.columns["external_ids"] = .strings(ids.merging([NBKey.column: id]) { $1 })
        self.parents = parents
    }
}

/// The part of the northbound schema that the translation uses.
package enum Northbound {
    package static let database = "OVN_Northbound"
    /// Rows of these tables stay until they are deleted; of the others, until nothing refers to them.
    static let roots: Set<String> = [
        "Logical_Switch", "Logical_Router", "Port_Group", "DHCP_Options", "DNS", "HA_Chassis_Group",
        "Load_Balancer", "BFD", "Address_Set", "Mirror", "Meter",
    ]
    /// Set-valued columns that are wholly ours.
    static let linkColumns: [String: [String]] = [
        "Logical_Switch": ["ports", "dns_records", "load_balancer", "qos_rules"],
        "Logical_Router": ["ports", "static_routes", "nat", "load_balancer", "policies"],
        "Port_Group": ["ports", "acls"], "Logical_Router_Port": ["gateway_chassis"],
        "HA_Chassis_Group": ["ha_chassis"], "Logical_Switch_Port": ["mirror_rules"], "Meter": ["bands"],
    ]
    static let named: Set<String> = [
        "Logical_Switch", "Logical_Router", "Port_Group", "Logical_Switch_Port", "Logical_Router_Port",
        "Gateway_Chassis", "HA_Chassis_Group", "Address_Set",
    ]
    static let tables: [String: [String]] = [
        "Logical_Switch": ["name", "other_config", "ports", "dns_records", "load_balancer", "qos_rules"],
        "QoS": ["direction", "priority", "match", "bandwidth", "action"],
        "Logical_Switch_Port": [
            "name", "type", "options", "parent_name", "tag_request", "addresses", "port_security", "enabled",
            "dhcpv4_options", "dhcpv6_options", "ha_chassis_group", "up", "mirror_rules",
        ],
        "Mirror": ["name", "filter", "sink", "type", "index"],
        "Logical_Router": ["name", "enabled", "options", "ports", "static_routes", "nat", "load_balancer", "policies"],
        "Logical_Router_Policy": ["priority", "match", "action"],
        "Logical_Router_Port": ["name", "mac", "networks", "options", "ipv6_ra_configs", "gateway_chassis"],
        "Logical_Router_Static_Route": ["ip_prefix", "nexthop", "output_port", "bfd"],
        "NAT": ["type", "external_ip", "logical_ip", "logical_port", "external_mac", "options", "gateway_port"],
        "BFD": ["logical_port", "dst_ip"],
        "Load_Balancer": ["name", "vips", "protocol", "options"],
        "Port_Group": ["name", "ports", "acls"],
        "Address_Set": ["name", "addresses"],
        "ACL": ["direction", "priority", "match", "action", "log", "name", "severity", "meter"],
        "Meter": ["name", "unit", "bands", "fair"],
        "Meter_Band": ["action", "rate", "burst_size"],
        "DHCP_Options": ["cidr", "options"],
        "DNS": ["records"],
        "Gateway_Chassis": ["name", "chassis_name", "priority"],
        "HA_Chassis_Group": ["name", "ha_chassis"],
        "HA_Chassis": ["chassis_name", "priority"],
    ]

    package static let monitors: [OVSDBMonitor] =
        tables.sorted { $0.key < $1.key }.map { table, columns in
            OVSDBMonitor(table, columns: columns + ["external_ids"], index: NBKey.column)
        } + [OVSDBMonitor("NB_Global", columns: ["nb_cfg", "sb_cfg", "hv_cfg", "external_ids"])]
}
