// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a guest's host knows of it now, in the document that is the same for every hypervisor (2.48).
enum ServerDiagnostics: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/diagnostics", "Show a server's diagnostics", of: Server.visible,
            allow: .adminOnly("os-server-diagnostics"), show)
    ]

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        guard let host = server.host else { throw .conflict("Instance \(server.id) is not ready") }
        let driver = try request.compute.hosts.find(host)
        guard let state = try await driver.state(of: server.id) else { throw .guestNotFound(server.id) }
        let facts = try await driver.resources()
        guard request.version >= "2.48" else { return .bare { $0.put("memory", server.memoryMB * 1024) } }
        return .bare { view in
            view.put("state", name(state))
            // The API names no driver for made-up guests; upstream's fake one calls itself this, too.
            view.put("driver", "libvirt")
            view.put("hypervisor", facts.hypervisorType.lowercased())
            view.put("hypervisor_os", "linux")
            view.put("uptime", Int?.none)
            view.put("config_drive", server.hasConfigDrive)
            view.put("num_cpus", server.vcpus)
            view.put("num_nics", server.ports.count)
            view.put("num_disks", 1)
            view.put("cpu_details", [JSON]())
            view.list("nic_details", server.ports) { view, port in
                view.put("mac_address", port.mac)
                // No driver counts these yet.
                for name in counters { view.put(named: name, JSON.null) }
            }
            view.put("disk_details", [JSON]())
            view.nest("memory_details") {
                $0.put("maximum", server.memoryMB)
                $0.put("used", Int?.none)
            }
        }
    }

    private static let counters = [
        "rx_octets", "rx_errors", "rx_drop", "rx_packets", "rx_rate", "tx_octets", "tx_errors", "tx_drop", "tx_packets",
        "tx_rate",
    ]

    private static func name(_ state: GuestState) -> String {
        switch state {
        case .none: "pending"
        case .running: "running"
        case .paused: "paused"
        case .shutdown: "shutdown"
        case .crashed: "crashed"
        case .suspended: "suspended"
        }
    }
}
