// SPDX-License-Identifier: Apache-2.0
import Engines
import Glibc
import Kernel
import LoadBalancer
import LoadBalancerHAProxy
import LoadBalancerOVN
import Network
import NetworkOVN
import OVSDB
import Testing

/// `Base`'s: the kernel has another type of that name.
typealias Place = Base.Surroundings

/// What these tests need.
enum BalancerMachine {
    static let canRun =
        geteuid() == 0
        && [
            "ip", "ethtool", "ping", "socat", "curl", "openssl", "nft", "haproxy", "ovs-vswitchd", "ovs-vsctl",
            "ovsdb-server", "ovn-northd", "ovn-controller",
        ].allSatisfy { Subprocess.locate($0) != nil }
}

/// Real packets through balancers; namespaces stand for guests. One after another: each has a whole cloud's engines.
@Suite(
    "Balancers", .serialized, .enabled(if: BalancerMachine.canRun, "needs root, HAProxy, OVN's programs, nft and socat")
)
enum BalancerPackets {}

/// One chassis with real engines and a network on it, and namespaces that stand for members and clients.
struct BalancerGround {
    let engines: Engines
    let backend: OVNNetworkBackend
    let ovn: OVNBalancers
    let haproxy: HAProxyBalancers

    /// Builds it, lets a test walk over it, and takes it away whatever happened.
    static func with(_ guests: [PortSpec], _ walk: (BalancerGround) async throws -> Void) async throws {
        let folder = "/tmp/apus-test-\(RandomIdentifiers().hex().prefix(8))"
        var options = EngineOptions()
        options.hypervisor = false
        options.chassisName = "chassis"
        let pool = BlockingPool(name: "balancers", threads: 8, queue: 64)
        let engines = try Engines(dataDirectory: folder, options: options, pool: pool)
        try await engines.start()
        let settings = HAProxySettings(
            folder: engines.paths.root + "/lb", prefix: engines.paths.prefix, chassis: engines.paths.chassisNamespace,
            switchDatabase: engines.paths.switchDatabase)
        let haproxy = HAProxyBalancers(settings, pool: pool)
        var problem: (any Error)?
        do {
            let (north, south) = (
                try OVSDBEndpoint.list(engines.paths.northbound), try OVSDBEndpoint.list(engines.paths.southbound)
            )
            let ground = BalancerGround(
                engines: engines, backend: OVNNetworkBackend(northbound: north, southbound: south),
                ovn: OVNBalancers(northbound: north, southbound: south), haproxy: haproxy)
            try await ground.awaitChassis()
            _ = try await ground.backend.synchronize(Ground.topology(guests))
            for guest in guests { try ground.plug(guest) }
            try await ground.backend.settle()
            try await walk(ground)
        } catch { problem = error }
        for id in try await haproxy.present() { try await haproxy.remove(id) }
        try await engines.stop()
        FileSystem.remove(folder)
        if let problem { throw problem }
    }

    /// Gateways are placed on the hosts that are known: a busy machine's chassis may not have told of itself yet.
    private func awaitChassis() async throws {
        for _ in 1...300 {
            if try await !backend.chassis().isEmpty { return }
            _ = try Subprocess.runBlocking(["sleep", "0.1"], timeout: .seconds(2))
        }
    }

    /// The balancers' addresses as guests': those of provider `haproxy` are plugged in.
    func exposeAddresses() async throws {
        let ports = [Ground.balancerPort, Ground.secondPort].map { own -> TopologyObject in
            var port = own
            (port.kind, port.portSecurity) = (.guest, false)
            return .port(port)
        }
        try await backend.apply(TopologyChange(put: ports))
    }

    // MARK: - Namespaces

    private func space(_ guest: PortSpec) -> NetworkNamespace {
        NetworkNamespace("\(engines.paths.prefix)-\(guest.id)")
    }
    func spot(_ guest: PortSpec) -> Place { Place(network: space(guest)) }
    var outside: Place { Place(network: engines.paths.externalNamespace) }

    private func plug(_ guest: PortSpec) throws {
        let (space, chassis) = (space(guest), engines.paths.prefix)
        _ = try space.create()
        try Subprocess.check([
            "ip", "link", "add", guest.id, "netns", chassis, "type", "veth", "peer", "name", "eth0", "netns",
            space.name,
        ])
        try Subprocess.check(["ip", "-n", chassis, "link", "set", guest.id, "up"])
        var batch = "link set eth0 address \(guest.mac) mtu 1442\nlink set eth0 up\nlink set lo up\n"
        for fixed in guest.addresses {
            let isSix = fixed.address.version == .v6
            batch += "addr add \(fixed.address)/\(isSix ? "64" : "24") dev eth0\(isSix ? " nodad" : "")\n"
            let gateway = CIDR(fixed.address, prefix: isSix ? 64 : 24)!.hosts.lowerBound
            batch += "route add default via \(gateway)\n"
        }
        try Subprocess.check(["ip", "-n", space.name, "-batch", "-"], input: Array(batch.utf8))
        try Subprocess.check(["ethtool", "-K", "eth0", "tx", "off"], in: spot(guest))
        try Subprocess.check(
            ["ethtool", "-K", guest.id, "tx", "off"], in: Place(network: engines.paths.chassisNamespace))
        try Subprocess.check([
            "ovs-vsctl", "--timeout=10", "--db=\(engines.paths.switchDatabase)", "add-port", "br-int", guest.id, "--",
            "set", "Interface", guest.id, "external-ids:iface-id=\(guest.id)",
        ])
    }

    /// Tells everybody its name who connects or sends a datagram, until the namespace goes.
    @discardableResult
    func serve(_ guest: PortSpec) throws -> [ChildProcess] {
        try ["TCP6-LISTEN:8080", "UDP6-LISTEN:9090"].map { door in
            try Subprocess.spawn(
                ["socat", "-t", "5", "\(door),fork,reuseaddr,ipv6only=0", "SYSTEM:'read q; echo \(guest.id)'"],
                in: spot(guest))
        }
    }

    // MARK: - Asking

    /// What is answered to one question, nil when nothing is.
    static func ask(_ door: String, _ place: Place) throws -> String? {
        // Nobody tells the end of a datagram's answer. The first line is all of it, and the shell waits no longer.
        if door.hasPrefix("UDP:"), !door.contains(","), let port = door.split(separator: ":").last {
            let host = door.dropFirst(4).dropLast(port.count + 1).filter { !"[]".contains($0) }
            let script = "exec 3<> /dev/udp/\(host)/\(port) && echo q >&3 && timeout 3 head -n 1 <&3"
            let output = try Subprocess.runBlocking(["bash", "-c", script], timeout: .seconds(8), in: place)
            return output.text.split(separator: "\n").first.map(String.init)
        }
        let argv = ["socat", "-t", door.hasPrefix("UDP") ? "1" : "3", "-T", "3", "-", door]
        let output = try Subprocess.runBlocking(argv, input: Array("q\n".utf8), timeout: .seconds(8), in: place)
        return output.text.split(separator: "\n").first.map(String.init)
    }

    static func tcp(_ address: String, _ port: Int = 80) -> String {
        "TCP:\(address.contains(":") ? "[\(address)]" : address):\(port),connect-timeout=2"
    }
    static func udp(_ address: String, _ port: Int = 90) -> String {
        "UDP:\(address.contains(":") ? "[\(address)]" : address):\(port)"
    }

    /// Whether exactly these answer, each at least once: asked until it is so, for what takes time is the network's.
    static func reached(_ wanted: Set<String>, by door: String, _ place: Place) throws -> Bool {
        for _ in 1...8 {
            var found: Set<String?> = []
            for number in 1...24 {
                found.insert(try ask(door, place))
                if !found.isSubset(of: wanted) { break }
                if number >= 6, found.count == wanted.count { return true }
            }
            _ = try Subprocess.runBlocking(["sleep", "0.3"], timeout: .seconds(2))
        }
        return false
    }

    static func ping(_ address: String, _ place: Place) -> Bool {
        let argv = ["ping", "-c", "3", "-i", "0.2", "-W", "1", "-q", address]
        return (try? Subprocess.runBlocking(argv, timeout: .seconds(20), in: place))?.status == 0
    }

    /// The report once it says so of a member.
    func becomes(_ member: String, _ health: BalancerReport.Health, _ balancer: String) async throws -> Bool {
        for _ in 1...60 {
            if try await ovn.report(balancer)?.members[member] == health { return true }
            _ = try Subprocess.runBlocking(["sleep", "0.2"], timeout: .seconds(2))
        }
        return false
    }

    func northbound(_ words: String...) throws -> String {
        try Subprocess.check(["ovn-nbctl", "--timeout=10", "--db=\(engines.paths.northbound)"] + words)
    }
}
