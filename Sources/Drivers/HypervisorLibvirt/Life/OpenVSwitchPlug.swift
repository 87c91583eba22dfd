// SPDX-License-Identifier: Apache-2.0
package import Kernel
package import Compute

/// Guests' ports as taps on Open vSwitch's integration bridge. `iface-id` is what ovn-controller looks for.
package struct OpenVSwitchPlug: NetworkPlug {
    private let namespace: String?
    private let database: String
    private let bridge: String
    let pool: BlockingPool

    /// - Parameter namespace: the chassis' network namespace by name; nil is our own.
    /// - Parameter database: the path of Open vSwitch's database socket.
    package init(namespace: String?, database: String, bridge: String = "br-int", pool: BlockingPool) {
        self.namespace = namespace
        self.database = database
        self.bridge = bridge
        self.pool = pool
    }

    package func plug(_ nic: GuestNIC) async throws(Fault) {
        guard nic.kind == .tap else { return }
        try await pool.run { () throws(Fault) in
            // One that is there already is as good: the next command fails if there is none.
            var words = ip("tuntap", "add", "dev", nic.tap, "mode", "tap")
            if nic.queues > 1 { words.append("multi_queue") }
            _ = try Subprocess.runBlocking(words, timeout: .seconds(15))
            try Subprocess.check(ip("link", "set", "dev", nic.tap, "mtu", "\(nic.mtu)", "up"))
            try Subprocess.check(
                vsctl(
                    "--may-exist", "add-port", bridge, nic.tap, "--", "set", "Interface", nic.tap,
                    "external_ids:iface-id=\"\(nic.portID)\"", "external_ids:attached-mac=\"\(nic.mac)\"",
                    "external_ids:iface-status=active"))
        }
    }

    package func unplug(_ nic: GuestNIC) async throws(Fault) {
        guard nic.kind == .tap else { return }
        try await pool.run { () throws(Fault) in
            try Subprocess.check(vsctl("--if-exists", "del-port", bridge, nic.tap))
            let shown = try Subprocess.runBlocking(ip("link", "show", "dev", nic.tap), timeout: .seconds(15))
            if shown.status == 0 { try Subprocess.check(ip("link", "delete", "dev", nic.tap)) }
        }
    }

    private func ip(_ words: String...) -> [String] {
        ["ip"] + (namespace.map { ["-n", $0] } ?? []) + words
    }

    /// Never waits for the switch itself: one that is being restarted finds the port in its database.
    func listing(_ columns: String, _ words: String...) -> [String] {
        [
            "ovs-vsctl", "--db=unix:\(database)", "--no-syslog", "--no-wait", "--timeout=10", "--format=json",
            "--columns=" + columns,
        ] + words
    }

    func vsctl(_ words: String...) -> [String] {
        ["ovs-vsctl", "--db=unix:\(database)", "--no-syslog", "--no-wait", "--timeout=10", "--"] + words
    }
}

extension LibvirtHypervisor: PlugReporting {
    package func reportsPlugs() async -> Bool { settings.reportsPlugs }
}
