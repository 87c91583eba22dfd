// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

extension Translator {
    /// Forwarded ports as load balancers with one member each: a row per floating address and protocol. The switches
    /// behind the router carry them, too, so that guests reach each other by the outer address.
    func forwardingRows(_ router: RouterSpec, switches: [String]) -> [NBRow] {
        let parents =
            [(OVNNames.router(router.id), "load_balancer")]
            + Set(switches).sorted().map { (OVNNames.switch($0), "load_balancer") }
        let rows = Dictionary(grouping: router.forwardings) { "\($0.floatingID)-\($0.ipProtocol)" }
        return rows.sorted { $0.key < $1.key }.compactMap { key, forwardings in
            guard let first = forwardings.first else { return nil }
            let name = "pf-floatingip-\(key)"
            let pairs = forwardings.flatMap(\.pairs)
            return NBRow(
                "Load_Balancer", name,
                [
                    "name": .string(name), "protocol": .string(first.ipProtocol),
                    "vips": .strings(Dictionary(pairs) { first, _ in first }),
                ],
                ids: [
                    "neutron:device_owner": "port_forwarding_plugin", "neutron:fip_id": first.floatingID,
                    "neutron:router_name": OVNNames.device(router.id),
                ], in: parents)
        }
    }
}

extension ForwardingSpec {
    /// Outer to inner, port by port.
    fileprivate var pairs: [(String, String)] {
        externals.enumerated().map { place, outer in
            let inner = internals.count == 1 ? internals.lowerBound : internals.lowerBound + place
            return ("\(address):\(outer)", "\(fixedAddress):\(inner)")
        }
    }
}
