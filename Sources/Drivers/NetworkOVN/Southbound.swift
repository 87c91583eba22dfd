// SPDX-License-Identifier: Apache-2.0
import Network
package import OVSDB

/// What the southbound database tells: the hosts, and which of them carries which port.
package enum Southbound {
    package static let database = "OVN_Southbound"

    package static let monitors = [
        OVSDBMonitor("Chassis", columns: ["name", "hostname", "encaps", "external_ids", "other_config"]),
        OVSDBMonitor("Chassis_Private", columns: ["name", "nb_cfg"]), OVSDBMonitor("Encap", columns: ["ip", "type"]),
        OVSDBMonitor("Port_Binding", columns: ["logical_port", "chassis", "up", "type", "additional_chassis"]),
    ]

    static func hosts(_ replica: OVSDBReplica) -> [ChassisFact] {
        replica.rows("Chassis").map { row in
            // Newer controllers write to other_config, older ones to external_ids.
            func setting(_ key: String) -> String { row["other_config"][key] ?? row["external_ids"][key] ?? "" }
            let tunnels = row["encaps"].uuids.compactMap { replica.row("Encap", $0)?["ip"].string }
            let choices = setting("ovn-cms-options").split(separator: ",").map(String.init)
            let zones = choices.first { $0.hasPrefix("availability-zones=") }?.dropFirst(19).split(separator: ":")
            let bridges = setting("ovn-bridge-mappings").split(separator: ",").map { $0.split(separator: ":") }
                .filter { !$0.isEmpty }
            var fact = ChassisFact(
                id: row["name"].string ?? "", hostname: row["hostname"].string ?? "",
                tunnelAddresses: Set(tunnels).sorted(), physicalNetworks: bridges.map { String($0[0]) }.sorted(),
                isGateway: choices.contains("enable-chassis-as-gw"), zones: (zones ?? []).map(String.init).sorted())
            fact.bandwidths = DeviceBandwidth.read(
                choices, bridges: bridges.filter { $0.count > 1 }.map { (String($0[0]), String($0[1])) },
                host: fact.hostname)
            fact.packetRates = PacketRate.read(choices, host: fact.hostname)
            return fact
        }
        .sorted { $0.id < $1.id }
    }

    /// What a changed binding means for whoever waits for the port.
    static func events(_ change: OVSDBChange, _ replica: OVSDBReplica) -> [PortEvent] {
        guard change.table == "Port_Binding", let row = change.new ?? change.old,
            let port = row["logical_port"].string, isPlugged(row)
        else { return [] }
        let (old, new) = (carrier(change.old), carrier(change.new))
        var events: [PortEvent] = []
        if old != new {
            events.append(PortEvent(portID: port, isUp: new != nil, host: new.flatMap { name($0, replica) }))
        }
        for host in others(change.new).subtracting(others(change.old)) where host != new {
            events.append(PortEvent(portID: port, isUp: true, host: name(host, replica), isArriving: true))
        }
        return events
    }

    /// How all ports are that somebody may wait for.
    static func ports(_ replica: OVSDBReplica) -> [PortEvent] {
        replica.rows("Port_Binding").flatMap { row -> [PortEvent] in
            guard isPlugged(row), let port = row["logical_port"].string else { return [] }
            let carrier = carrier(row)
            let known = PortEvent(
                portID: port, isUp: carrier != nil, host: carrier.flatMap { name($0, replica) })
            return [known]
                + others(row).filter { $0 != carrier }.map { host in
                    PortEvent(portID: port, isUp: true, host: name(host, replica), isArriving: true)
                }
        }
    }

    private static func name(_ chassis: String, _ replica: OVSDBReplica) -> String? {
        let host = replica.row("Chassis", chassis)
        return host?["hostname"].string.flatMap { $0.isEmpty ? nil : $0 } ?? host?["name"].string
    }

    /// The rows of hosts that have plugged a port which moves to them.
    private static func others(_ binding: OVSDBRow?) -> Set<String> {
        Set(binding?["additional_chassis"].uuids ?? [])
    }

    /// Guests' ports, as against those that routers, physical networks and the metadata service have.
    private static func isPlugged(_ binding: OVSDBRow) -> Bool {
        ["", "external"].contains(binding["type"].string ?? "")
    }

    /// The row of the host that carries a port, while its flows are in place.
    private static func carrier(_ binding: OVSDBRow?) -> String? {
        guard let binding, binding["up"].bool == true else { return nil }
        return binding["chassis"].uuid
    }
}
