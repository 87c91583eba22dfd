// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Kernel
import Network
import NetworkOVN
import OVSDB

/// `Base`'s: the kernel has another type of that name.
typealias Spot = Base.Surroundings

/// Several hosts on one machine: each a namespace with a switch and a controller of its own, a wire between them, and
/// an outside that all of them reach (`external`), where 203.0.113.1 answers.
final class ManyHosts: Sendable {
    let folder: String
    let prefix: String
    let hosts: [String]
    let backend: OVNNetworkBackend
    private let serving: Task<Void, Never>

    static let canRun =
        geteuid() == 0
        && [
            "ip", "ethtool", "ping", "socat", "sysctl", "ovs-vswitchd", "ovs-vsctl", "ovsdb-server", "ovsdb-tool",
            "ovn-northd",
            "ovn-controller", "ovn-nbctl", "ovn-sbctl",
        ].allSatisfy { Subprocess.locate($0) != nil }

    /// Makes the hosts, lets them be used, and takes everything away again, whatever happens.
    static func run(
        _ count: Int, _ options: OVNOptions = OVNOptions(), _ use: (ManyHosts) async throws -> Void
    ) async throws {
        let ground = try ManyHosts(count, options)
        var problem: (any Error)?
        do {
            try ground.raise()
            try await use(ground)
        } catch { problem = error }
        ground.serving.cancel()
        ground.clear()
        if let problem { throw problem }
    }

    private init(_ count: Int, _ options: OVNOptions) throws {
        let mark = RandomIdentifiers().hex().prefix(6)
        prefix = "apt\(mark)"
        folder = "/tmp/\(prefix)"
        hosts = (1...count).map { "h\($0)" }
        let backend = OVNNetworkBackend(
            northbound: try OVSDBEndpoint.list("unix:\(folder)/nb.sock"),
            southbound: try OVSDBEndpoint.list("unix:\(folder)/sb.sock"), options: options)
        self.backend = backend
        serving = Task { await backend.run() }
    }

    // MARK: Names

    func space(_ name: String) -> NetworkNamespace { NetworkNamespace("\(prefix)-\(name)") }
    func spot(_ name: String) -> Spot { Spot(network: space(name)) }
    var outside: Spot { spot("out") }
    private func home(_ host: String) -> String { "\(folder)/\(host)" }
    private func switchDatabase(_ host: String) -> String { "unix:\(home(host))/db.sock" }
    private func surroundings(_ host: String) -> [String: String] {
        let home = home(host)
        return [
            "OVS_RUNDIR": home, "OVS_DBDIR": home, "OVS_LOGDIR": home, "OVN_RUNDIR": home,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
    }

    // MARK: Up

    private func raise() throws {
        try FileSystem.makeDirectory(folder)
        try central()
        for (name, address) in [("wire", nil), ("out", "203.0.113.1/24")] {
            _ = try space(name).create()
            var batch = "link add br0 type bridge\nlink set br0 up\nlink set lo up\n"
            if let address { batch += "addr add \(address) dev br0\n" }
            try ip(name, batch)
            _ = try? Subprocess.check(["ethtool", "-K", "br0", "tx", "off"], in: spot(name))
        }
        for (place, host) in hosts.enumerated() { try raise(host, "10.254.0.\(place + 1)") }
    }

    private func central() throws {
        for side in ["nb", "sb"] {
            let file = "\(folder)/\(side).db"
            try Subprocess.check(["ovsdb-tool", "create", file, "/usr/share/ovn/ovn-\(side).ovsschema"])
            try daemon(
                "ovsdb-server", side,
                ["--remote=punix:\(folder)/\(side).sock", "--unixctl=\(folder)/\(side).ctl", file])
            try Subprocess.check(["ovn-\(side)ctl", "--timeout=10", "--db=unix:\(folder)/\(side).sock", "init"])
        }
        try daemon(
            "ovn-northd", "northd",
            [
                "--unixctl=\(folder)/northd.ctl", "--ovnnb-db=unix:\(folder)/nb.sock",
                "--ovnsb-db=unix:\(folder)/sb.sock",
            ])
    }

    private func daemon(_ program: String, _ name: String, _ more: [String], of host: String? = nil) throws {
        let home = host.map { self.home($0) } ?? folder
        let argv =
            [
                program, "--detach", "--no-chdir", "--pidfile=\(home)/\(name).pid", "--log-file=\(home)/\(name).log",
                "-vconsole:off",
            ] + more
        try Subprocess.check(
            argv, environment: host.map { surroundings($0) }, in: host.map { spot($0) } ?? Spot.own)
    }

    private func raise(_ host: String, _ address: String) throws {
        let home = home(host)
        try FileSystem.makeDirectory(home)
        _ = try space(host).create()
        try ip(host, "link set lo up\n")
        for (inner, far) in [("under", "wire"), ("outer", "out")] {
            let port = "p\(host)"
            try Subprocess.check([
                "ip", "link", "add", inner, "netns", space(host).name, "type", "veth", "peer", "name", port, "netns",
                space(far).name,
            ])
            try ip(host, "link set \(inner) up\n")
            try ip(far, "link set \(port) master br0 up\n")
            try Subprocess.check(["ethtool", "-K", inner, "tx", "off"], in: spot(host))
            try Subprocess.check(["ethtool", "-K", port, "tx", "off"], in: spot(far))
        }
        try Subprocess.check(["ovsdb-tool", "create", "\(home)/conf.db", "/usr/share/openvswitch/vswitch.ovsschema"])
        try daemon(
            "ovsdb-server", "db", ["--remote=p\(switchDatabase(host))", "--unixctl=\(home)/db.ctl", "\(home)/conf.db"],
            of: host)
        var argv = ["--no-wait", "init", "--", "set", "Open_vSwitch", "."]
        argv += [
            "system-id=\(host)", "hostname=\(host).example.org", "ovn-remote=\"unix:\(folder)/sb.sock\"",
            "ovn-encap-type=geneve", "ovn-encap-ip=\(address)", "ovn-bridge-datapath-type=netdev",
            "ovn-bridge-mappings=\"external:br-ex\"", "ovn-cms-options=enable-chassis-as-gw",
        ].map { "external-ids:\($0)" }
        for (bridge, mode, port) in [
            ("br-ul", "standalone", "under"), ("br-ex", "standalone", "outer"), ("br-int", "secure", ""),
        ] {
            argv += [
                "--", "add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev", "fail_mode=\(mode)",
            ]
            if !port.isEmpty { argv += ["--", "add-port", bridge, port] }
        }
        try vsctl(host, argv)
        try startSwitch(host, address)
        try startController(host)
    }

    private func startSwitch(_ host: String, _ address: String) throws {
        try daemon(
            "ovs-vswitchd", "vswitchd", ["--unixctl=\(home(host))/vswitchd.ctl", switchDatabase(host)], of: host)
        try ip(host, "addr replace \(address)/24 dev br-ul\nlink set br-ul up\nlink set br-ex up\n")
    }

    func startController(_ host: String) throws {
        try daemon("ovn-controller", "controller", [switchDatabase(host)], of: host)
    }

    func vsctl(_ host: String, _ argv: [String]) throws {
        try Subprocess.check(
            ["ovs-vsctl", "--timeout=20", "--db=\(switchDatabase(host))"] + argv, timeout: .seconds(30),
            environment: surroundings(host), in: spot(host))
    }

    /// Returns once the counters of the switches' flows have what went by until now.
    func settleCounters() throws {
        for host in hosts {
            try Subprocess.check(
                ["ovs-appctl", "--timeout=20", "--target=\(home(host))/vswitchd.ctl", "revalidator/wait"],
                timeout: .seconds(30))
        }
    }

    func ip(_ name: String, _ batch: String) throws {
        try Subprocess.check(["ip", "-n", space(name).name, "-batch", "-"], input: Array(batch.utf8))
    }

    // MARK: Trouble

    private func end(_ host: String, _ name: String, _ signal: Int32) {
        guard let pid = ProcessHandle.pid(at: "\(home(host))/\(name).pid"), let handle = ProcessHandle(pid) else {
            return
        }
        _ = handle.signal(signal)
        _ = handle.waitForEnd(.seconds(10))
    }

    func killController(_ host: String) { end(host, "controller", SIGKILL) }

    /// The switch ends and starts again, as an update of the package does it.
    func restartSwitch(_ host: String) throws {
        end(host, "vswitchd", SIGTERM)
        let place = (hosts.firstIndex(of: host) ?? 0) + 1
        try startSwitch(host, "10.254.0.\(place)")
    }

    /// The host falls out of the world: nothing of it runs, and no wire leads to it.
    func lose(_ host: String) throws {
        for name in ["controller", "vswitchd"] { end(host, name, SIGKILL) }
        try ip("wire", "link set p\(host) down\n")
        try ip("out", "link set p\(host) down\n")
    }

    private func clear() {
        for host in hosts {
            for name in ["controller", "vswitchd", "db"] { end(host, name, SIGTERM) }
        }
        for name in ["northd", "nb", "sb"] {
            guard let pid = ProcessHandle.pid(at: "\(folder)/\(name).pid"), let handle = ProcessHandle(pid) else {
                continue
            }
            handle.end(grace: .seconds(5))
        }
        let list = (try? Subprocess.check(["ip", "netns", "list"])) ?? ""
        for line in list.split(separator: "\n") {
            guard let name = line.split(separator: " ").first, name.hasPrefix(prefix) else { continue }
            try? NetworkNamespace(String(name)).delete()
        }
        FileSystem.remove(folder)
    }
}

extension ProcessHandle {
    /// What a pid file says.
    fileprivate static func pid(at file: String) -> Int32? {
        FileSystem.text(file).flatMap { Int32($0.split(whereSeparator: \.isWhitespace).first ?? "") }
    }
}
