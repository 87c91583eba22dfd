// SPDX-License-Identifier: Apache-2.0
import Engines
import Glibc
import Kernel
import LoadBalancer
import LoadBalancerHAProxy
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
            "ip", "ethtool", "socat", "curl", "openssl", "haproxy", "ovs-vswitchd", "ovs-vsctl", "ovsdb-server",
            "ovn-northd", "ovn-controller",
        ].allSatisfy { Subprocess.locate($0) != nil }
}

/// One chassis with real engines, a network on it, and namespaces that stand for members and clients.
struct Ground {
    let engines: Engines
    let backend: OVNNetworkBackend
    let provider: HAProxyBalancers
    let folder: String

    static let members = ["10.0.0.11", "10.0.0.12", "10.0.0.13"]
    static let client = "10.0.0.20"
    static let vip = "10.0.0.5"

    /// Builds it, lets a test walk over it, and takes it away whatever happened.
    static func with(_ walk: (Ground) async throws -> Void) async throws {
        let folder = "/tmp/apus-test-\(RandomIdentifiers().hex().prefix(8))"
        var options = EngineOptions()
        options.hypervisor = false
        options.chassisName = "chassis"
        let pool = BlockingPool(name: "balancers", threads: 8, queue: 64)
        let engines = try Engines(dataDirectory: folder, options: options, pool: pool)
        try await engines.start()
        var problem: (any Error)?
        do {
            let backend = OVNNetworkBackend(
                northbound: try OVSDBEndpoint.list(engines.paths.northbound),
                southbound: try OVSDBEndpoint.list(engines.paths.southbound))
            let settings = HAProxySettings(
                folder: engines.paths.root + "/lb", prefix: engines.paths.prefix,
                chassis: engines.paths.chassisNamespace, switchDatabase: engines.paths.switchDatabase)
            let ground = Ground(
                engines: engines, backend: backend, provider: HAProxyBalancers(settings, pool: pool), folder: folder)
            _ = try await backend.synchronize(topology)
            for address in members + [client] { try ground.plug(address) }
            try await backend.settle()
            try await walk(ground)
        } catch { problem = error }
        endLeftovers(folder)
        try await engines.stop()
        FileSystem.remove(folder)
        if let problem { throw problem }
    }

    /// Processes of balancers that outlived their test.
    private static func endLeftovers(_ folder: String) {
        for pid in ProcessTable.all() {
            guard ProcessTable.name(pid) == "haproxy", let handle = ProcessHandle(pid),
                handle.arguments.contains(where: { $0.hasPrefix(folder) })
            else { continue }
            handle.end(grace: .milliseconds(200))
        }
    }

    private static func port(_ id: String, _ address: String, _ n: UInt64) -> PortSpec {
        PortSpec(
            id: id, networkID: "inner", mac: MACAddress(number: MACAddress.base.number + n)!,
            addresses: [FixedAddress(subnetID: "inner-4", address: IPAddress(address)!)], portSecurity: false)
    }

    private static let balancerPort = port("vip-port", vip, 5)
    private static let secondPort = port("vip-port-2", "10.0.0.6", 6)
    private static var topology: Topology {
        let ports = (members + [client]).enumerated().map { port("p\($0.offset)", $0.element, 20 + UInt64($0.offset)) }
        return Topology(
            networks: [
                SwitchSpec(
                    id: "inner",
                    subnets: [
                        SubnetSpec(
                            id: "inner-4", cidr: CIDR(strict: "10.0.0.0/24")!, gateway: .v4(10, 0, 0, 1), dhcp: false)
                    ])
            ], ports: ports + [balancerPort, secondPort], routers: [], securityGroups: [])
    }

    static func balancer(_ listeners: [ListenerSpec], _ pools: [PoolSpec]) -> BalancerSpec {
        BalancerSpec(
            id: "11111111-2222-4333-8444-555555555555", projectID: "p", networkID: "inner", portID: balancerPort.id,
            mac: balancerPort.mac.description, mtu: 1442,
            addresses: [BalancerSpec.Address(address: vip, subnetID: "inner-4", cidr: "10.0.0.0/24")],
            listeners: listeners, pools: pools)
    }

    /// Without listeners and pools; the first or the second.
    static func bare(_ number: Int) -> BalancerSpec {
        var spec = balancer([], [])
        guard number == 2 else { return spec }
        (spec.id, spec.portID, spec.mac) = (
            "21111111-2222-4333-8444-555555555555", secondPort.id, secondPort.mac.description
        )
        spec.addresses = [BalancerSpec.Address(address: "10.0.0.6", subnetID: "inner-4", cidr: "10.0.0.0/24")]
        return spec
    }

    static func pool(_ id: String, _ count: Int = 2, _ more: (inout PoolSpec) -> Void = { _ in }) -> PoolSpec {
        var pool = PoolSpec(id: id, protocol: .http, algorithm: .roundRobin)
        pool.members = members.prefix(count).enumerated().map {
            MemberSpec(id: "m\($0.offset)", address: $0.element, port: 8080)
        }
        more(&pool)
        return pool
    }

    // MARK: - Namespaces

    func spot(_ address: String) -> NetworkNamespace {
        NetworkNamespace("\(engines.paths.prefix)-\(address.split(separator: ".").last ?? "")")
    }
    var client: Place { Place(network: spot(Ground.client)) }

    private func plug(_ address: String) throws {
        let index = (Ground.members + [Ground.client]).firstIndex(of: address) ?? 0
        let (space, chassis, tap) = (spot(address), engines.paths.prefix, "t\(index)")
        let mac = MACAddress(number: MACAddress.base.number + 20 + UInt64(index))!
        _ = try space.create()
        try Subprocess.check([
            "ip", "link", "add", tap, "netns", chassis, "type", "veth", "peer", "name", "eth0", "netns", space.name,
        ])
        try Subprocess.check(["ip", "-n", chassis, "link", "set", tap, "up"])
        let batch =
            "link set eth0 address \(mac) mtu 1442\nlink set eth0 up\nlink set lo up\naddr add \(address)/24 dev eth0\n"
        try Subprocess.check(["ip", "-n", space.name, "-batch", "-"], input: Array(batch.utf8))
        try Subprocess.check(["ethtool", "-K", "eth0", "tx", "off"], in: Place(network: space))
        try Subprocess.check(["ethtool", "-K", tap, "tx", "off"], in: Place(network: engines.paths.chassisNamespace))
        try Subprocess.check([
            "ovs-vsctl", "--timeout=10", "--db=\(engines.paths.switchDatabase)", "add-port", "br-int", tap, "--",
            "set", "Interface", tap, "external-ids:iface-id=p\(index)",
        ])
    }

    /// A member that answers every request with its name.
    func serve(_ index: Int) throws -> ChildProcess {
        let script = "\(folder)/member\(index)"
        let text = "#!/bin/sh\nread line\nprintf 'HTTP/1.0 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nm\(index)'\n"
        try FileSystem.write(text, to: script, mode: 0o755)
        return try Subprocess.spawn(
            ["socat", "TCP-LISTEN:8080,fork,reuseaddr", "EXEC:\(script)"],
            in: Place(network: spot(Ground.members[index])))
    }

    /// What the balancer answers to the client; the status and the body.
    func ask(_ url: String, _ more: String...) throws -> String {
        let words = ["curl", "-s", "-k", "-m", "5", "-w", " %{http_code}"] + more + [url]
        return try Subprocess.runBlocking(words, timeout: .seconds(10), in: client).text
    }

    /// Asks until the answer is the wanted one: what takes time is the network's and the checks'.
    func becomes(_ wanted: String, _ url: String, _ more: [String] = []) throws -> Bool {
        for _ in 1...60 {
            let words = ["curl", "-s", "-k", "-m", "2", "-w", " %{http_code}"] + more + [url]
            if try Subprocess.runBlocking(words, timeout: .seconds(10), in: client).text == wanted { return true }
            _ = try Subprocess.runBlocking(["sleep", "0.2"], timeout: .seconds(2))
        }
        return false
    }
}
