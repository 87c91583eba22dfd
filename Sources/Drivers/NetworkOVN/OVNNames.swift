// SPDX-License-Identifier: Apache-2.0
internal import Network

/// How Neutron's ML2/OVN driver names rows, so that its tools and habits apply.
enum OVNNames {
    static func device(_ id: String) -> String { "neutron-\(id)" }
    static func routerPort(_ portID: String) -> String { "lrp-\(portID)" }
    static func provider(_ networkID: String) -> String { "provnet-\(networkID)" }
    /// Port groups are used in match expressions, where a hyphen is no part of a name.
    static func group(_ id: String) -> String { "pg_" + String(id.map { $0 == "-" ? "_" : $0 }) }
    /// The address set that northd derives from a port group's members.
    static func members(_ groupID: String, _ version: IPVersion) -> String { "$\(group(groupID))_\(version.word)" }
    /// The blocks of an address group; like the names of groups, it is used in match expressions.
    static func addressSet(_ id: String, _ version: IPVersion) -> String {
        "as_" + String(id.map { $0 == "-" ? "_" : $0 }) + "_\(version.word)"
    }
    static let dropGroup = "neutron_pg_drop"
    static let dropKey = NBKey("Port_Group", dropGroup)

    static func `switch`(_ id: String) -> NBKey { NBKey("Logical_Switch", id) }
    static func port(_ id: String) -> NBKey { NBKey("Logical_Switch_Port", id) }
    static func router(_ id: String) -> NBKey { NBKey("Logical_Router", id) }
    static func routerPortKey(_ portID: String) -> NBKey { NBKey("Logical_Router_Port", portID) }
    static func groupKey(_ id: String) -> NBKey { NBKey("Port_Group", id) }
    static func dhcp(_ subnetID: String) -> NBKey { NBKey("DHCP_Options", subnetID) }
    static func dhcp(_ subnetID: String, port: String) -> NBKey { NBKey("DHCP_Options", "\(subnetID) \(port)") }
}
