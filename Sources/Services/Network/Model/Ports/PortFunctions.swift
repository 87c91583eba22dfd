// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Ports that are functions of hosts' network cards (SR-IOV): they are bound as Neutron's mechanism for them binds
/// (`sriovnicswitch`, beside `ovn`). OVN itself knows them as ports outside of our hosts.
enum PortFunctions {
    /// The vnic type of a card that a guest has whole.
    static let whole = "direct-physical"
    static let kinds: Set = ["direct", "macvtap", "direct-physical", "accelerator-direct"]

    /// What a network is outside.
    struct Wire: Sendable {
        let type: String
        let vlan: Int?

        /// A card's function reaches a physical network and nothing else.
        var isPhysical: Bool { type == "flat" || type == "vlan" }
    }

    static func wires(_ database: Database, _ ports: [Port]) async throws(Fault) -> [String: Wire] {
        let ids = Set(ports.filter(\.isFunction).map(\.networkID))
        guard !ids.isEmpty else { return [:] }
        let networks = try await database.all(Network.self, "id", in: Array(ids))
        return Dictionary(
            networks.map { ($0.id, Wire(type: $0.networkType, vlan: $0.segmentationID)) }, uniquingKeysWith: { $1 })
    }
}

extension Port {
    /// One whose card is a switch itself is an ordinary port of Open vSwitch.
    var isFunction: Bool {
        guard PortFunctions.kinds.contains(vnicType) else { return false }
        return vnicType != "direct" || !(profile["capabilities"]?.array ?? []).contains("switchdev")
    }

    func vifType(_ extra: Extra) -> String {
        guard isPlugged else { return "unbound" }
        guard isFunction else { return "ovs" }
        guard extra.wires[networkID]?.isPhysical ?? false else { return "binding_failed" }
        return vnicType == PortFunctions.whole ? "hostdev_physical" : "hw_veb"
    }

    func writeFunction(_ view: inout View, _ extra: Extra) {
        guard let wire = extra.wires[networkID], wire.isPhysical else { return }
        view.put("port_filter", false)
        view.put("connectivity", "l2")
        view.put("vlan", wire.type == "vlan" ? "\(wire.vlan ?? 0)" : "0")
        view.nest("bound_drivers") { $0.put("0", "sriovnicswitch") }
    }
}
