// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Kernel
import Network
import NetworkOVN
import Testing

/// A namespace on a cable to the switch of one of several hosts.
final class PlacedGuest: Sendable {
    let port: PortSpec
    let ground: ManyHosts
    let host: String
    let spot: Spot
    private let name: String

    init(_ port: PortSpec, on host: String, _ ground: ManyHosts, label: String? = nil) throws {
        self.port = port
        self.ground = ground
        self.host = host
        let label = label ?? port.id
        name = label
        spot = ground.spot(label)
        _ = try ground.space(label).create()
        try Subprocess.check([
            "ip", "link", "add", label, "netns", ground.space(host).name, "type", "veth", "peer", "name", "eth0",
            "netns",
            ground.space(label).name,
        ])
        try ground.ip(host, "link set \(label) up\n")
        try ground.ip(
            label, "link set eth0 address \(port.mac)\nlink set eth0 mtu 1442\nlink set eth0 up\nlink set lo up\n")
        // Userspace datapath: nobody else fills in checksums.
        try Subprocess.check(["ethtool", "-K", "eth0", "tx", "off"], in: spot)
        try Subprocess.check(["ethtool", "-K", label, "tx", "off"], in: ground.spot(host))
        try ground.vsctl(
            host,
            ["add-port", "br-int", label, "--", "set", "Interface", label, "external-ids:iface-id=\(port.id)"])
    }

    /// Gives itself the IPv4 addresses that the port has, and a way out.
    func configure(gateway: String? = nil, also more: [String] = []) throws {
        var batch = ""
        for fixed in port.addresses where fixed.address.version == .v4 {
            batch += "addr add \(fixed.address)/24 dev eth0\n"
        }
        for address in more { batch += "addr add \(address) dev eth0\n" }
        if let gateway { batch += "route add default via \(gateway)\n" }
        try ground.ip(name, batch)
    }

    // MARK: Asking

    func reaches(_ address: String) -> Bool { PlacedGuest.ping(address, from: spot) }

    static func ping(_ address: String, from spot: Spot) -> Bool {
        let argv = ["ping", "-c", "5", "-i", "0.2", "-W", "1", "-q", address]
        guard let output = try? Subprocess.runBlocking(argv, timeout: .seconds(20), in: spot) else { return false }
        return output.status == 0
    }

    /// Whether an answer comes at all within so many tries.
    static func reachesInTheEnd(_ address: String, from spot: Spot, tries: Int = 30) -> Bool {
        let one = ["ping", "-c", "1", "-W", "1", "-q", address]
        for _ in 0..<tries {
            if (try? Subprocess.runBlocking(one, timeout: .seconds(5), in: spot))?.status == 0 { return true }
        }
        return false
    }

    /// Serves one word to everybody who connects, until the namespace goes.
    func serve(_ word: String, port: Int) throws -> ChildProcess {
        try PlacedGuest.serve(word, port: port, in: spot)
    }

    static func serve(_ word: String, port: Int, in spot: Spot) throws -> ChildProcess {
        try Subprocess.spawn(
            ["socat", "TCP-LISTEN:\(port),fork,reuseaddr", "SYSTEM:'echo \(word)'"], in: spot)
    }

    /// Says everything back that it is told; listens when this returns.
    func echo(port: Int) throws -> ChildProcess { try PlacedGuest.echo(port: port, in: spot) }

    static func echo(port: Int, in spot: Spot) throws -> ChildProcess {
        let server = try Subprocess.spawn(["socat", "TCP-LISTEN:\(port),fork,reuseaddr", "EXEC:cat"], in: spot)
        let knock = ["socat", "-u", "OPEN:/dev/null", "TCP:127.0.0.1:\(port),retry=100,interval=0.1"]
        try Subprocess.check(knock, in: spot)
        return server
    }

    /// What a server says to whoever connects; tried again while nobody answers.
    static func ask(_ address: String, port: Int, from spot: Spot, tries: Int = 5) -> String? {
        for _ in 0..<tries {
            let argv = ["socat", "-T", "2", "-", "TCP:\(address):\(port),connect-timeout=2"]
            guard let output = try? Subprocess.runBlocking(argv, input: [], timeout: .seconds(10), in: spot) else {
                continue
            }
            let text = output.text.split(separator: "\n").first.map(String.init)
            if let text { return text }
        }
        return nil
    }

    /// Sends a datagram and gives the answer.
    func exchange(_ message: [UInt8], _ address: String) throws(Fault) -> [UInt8] {
        let argv = ["socat", "-T", "2", "-t", "2", "-", address]
        return try Subprocess.runBlocking(argv, input: message, timeout: .seconds(10), in: spot).stdout
    }
}

extension ManyHosts {
    /// Makes the topology real and puts guests on hosts, with their addresses and a way out by their network's router.
    func place(_ whole: Topology, _ places: [(port: PortSpec, host: String)]) async throws -> [PlacedGuest] {
        _ = try await backend.synchronize(whole)
        let guests = try places.map { try PlacedGuest($0.port, on: $0.host, self) }
        try await backend.settle()
        for guest in guests { try guest.configure(gateway: "10.\(guest.port.networkID.dropFirst()).0.1") }
        return guests
    }

    /// One guest each on the first and the second host.
    func place(_ whole: Topology, _ first: PortSpec, _ second: PortSpec) async throws -> (PlacedGuest, PlacedGuest) {
        let guests = try await place(whole, [(first, "h1"), (second, "h2")])
        return (guests[0], guests[1])
    }

    /// A guest whose host does not carry the gateway, and the host that does.
    func placeApart(_ whole: Topology, _ port: PortSpec) async throws -> (guest: PlacedGuest, carrier: String) {
        _ = try await backend.synchronize(whole)
        let carrier = try #require(await backend.gatewayHosts(of: "gw").first)
        let home = try #require(hosts.first { $0 != carrier })
        return (try await place(whole, [(port, home)])[0], carrier)
    }

    /// Changes what should be, and returns once the hosts follow.
    func put(_ objects: TopologyObject...) async throws {
        try await backend.apply(TopologyChange(put: objects))
        try await backend.settle()
    }

    /// What has switches forget what ended.
    var sweep: ConnectionSweep {
        ConnectionSweep(
            backend, switches: hosts.map { "unix:\(folder)/\($0)/br-int.mgmt" },
            pool: BlockingPool(name: "sweep", threads: 1, queue: 8), clock: MachineClock())
    }
}

/// A connection that somebody holds open, with an echo at its other end.
final class HeldConnection: Sendable {
    private let file: Int32

    init(from space: NetworkNamespace, to address: String, port: UInt16) throws {
        file = try space.connect(host: address, port: port)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(file) }

    /// Whether what is said comes back.
    func echoes(_ word: String) -> Bool {
        let bytes = Array(word.utf8)
        guard send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { return false }
        var got: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 256)
        while got.count < bytes.count {
            let count = recv(file, &buffer, buffer.count, 0)
            guard count > 0 else { return false }
            got += buffer[..<count]
        }
        return got == bytes
    }
}
