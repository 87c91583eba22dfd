// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

extension TapMirrorSpec: Translated {
    /// Not the port's presence alone: its row comes and goes with its network, too.
    var uses: [Use] { [Use(reference: .port(portID))] }

    /// OVN mirrors one way with a row, under the names of Neutron's driver.
    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow] {
        guard let port = translator.topology.ports[portID], translator.topology.networks[port.networkID] != nil else {
            return []
        }
        return tunnels.sorted { $0.key.rawValue < $1.key.rawValue }.map { direction, number in
            let way = direction == .ingress ? "in" : "out"
            return NBRow(
                "Mirror", "\(id) \(way)",
                [
                    "name": .string("tm_\(way)_\(id)"),
                    "filter": direction == .ingress ? "to-lport" : "from-lport",
                    "sink": .string(remote.description), "type": .string(type.rawValue), "index": .integer(number),
                ],
                ids: ["neutron:port_id": portID], in: [(NBKey("Logical_Switch_Port", portID), "mirror_rules")])
        }
    }
}
