// SPDX-License-Identifier: Apache-2.0
import Base
import Kernel
import Network
import NetworkOVN
import Testing

/// Real packets between real switches: two and three hosts, each a namespace.
@Suite(
    "Packets between hosts", .enabled(if: ManyHosts.canRun, "needs root and OVN's programs, ping and socat"),
    .serialized, .timeLimit(.minutes(3)))
struct ManyHostsTests {
    private typealias World = ManyHostsWorld

    @Test("Guests reach each other within and between hosts, through routers, out, and in; others do not")
    func ways() async throws {
        try await ManyHosts.run(2) { ground in
            let (near, far) = (World.guest(1, 1), World.guest(1, 2))
            let (other, alone) = (World.guest(2, 1), World.guest(3, 1))
            let forwarding = ForwardingSpec(
                id: "pf", floatingID: "f30", address: .v4(203, 0, 113, 30), ipProtocol: "tcp", externals: 8080...8081,
                fixedAddress: far.addresses[0].address, internals: 80...81)
            let router = World.router(floating: [World.floating(near)], forwardings: [forwarding])
            let guests = try await ground.place(
                World.topology([near, far, other, alone], router),
                [(near, "h1"), (far, "h2"), (other, "h2"), (alone, "h1")])
            let (one, two, three, four) = (guests[0], guests[1], guests[2], guests[3])
            #expect(one.reaches("10.1.0.12"), "the same network, another host")
            #expect(one.reaches("10.2.0.11"), "another network, another host")
            #expect(!four.reaches("10.1.0.11"), "a network without a way")
            #expect(!one.reaches("10.3.0.11"), "a network without a way, the other way round")
            #expect(three.reaches("203.0.113.1"), "the world, through SNAT")
            #expect(PlacedGuest.ping("203.0.113.21", from: ground.outside), "a floating address")
            let servers = [try two.serve("http", port: 80), try two.serve("more", port: 81)]
            #expect(PlacedGuest.ask("203.0.113.30", port: 8080, from: ground.outside) == "http", "a forwarded port")
            #expect(PlacedGuest.ask("203.0.113.30", port: 8081, from: ground.outside) == "more", "the next of a range")
            #expect(PlacedGuest.ask("203.0.113.30", port: 8080, from: one.spot) == "http", "from inside, too")
            #expect(PlacedGuest.ask("203.0.113.30", port: 80, from: ground.outside, tries: 1) == nil, "no other port")
            for server in servers { server.signal(9) }
        }
    }

    @Test("A gateway whose host is lost goes on at another host")
    func failover() async throws {
        try await ManyHosts.run(3) { ground in
            let guest = World.guest(1, 1)
            // Only the gateway falls.
            let (one, carrier) = try await ground.placeApart(
                World.topology([guest], World.router(floating: [World.floating(guest)])), guest)
            #expect(PlacedGuest.reachesInTheEnd("203.0.113.1", from: one.spot), "once the hosts watch each other")
            #expect(PlacedGuest.ping("203.0.113.21", from: ground.outside))
            try ground.lose(carrier)
            #expect(PlacedGuest.reachesInTheEnd("203.0.113.1", from: one.spot), "the way out, by another host")
            #expect(PlacedGuest.reachesInTheEnd("203.0.113.21", from: ground.outside), "and the way in")
        }
    }

    @Test("Connections live on when the program, a controller or a switch starts anew")
    func restarts() async throws {
        try await ManyHosts.run(2) { ground in
            let (a, b) = (World.guest(1, 1), World.guest(1, 2))
            let whole = World.topology([a, b], World.router(floating: [World.floating(a)]))
            let (one, _) = try await ground.place(whole, a, b)
            let echo = try one.echo(port: 7)
            let inner = try HeldConnection(from: ground.space("g12"), to: "10.1.0.11", port: 7)
            let outer = try HeldConnection(from: ground.space("out"), to: "203.0.113.21", port: 7)
            #expect(inner.echoes("start") && outer.echoes("start"))
            // A program that starts compares everything, and finds nothing to change.
            #expect(try await ground.backend.synchronize(whole).isEmpty)
            #expect(inner.echoes("program") && outer.echoes("program"))
            for host in ground.hosts {
                ground.killController(host)
                #expect(inner.echoes("without controller") && outer.echoes("without controller"))
                try ground.startController(host)
                try await ground.backend.settle()
                #expect(inner.echoes("controller") && outer.echoes("controller"))
            }
            // The userspace datapath forgets what it tracked with the switch; what needs no memory goes on.
            try ground.restartSwitch("h2")
            try await ground.backend.settle()
            #expect(inner.echoes("switch"), "between guests")
            echo.signal(9)
        }
    }

    @Test("Metadata of two networks with equal addresses is told apart")
    func metadata() async throws {
        try await ManyHosts.run(2) { ground in
            var ports: [PortSpec] = []
            var networks: [SwitchSpec] = []
            for n in 1...2 as ClosedRange<UInt64> {
                let subnet = SubnetSpec(
                    id: "s\(n)", cidr: World.block("10.1.0.0/24"), gateway: .v4(10, 1, 0, 1),
                    metadataAddress: .v4(10, 1, 0, 2))
                networks.append(SwitchSpec(id: "n\(n)", subnets: [subnet]))
                ports.append(
                    PortSpec(
                        id: "g\(n)", networkID: "n\(n)", mac: World.mac(n),
                        addresses: [FixedAddress(subnetID: "s\(n)", address: .v4(10, 1, 0, 11))],
                        securityGroupIDs: ["open"]))
                ports.append(
                    PortSpec(
                        id: "m\(n)", networkID: "n\(n)", kind: .metadata, mac: World.mac(0x100 + n),
                        addresses: [FixedAddress(subnetID: "s\(n)", address: .v4(10, 1, 0, 2))]))
            }
            _ = try await ground.backend.synchronize(
                Topology(networks: networks, ports: ports, securityGroups: [World.open]))
            var servers: [ChildProcess] = []
            for host in ground.hosts {
                for port in ports where port.kind == .metadata {
                    let door = try PlacedGuest(port, on: host, ground, label: "\(port.id)\(host)")
                    try door.configure(also: ["169.254.169.254/32"])
                    servers.append(try door.serve("\(port.networkID)-\(host)", port: 80))
                }
            }
            let first = try PlacedGuest(ports[0], on: "h1", ground)
            let second = try PlacedGuest(ports[2], on: "h2", ground)
            try await ground.backend.settle()
            for guest in [first, second] {
                try guest.configure()
                try Subprocess.check(
                    ["ip", "route", "add", "169.254.169.254/32", "via", "10.1.0.2"], in: guest.spot)
            }
            #expect(PlacedGuest.ask("169.254.169.254", port: 80, from: first.spot) == "n1-h1")
            #expect(PlacedGuest.ask("169.254.169.254", port: 80, from: second.spot) == "n2-h2")
            for server in servers { server.signal(9) }
        }
    }
}
