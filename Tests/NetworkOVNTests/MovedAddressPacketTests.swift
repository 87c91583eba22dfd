// SPDX-License-Identifier: Apache-2.0
import Base
import Kernel
import Network
import NetworkOVN
import Testing

/// What becomes of connections when the address that they run through is somebody else's.
@Suite(
    "Packets through addresses that move",
    .enabled(if: ManyHosts.canRun, "needs root and OVN's programs, ping and socat"),
    .serialized, .timeLimit(.minutes(3)))
struct MovedAddressPacketTests {
    private typealias World = ManyHostsWorld

    @Test("A floating address moves: its connections end both ways, what is new reaches the new guest, others live on")
    func moves() async throws {
        try await ManyHosts.run(2) { ground in
            let (a, b) = (World.guest(1, 1), World.guest(2, 1))
            let whole = World.topology([a, b], World.router(floating: [World.floating(a), World.floating(b, 22)]))
            let (one, two) = try await ground.place(whole, a, b)
            let servers = [
                try one.echo(port: 7), try two.echo(port: 7), try one.serve("one", port: 80),
                try two.serve("two", port: 80), try PlacedGuest.echo(port: 7, in: ground.outside),
            ]
            #expect(PlacedGuest.ask("203.0.113.21", port: 80, from: ground.outside) == "one")
            let held = try HeldConnection(from: ground.space("out"), to: "203.0.113.21", port: 7)
            let outgoing = try HeldConnection(from: ground.space("g11"), to: "203.0.113.1", port: 7)
            let bystander = try HeldConnection(from: ground.space("out"), to: "203.0.113.22", port: 7)
            let between = try HeldConnection(from: ground.space("g21"), to: "10.1.0.11", port: 7)
            for connection in [held, outgoing, bystander, between] { #expect(connection.echoes("before")) }
            let moved = World.router(2, floating: [World.floating(b), World.floating(b, 22)])
            // As the program runs it, under a connection that never rests.
            let sweeping = Task { await ground.sweep.run() }
            defer { sweeping.cancel() }
            try await ground.backend.apply(TopologyChange(put: [.router(moved)]))
            // On a thread of its own: who waits must not keep those from running whose work it waits for.
            let threads = BlockingPool(name: "echoes", threads: 1, queue: 4)
            func ends(_ connection: HeldConnection) async throws -> Bool {
                try await threads.run { () throws(Fault) in
                    (0..<100_000).contains { _ in !connection.echoes("busy") }
                }
            }
            #expect(try await ends(held), "the old guest has it no more")
            #expect(try await ends(outgoing), "nor goes out under it")
            #expect(bystander.echoes("after"), "an address that stayed")
            #expect(between.echoes("after"), "no outer address")
            #expect(PlacedGuest.ask("203.0.113.21", port: 80, from: ground.outside) == "two")
            #expect(one.reaches("203.0.113.1"), "the guest that lost it goes out through SNAT")
            for server in servers { server.signal(9) }
        }
    }

    @Test("A forwarded port that leads elsewhere ends its connections, and those of no other port")
    func forwardings() async throws {
        try await ManyHosts.run(2) { ground in
            let (a, b) = (World.guest(1, 1), World.guest(2, 1))
            func forwarding(_ id: String, _ port: Int, _ guest: PortSpec) -> ForwardingSpec {
                ForwardingSpec(
                    id: id, floatingID: "f30", address: .v4(203, 0, 113, 30), ipProtocol: "tcp",
                    externals: port...port, fixedAddress: guest.addresses[0].address, internals: 7...7)
            }
            func router(_ generation: Int, _ target: PortSpec) -> RouterSpec {
                World.router(generation, forwardings: [forwarding("one", 8007, target), forwarding("two", 8008, a)])
            }
            let (one, two) = try await ground.place(World.topology([a, b], router(1, a)), a, b)
            let servers = [try one.echo(port: 7), try two.echo(port: 7)]
            let held = try HeldConnection(from: ground.space("out"), to: "203.0.113.30", port: 8007)
            let inside = try HeldConnection(from: ground.space("g21"), to: "203.0.113.30", port: 8007)
            let bystander = try HeldConnection(from: ground.space("out"), to: "203.0.113.30", port: 8008)
            for connection in [held, inside, bystander] { #expect(connection.echoes("before")) }
            try await ground.put(.router(router(2, b)))
            try await ground.sweep.sweep()
            #expect(!held.echoes("after"), "from outside")
            #expect(!inside.echoes("after"), "from inside")
            #expect(bystander.echoes("after"), "another port of the address")
            let anew = try HeldConnection(from: ground.space("out"), to: "203.0.113.30", port: 8007)
            #expect(anew.echoes("anew"))
            for server in servers { server.signal(9) }
        }
    }

    @Test("A connection that its rule is taken from ends, one under another rule does not")
    func rules() async throws {
        try await ManyHosts.run(2) { ground in
            var (a, b) = (World.guest(1, 1), World.guest(1, 2))
            a.securityGroupIDs = ["doors"]
            b.securityGroupIDs = ["open"]
            func doors(_ generation: Int, _ ports: Int...) -> SecurityGroupSpec {
                SecurityGroupSpec(
                    id: "doors", generation: generation,
                    rules: [SecurityRuleSpec(id: "out", direction: .egress)]
                        + ports.map {
                            SecurityRuleSpec(
                                id: "in\($0)", direction: .ingress, ipProtocol: "tcp", portMin: $0, portMax: $0)
                        })
            }
            var whole = World.topology([a, b])
            whole.put(doors(1, 7, 8))
            let (one, _) = try await ground.place(whole, a, b)
            let servers = [try one.echo(port: 7), try one.echo(port: 8)]
            let shut = try HeldConnection(from: ground.space("g12"), to: "10.1.0.11", port: 7)
            let open = try HeldConnection(from: ground.space("g12"), to: "10.1.0.11", port: 8)
            #expect(shut.echoes("before") && open.echoes("before"))
            try await ground.put(.securityGroup(doors(2, 8)))
            #expect(!shut.echoes("after"), "no rule lets it in any more")
            #expect(open.echoes("after"))
            for server in servers { server.signal(9) }
        }
    }

    @Test("The zones of routers and networks are found in flows, however a switch prints them")
    func zones() {
        let text = """
             cookie=0x0, table=0, priority=100,in_port=4 actions=set_field:0x5->reg13,set_field:0x1->reg11,\
            set_field:0x2->reg12,set_field:0x3->metadata,set_field:0x2->reg14,resubmit(,8)
             cookie=0x0, table=65, priority=100,reg15=0x1,metadata=0x3 actions=clone(ct_clear,set_field:0->reg11,\
            set_field:0->reg12,set_field:0->reg13,set_field:0x7->reg11,set_field:0x9->reg12,set_field:0x4->metadata)
             cookie=0x0, table=65, priority=100,reg15=0x1,metadata=0x6 actions=output:3
            """
        #expect(TrackingZones.parse(text) == [3: [1, 2, 5], 4: [7, 9]])
    }
}
