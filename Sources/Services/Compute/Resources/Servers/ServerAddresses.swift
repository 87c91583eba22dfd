// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A server's addresses by network.
enum ServerAddresses: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/ips", "List a server's addresses", of: Server.visible, allow: .reader("ips:index"),
            index),
        .get(
            "/servers/{server_id}/ips/{network_label}", "Show a server's addresses in one network", of: Server.visible,
            allow: .reader("ips:show"), show),
    ]

    private static func index(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        .bare { view in view.nest("addresses") { server.labelled(&$0, isShort: true) } }
    }

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let label = request["network_label"]
        guard server.ports.contains(where: { $0.label == label }) else {
            throw .notFound("Instance is not a member of specified network")
        }
        return .bare { server.labelled(&$0, only: label, isShort: true) }
    }
}

// MARK: - Wire

extension Server {
    func addresses(_ view: inout View, isShort: Bool = false) {
        view.nest("addresses") { self.labelled(&$0, isShort: isShort) }
    }

    /// `{"private": [{"addr": ..., "version": 4, ...}]}`, networks in the order of their ports.
    func labelled(_ view: inout View, only label: String? = nil, isShort: Bool = false) {
        var labels: [String] = []
        for port in ports where !labels.contains(port.label) && (label == nil || label == port.label) {
            labels.append(port.label)
        }
        for label in labels {
            view.writer.key(label)
            view.writer.beginArray()
            for port in ports where port.label == label {
                for address in port.addresses {
                    view.object {
                        $0.put("version", address.version)
                        $0.put("addr", address.address)
                        guard !isShort else { return }
                        $0.put("OS-EXT-IPS:type", address.kind)
                        $0.put("OS-EXT-IPS-MAC:mac_addr", port.mac)
                    }
                }
            }
            view.writer.endArray()
        }
    }
}
