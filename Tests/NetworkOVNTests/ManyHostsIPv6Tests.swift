// SPDX-License-Identifier: Apache-2.0
import Base
import Kernel
import Network
import NetworkOVN
import Testing

/// IPv6 and names, as guests on two hosts see them.
@Suite(
    "IPv6 and names between hosts", .enabled(if: ManyHosts.canRun, "needs root and OVN's programs, ping and socat"),
    .serialized, .timeLimit(.minutes(3)))
struct ManyHostsIPv6Tests {
    private typealias World = ManyHostsWorld

    /// A network with an IPv4 block and one of IPv6 in the given mode.
    private func network(_ n: UInt8, _ mode: IPv6Mode) -> SwitchSpec {
        var network = World.network(n)
        network.subnets.append(
            SubnetSpec(
                id: "v\(n)", cidr: World.block("fd00:\(n)::/64"), gateway: IPAddress("fd00:\(n)::1"),
                dnsServers: [IPAddress("fd00:\(n)::53")!], addressMode: mode, advertisementMode: mode))
        return network
    }

    private func guest(_ net: UInt8, _ n: UInt8, _ address: String? = nil) -> PortSpec {
        var port = World.guest(net, n)
        let own = address.flatMap { IPAddress($0) } ?? port.mac.eui64(in: World.block("fd00:\(net)::/64"))
        port.addresses.append(FixedAddress(subnetID: "v\(net)", address: own!))
        return port
    }

    private func interface(_ net: UInt8) -> PortSpec {
        var port = World.interface(net)
        port.addresses.append(FixedAddress(subnetID: "v\(net)", address: IPAddress("fd00:\(net)::1")!))
        return port
    }

    @Test("Guests number themselves where routers say so, are given addresses where they ask, and meet across routers")
    func modes() async throws {
        try await ManyHosts.run(2) { ground in
            let (a, b) = (guest(1, 1), guest(2, 1, "fd00:2::11"))
            var topology = World.topology([a, b])
            for network in [network(1, .slaac), network(2, .stateful)] { topology.put(network) }
            for port in [interface(1), interface(2)] { topology.put(port) }
            _ = try await ground.backend.synchronize(topology)
            let one = try PlacedGuest(a, on: "h1", ground)
            let two = try PlacedGuest(b, on: "h2", ground)
            try await ground.backend.settle()
            // It asks for routers as a guest does that boots, and takes what it is told.
            let own = a.addresses[1].address
            try one.listenToRouters()
            #expect(one.hasAddress("\(own)"), "\(one.addresses)")
            #expect(one.routes6.contains("default via fe80::"), "\(one.routes6)")

            let offer = try two.solicit(type: 1)
            #expect(offer.first == 2, "an advertisement")
            #expect(contains(offer, b.addresses[1].address), "of the address that the port has")
            #expect(contains(offer, IPAddress("fd00:2::53")!), "and of the subnet's name server")
            try two.ground.ip("g21", "addr replace \(b.addresses[1].address)/64 dev eth0 nodad\n")
            try two.ground.ip("g21", "route replace default via fd00:2::1 dev eth0\n")
            #expect(PlacedGuest.reachesInTheEnd("\(own)", from: two.spot), "across the router, to the other host")
            #expect(one.reaches("fd00:2::1"), "the router itself")
        }
    }

    @Test("Where addresses are their own and the rest is asked for, the rest is told")
    func stateless() async throws {
        try await ManyHosts.run(1) { ground in
            let a = guest(1, 1)
            var topology = World.topology([a])
            topology.put(network(1, .stateless))
            topology.put(interface(1))
            _ = try await ground.backend.synchronize(topology)
            let one = try PlacedGuest(a, on: "h1", ground)
            try await ground.backend.settle()
            try one.listenToRouters()
            #expect(one.hasAddress("\(a.addresses[1].address)"), "\(one.addresses)")
            let told = try one.solicit(type: 11)
            #expect(told.first == 7, "a reply")
            #expect(contains(told, IPAddress("fd00:1::53")!), "with the subnet's name server")
        }
    }

    @Test("OVN answers for the addresses it knows; what it passes on is answered at the metadata port")
    func names() async throws {
        try await ManyHosts.run(1) { ground in
            var topology = World.topology([World.guest(1, 1), World.guest(1, 2)])
            var network = World.network(1)
            network.subnets[0].metadataAddress = .v4(10, 1, 0, 2)
            topology.put(network)
            let metadata = PortSpec(
                id: "m1", networkID: "n1", kind: .metadata, mac: World.mac(0x300),
                addresses: [FixedAddress(subnetID: "s1", address: .v4(10, 1, 0, 2))])
            topology.put(metadata)
            _ = try await ground.backend.synchronize(topology)
            let one = try PlacedGuest(World.guest(1, 1), on: "h1", ground)
            let door = try PlacedGuest(metadata, on: "h1", ground)
            try await ground.backend.settle()
            try one.configure(gateway: "10.1.0.1")
            try door.configure()
            let hub = try DatagramHub()
            hub.add(try ground.space("m1").openDatagrams(host: "10.1.0.2", port: 53), tag: "n1")
            let answering = Task {
                // The question itself as an answer without records.
                for await question in hub.datagrams {
                    hub.answer(question, question.bytes.enumerated().map { $0 == 2 ? $1 | 0x80 : $1 })
                }
            }
            defer {
                answering.cancel()
                hub.remove(tag: "n1")
            }
            // On threads of their own: who waits for an answer must not keep the one who answers from running.
            let threads = BlockingPool(name: "questions", threads: 1, queue: 4)
            func ask(_ name: String, _ kind: UInt8) async throws -> [UInt8] {
                var message: [UInt8] = [7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
                for label in name.split(separator: ".") { message += [UInt8(label.utf8.count)] + Array(label.utf8) }
                // As resolvers do: the first datagram of a pair may be lost while the switch learns where to send it.
                for _ in 0..<4 {
                    let question = message + [0, 0, kind, 0, 1]
                    let answer = try await threads.run { () throws(Fault) in
                        try one.exchange(question, "UDP4:10.1.0.2:53")
                    }
                    if answer.count > 12 { return answer }
                }
                return []
            }
            let known = try await ask("vm12.example.org", 1)
            #expect(Array(known.suffix(4)) == [10, 1, 0, 12], "by OVN")
            for (name, kind) in [("vm12.example.org", 28), ("openstack.org", 1)] as [(String, UInt8)] {
                let answer = try await ask(name, kind)
                #expect(answer.count > 12 && answer[2] & 0x80 != 0, "\(name) is answered")
                #expect(answer.count > 12 && answer[7] == 0, "without records")
            }
        }
    }

    private func contains(_ bytes: [UInt8], _ address: IPAddress) -> Bool {
        let wanted = (0..<16).reversed().map { UInt8(truncatingIfNeeded: address.number >> (UInt128($0) * 8)) }
        return bytes.count >= 16 && (0...(bytes.count - 16)).contains { Array(bytes[$0..<$0 + 16]) == wanted }
    }
}

extension PlacedGuest {
    /// Asks for routers anew and waits for what they say.
    fileprivate func listenToRouters() throws {
        let words = "net.ipv6.conf.eth0"
        for setting in ["\(words).accept_ra=2", "\(words).disable_ipv6=1", "\(words).disable_ipv6=0"] {
            try Subprocess.check(["sysctl", "-qw", setting], in: spot)
        }
        // Each look takes as long as a packet that nobody answers.
        for _ in 0..<15 where !routes6.contains("default") {
            _ = try? Subprocess.runBlocking(
                ["ping", "-c", "1", "-W", "1", "-q", "fe80::1%eth0"], timeout: .seconds(5), in: spot)
        }
    }

    fileprivate var addresses: String {
        (try? Subprocess.check(["ip", "-6", "-o", "addr", "show", "dev", "eth0"], in: spot)) ?? ""
    }
    fileprivate var routes6: String { (try? Subprocess.check(["ip", "-6", "route"], in: spot)) ?? "" }
    fileprivate func hasAddress(_ address: String) -> Bool { addresses.contains(" \(address)/") }

    /// Asks whoever serves DHCPv6 (RFC 8415): for an address (1), or for the rest only (11).
    fileprivate func solicit(type: UInt8) throws -> [UInt8] {
        func option(_ code: UInt8, _ body: [UInt8]) -> [UInt8] { [0, code, 0, UInt8(body.count)] + body }
        var message: [UInt8] = [type, 1, 2, 3]
        message += option(1, [0, 3, 0, 1] + port.mac.bytes)
        message += option(6, [0, 23])
        message += option(8, [0, 0])
        if type == 1 { message += option(3, [0, 0, 0, 1] + [UInt8](repeating: 0, count: 8)) }
        for _ in 0..<5 {
            let answer = try exchange(message, "UDP6-DATAGRAM:[ff02::1:2%eth0]:547,bind=[::]:546")
            if !answer.isEmpty { return answer }
        }
        return []
    }
}
