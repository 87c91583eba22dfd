// SPDX-License-Identifier: Apache-2.0
import Engines
import Glibc
import Kernel
import Network
import NetworkOVN
import OVSDB
import Testing

/// What these tests need.
private enum PacketMachine {
    static let canRun =
        geteuid() == 0
        && [
            "ip", "ethtool", "ping", "socat", "ovs-vswitchd", "ovs-vsctl", "ovsdb-server", "ovn-northd",
            "ovn-controller",
        ].allSatisfy { Subprocess.locate($0) != nil }
}

/// `Base`'s: the kernel has another type of that name.
private typealias Place = Base.Surroundings

/// Real packets through real engines: namespaces stand for guests, which is the same to OVN.
@Suite(
    "Packets", .enabled(if: PacketMachine.canRun, "needs root and OVN's programs, ping and socat"),
    .timeLimit(.minutes(2)))
struct PacketTests {
    @Test(
        "Guests get addresses, reach whom they may and nobody else, and the world through router and floating address")
    func everything() async throws {
        let folder = "/tmp/apus-test-\(RandomIdentifiers().hex().prefix(8))"
        var options = EngineOptions()
        options.hypervisor = false
        options.chassisName = "chassis"
        let pool = BlockingPool(name: "packets", threads: 8, queue: 64)
        let engines = try Engines(dataDirectory: folder, options: options, pool: pool)
        try await engines.start()
        var problem: (any Error)?
        do { try await walk(engines) } catch { problem = error }
        try await engines.stop()
        FileSystem.remove(folder)
        if let problem { throw problem }
    }

    private func walk(_ engines: Engines) async throws {
        let backend = OVNNetworkBackend(
            northbound: try OVSDBEndpoint.list(engines.paths.northbound),
            southbound: try OVSDBEndpoint.list(engines.paths.southbound))
        var events = await backend.events().makeAsyncIterator()
        let serving = Task { await backend.run() }
        defer { serving.cancel() }
        _ = try await backend.synchronize(PacketWorld.topology)
        let guests = try PacketWorld.guests.map { try Guest($0, engines) }
        var up: Set<String> = []
        while up.count < guests.count, let event = await events.next() {
            if event.isUp { up.insert(event.portID) }
            #expect(event.host == nil || event.host?.isEmpty == false)
        }
        try await backend.settle()

        let offer = try #require(try guests[0].discover(), "no DHCP offer")
        #expect(offer.address == "10.0.0.11")
        #expect(offer.options[26] == [5, 162])
        #expect(offer.options[3] == [10, 0, 0, 1])
        for guest in guests { try guest.configure() }
        #expect(try guests[0].resolve("vm1.example.org", asking: "10.0.0.1") == "10.0.0.11", "OVN answers for names")
        let metadata = try Guest(PacketWorld.metadata, engines)
        try metadata.configure(also: "169.254.169.254/32")
        try guests[0].route("169.254.169.254/32", via: "10.0.0.2")
        #expect(guests[0].reaches("169.254.169.254"), "the metadata service of the guest's own host")
        #expect(guests[0].reaches("10.0.0.12"), "a member of the group on the same network")
        #expect(!guests[0].reaches("10.1.0.11"), "another network without a way to it")
        #expect(guests[1].reaches("203.0.113.1"), "the world, through SNAT")
        let outside = Place(network: engines.paths.externalNamespace)
        #expect(!Guest.ping("203.0.113.21", from: outside), "a floating address that no rule opens")
        var opened = PacketWorld.group
        opened.generation += 1
        opened.rules.append(SecurityRuleSpec(id: "ping", direction: .ingress, ipProtocol: "icmp"))
        try await backend.apply(TopologyChange(put: [.securityGroup(opened)]))
        try await backend.settle()
        #expect(Guest.ping("203.0.113.21", from: outside), "a floating address that a rule opens")
    }
}

/// Two tenant networks, one of them with a router to the outside.
private enum PacketWorld {
    static func subnet(_ n: UInt8) -> SubnetSpec {
        SubnetSpec(id: "s\(n)", cidr: CIDR(strict: "10.\(n).0.0/24")!, gateway: .v4(10, n, 0, 1))
    }
    static let outside = SwitchSpec(
        id: "outside", mtu: 1500, provider: .flat(physicalNetwork: "external"), isExternal: true,
        subnets: [
            SubnetSpec(id: "o", cidr: CIDR(strict: "203.0.113.0/24")!, gateway: .v4(203, 0, 113, 1), dhcp: false)
        ])
    static func guest(_ net: UInt8, _ n: UInt8) -> PortSpec {
        PortSpec(
            id: "g\(net)\(n)", networkID: "n\(net)",
            mac: MACAddress(number: MACAddress.base.number + UInt64(net * 16 + n))!,
            addresses: [FixedAddress(subnetID: "s\(net)", address: .v4(10, net, 0, 10 + n))],
            securityGroupIDs: ["group"], dnsName: "vm\(n)")
    }
    static let metadata = PortSpec(
        id: "m0", networkID: "n0", kind: .metadata, mac: MACAddress("fa:16:3e:cc:00:01")!,
        addresses: [FixedAddress(subnetID: "s0", address: .v4(10, 0, 0, 2))])
    static let guests = [guest(0, 1), guest(0, 2), guest(1, 1)]
    static let group = SecurityGroupSpec(
        id: "group", generation: 1,
        rules: [
            SecurityRuleSpec(id: "out", direction: .egress),
            SecurityRuleSpec(id: "peers", direction: .ingress, remote: .group("group")),
        ])
    static let inner = PortSpec(
        id: "inner", networkID: "n0", kind: .routerInterface(router: "r"), mac: MACAddress("fa:16:3e:aa:00:01")!,
        addresses: [FixedAddress(subnetID: "s0", address: .v4(10, 0, 0, 1))])
    static let outer = PortSpec(
        id: "outer", networkID: "outside", kind: .routerGateway(router: "r"), mac: MACAddress("fa:16:3e:bb:00:01")!,
        addresses: [FixedAddress(subnetID: "o", address: .v4(203, 0, 113, 10))])
    static let floating = FloatingIPSpec(
        id: "f", address: .v4(203, 0, 113, 21), fixedAddress: .v4(10, 0, 0, 11), portID: "g01")
    static let topology = Topology(
        networks: [
            SwitchSpec(id: "n0", dnsDomain: "example.org.", subnets: [subnet(0)]),
            SwitchSpec(id: "n1", subnets: [subnet(1)]), outside,
        ],
        ports: guests + [inner, outer, metadata],
        routers: [
            RouterSpec(
                id: "r", interfaces: ["inner"], gateway: GatewaySpec(portID: "outer"), floatingIPs: [floating])
        ], securityGroups: [group])
}

/// A namespace on a cable to the integration bridge. Its name makes it go when the engines are swept.
private struct Guest {
    let port: PortSpec
    let place: Place
    private let namespace: NetworkNamespace

    init(_ port: PortSpec, _ engines: Engines) throws {
        self.port = port
        let chassis = engines.paths.prefix
        namespace = NetworkNamespace("\(chassis)-\(port.id)")
        place = Place(network: namespace)
        _ = try namespace.create()
        _ = try Subprocess.check([
            "ip", "link", "add", port.id, "netns", chassis, "type", "veth", "peer", "name", "eth0", "netns",
            namespace.name,
        ])
        _ = try Subprocess.check(["ip", "-n", chassis, "link", "set", port.id, "up"])
        let batch = "link set eth0 address \(port.mac)\nlink set eth0 mtu 1442\nlink set eth0 up\nlink set lo up\n"
        _ = try Subprocess.check(["ip", "-n", namespace.name, "-batch", "-"], input: Array(batch.utf8))
        // Userspace datapath: nobody else fills in checksums.
        _ = try Subprocess.check(["ethtool", "-K", "eth0", "tx", "off"], in: place)
        _ = try Subprocess.check(
            ["ethtool", "-K", port.id, "tx", "off"], in: Place(network: engines.paths.chassisNamespace))
        _ = try Subprocess.check([
            "ovs-vsctl", "--timeout=10", "--db=\(engines.paths.switchDatabase)", "add-port", "br-int", port.id, "--",
            "set", "Interface", port.id, "external-ids:iface-id=\(port.id)",
        ])
    }

    func configure(also extra: String? = nil) throws {
        let address = port.addresses[0].address
        let gateway = CIDR(address, prefix: 24)!.hosts.lowerBound
        var batch = "addr add \(address)/24 dev eth0\nroute add default via \(gateway)\n"
        if let extra { batch += "addr add \(extra) dev eth0\n" }
        _ = try Subprocess.check(["ip", "-n", namespace.name, "-batch", "-"], input: Array(batch.utf8))
    }

    func route(_ destination: String, via hop: String) throws {
        _ = try Subprocess.check(["ip", "-n", namespace.name, "route", "add", destination, "via", hop])
    }

    /// Asks a name server for an IPv4 address (RFC 1035).
    func resolve(_ name: String, asking server: String) throws -> String? {
        var query: [UInt8] = [0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in name.split(separator: ".") { query += [UInt8(label.utf8.count)] + Array(label.utf8) }
        query += [0, 0, 1, 0, 1]
        let argv = ["socat", "-T", "3", "-t", "3", "-", "UDP4:\(server):53"]
        let reply = try Subprocess.runBlocking(argv, input: query, timeout: .seconds(10), in: place).stdout
        return reply.count > query.count ? reply.suffix(4).map { String($0) }.joined(separator: ".") : nil
    }

    func reaches(_ address: String) -> Bool { Guest.ping(address, from: place) }

    static func ping(_ address: String, from place: Place) -> Bool {
        let argv = ["ping", "-c", "4", "-i", "0.2", "-W", "1", "-q", address]
        return (try? Subprocess.runBlocking(argv, timeout: .seconds(20), in: place))?.status == 0
    }

    /// Asks for an address as RFC 2131 has it, with the answer wanted as a broadcast.
    func discover() throws -> (address: String, options: [UInt8: [UInt8]])? {
        var message: [UInt8] = [1, 1, 6, 0, 0xAB, 0xCD, 0xEF, 1, 0, 0, 0x80, 0] + [UInt8](repeating: 0, count: 16)
        message += port.mac.bytes + [UInt8](repeating: 0, count: 10 + 64 + 128)
        message += [99, 130, 83, 99, 53, 1, 1, 55, 3, 1, 3, 26, 255]
        let output = try Subprocess.runBlocking(
            [
                "socat", "-T", "3", "-t", "3", "-",
                "UDP4-DATAGRAM:255.255.255.255:67,bind=0.0.0.0:68,broadcast,so-bindtodevice=eth0",
            ], input: message, timeout: .seconds(10), in: place)
        let reply = output.stdout
        guard reply.count > 240 else { return nil }
        var options: [UInt8: [UInt8]] = [:]
        var at = 240
        while at + 1 < reply.count, reply[at] != 255 {
            let length = Int(reply[at + 1])
            guard at + 2 + length <= reply.count else { break }
            options[reply[at]] = Array(reply[at + 2..<at + 2 + length])
            at += 2 + length
        }
        return (reply[16..<20].map { String($0) }.joined(separator: "."), options)
    }
}
