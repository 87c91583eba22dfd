// SPDX-License-Identifier: Apache-2.0
import Base
import Kernel
import Network
import NetworkOVN
import Testing

/// What rules let pass, packet by packet.
@Suite(
    "Packets under rules", .enabled(if: ManyHosts.canRun, "needs root and OVN's programs, ping and socat"),
    .serialized, .timeLimit(.minutes(3)))
struct TrafficRulesTests {
    private typealias World = ManyHostsWorld

    private static func guest(_ n: UInt8, _ groups: [String]) -> PortSpec {
        var port = World.guest(1, n)
        port.securityGroupIDs = groups
        return port
    }

    private static let out = SecurityRuleSpec(id: "out", direction: .egress)

    private static func group(
        _ id: String, _ generation: Int, _ rules: [SecurityRuleSpec], stateful: Bool = true
    ) -> TopologyObject {
        let own = rules.map { rule in
            var rule = rule
            rule.id = "\(id)-\(rule.id)"
            return rule
        }
        return .securityGroup(SecurityGroupSpec(id: id, generation: generation, stateful: stateful, rules: own))
    }

    @Test("Rules open one kind of traffic from one kind of peer each: everybody, a group's members, a set of blocks")
    func rules() async throws {
        try await ManyHosts.run(2) { ground in
            let (friend, stranger) = (Self.guest(1, ["friends"]), Self.guest(2, ["others"]))
            let locked = Self.guest(3, ["locked"])
            var whole = World.topology([friend, stranger, locked])
            for object in [
                Self.group("friends", 1, [Self.out]), Self.group("others", 1, [Self.out]),
                Self.group("locked", 1, [Self.out]),
            ] { whole.apply(TopologyChange(put: [object])) }
            _ = try await ground.backend.synchronize(whole)
            let one = try PlacedGuest(friend, on: "h1", ground)
            let two = try PlacedGuest(stranger, on: "h1", ground)
            let three = try PlacedGuest(locked, on: "h2", ground)
            try await ground.backend.settle()
            for guest in [one, two, three] { try guest.configure() }
            #expect(!one.reaches("10.1.0.13"), "nothing comes in that no rule names")
            let ping = SecurityRuleSpec(id: "ping", direction: .ingress, ipProtocol: "icmp", remote: .group("friends"))
            try await ground.put(Self.group("locked", 2, [Self.out, ping]))
            #expect(one.reaches("10.1.0.13"), "a member of the group that the rule names")
            #expect(!two.reaches("10.1.0.13"), "no member of it")
            var web = SecurityRuleSpec(id: "web", direction: .ingress, ipProtocol: "tcp", portMin: 80, portMax: 80)
            web.remote = .addressGroup("offices")
            let offices = AddressGroupSpec(id: "offices", generation: 1, addresses: [World.block("10.1.0.12/32")])
            try await ground.put(Self.group("locked", 3, [Self.out, ping, web]), TopologyObject(offices))
            let servers = [try three.serve("open", port: 80), try three.serve("shut", port: 81)]
            #expect(PlacedGuest.ask("10.1.0.13", port: 80, from: two.spot) == "open", "an address of the set")
            #expect(PlacedGuest.ask("10.1.0.13", port: 80, from: one.spot, tries: 1) == nil, "an address not in it")
            #expect(PlacedGuest.ask("10.1.0.13", port: 81, from: two.spot, tries: 1) == nil, "another port")
            let moved = AddressGroupSpec(id: "offices", generation: 2, addresses: [World.block("10.1.0.11/32")])
            try await ground.put(TopologyObject(moved))
            #expect(PlacedGuest.ask("10.1.0.13", port: 80, from: one.spot) == "open", "the set has changed")
            #expect(PlacedGuest.ask("10.1.0.13", port: 80, from: two.spot, tries: 1) == nil, "for everybody")
            for server in servers { server.signal(9) }
        }
    }

    @Test("A stateless group lets answers in by rule only; further addresses pass once they are paired")
    func statelessAndPairs() async throws {
        try await ManyHosts.run(1) { ground in
            let (plain, peer) = (Self.guest(1, ["stateless"]), Self.guest(2, ["open"]))
            var whole = World.topology([plain, peer])
            whole.apply(TopologyChange(put: [Self.group("stateless", 1, [Self.out], stateful: false)]))
            _ = try await ground.backend.synchronize(whole)
            let one = try PlacedGuest(plain, on: "h1", ground)
            let two = try PlacedGuest(peer, on: "h1", ground)
            try await ground.backend.settle()
            try one.configure()
            try two.configure(also: ["10.1.0.99/24"])
            #expect(!one.reaches("10.1.0.12"), "the answer is let in by no rule")
            let answers = SecurityRuleSpec(id: "in", direction: .ingress, ipProtocol: "icmp")
            try await ground.put(Self.group("stateless", 2, [Self.out, answers], stateful: false))
            #expect(one.reaches("10.1.0.12"), "now it is")
            let argv = ["ping", "-I", "10.1.0.99", "-c", "5", "-i", "0.2", "-W", "1", "-q", "10.1.0.11"]
            func pings() throws -> Bool {
                try Subprocess.runBlocking(argv, timeout: .seconds(20), in: two.spot).status == 0
            }
            #expect(try !pings(), "an address that is not the port's")
            var paired = peer
            paired.generation = 1
            paired.allowedPairs = [AddressPair(addresses: World.block("10.1.0.99/32"))]
            try await ground.put(.port(paired))
            #expect(try pings(), "an address that the port is paired with")
        }
    }

    @Test("What is inside a trunk is on its own network, under its tag")
    func trunk() async throws {
        try await ManyHosts.run(1) { ground in
            let parent = World.guest(1, 1)
            var inside = World.guest(2, 1)
            inside.subport = SubportSpec(parent: parent.id, tag: 7)
            let (peer, other) = (World.guest(2, 2), World.guest(1, 2))
            _ = try await ground.backend.synchronize(World.topology([parent, inside, peer, other]))
            let guests = try [parent, inside, peer, other].map { try PlacedGuest($0, on: "h1", ground) }
            // A switch of the guest's own: what is untagged is the parent's, what has the tag is the port's inside.
            try ground.vsctl(
                "h1",
                [
                    "del-port", "br-int", parent.id, "--", "del-port", "br-int", inside.id, "--", "add-br", "br-t",
                    "--",
                    "set", "Bridge", "br-t", "datapath_type=netdev", "fail_mode=standalone", "--", "add-port", "br-t",
                    parent.id, "--", "add-port", "br-t", inside.id, "tag=7", "--", "add-port", "br-t", "t0", "--",
                    "set",
                    "Interface", "t0", "type=patch", "options:peer=t1", "--", "add-port", "br-int", "t1", "--", "set",
                    "Interface", "t1", "type=patch", "options:peer=t0", "external-ids:iface-id=\(parent.id)",
                ])
            try await ground.backend.settle()
            for guest in guests { try guest.configure() }
            #expect(
                PlacedGuest.reachesInTheEnd("10.2.0.12", from: guests[1].spot), "a guest on the network of the tag")
            #expect(guests[0].reaches("10.1.0.12"), "the parent on its own network")
            #expect(!guests[1].reaches("10.1.0.12"), "not on the parent's")
        }
    }

    @Test("A limit holds within a fifth")
    func limit() async throws {
        try await ManyHosts.run(1) { ground in
            let (sender, receiver) = (World.guest(1, 1), World.guest(1, 2))
            _ = try await ground.backend.synchronize(World.topology([sender, receiver]))
            let one = try PlacedGuest(sender, on: "h1", ground)
            let two = try PlacedGuest(receiver, on: "h1", ground)
            try await ground.backend.settle()
            for guest in [one, two] { try guest.configure() }
            #expect(one.reaches("10.1.0.12"))
            let free = try #require(try rate(one, "10.1.0.12"))
            let policy = QoSPolicySpec(
                id: "q", generation: 1, ingress: QoSTerms(limit: QoSLimit(kilobits: 2000, burst: 50)))
            var limited = receiver
            limited.generation = 1
            limited.qosPolicyID = "q"
            try await ground.put(TopologyObject(policy), .port(limited))
            let held = try #require(try rate(one, "10.1.0.12"))
            #expect(free > 3000, "\(free) kbit/s without a limit")
            #expect((1600...2400).contains(held), "\(held) kbit/s under a limit of 2000")
        }
    }

    /// How many kilobits a second of requests come through, by what is answered.
    private func rate(_ guest: PlacedGuest, _ address: String) throws -> Int? {
        let argv = ["ping", "-c", "5000", "-i", "0.001", "-s", "1400", "-W", "1", "-q", address]
        let text = try Subprocess.runBlocking(argv, timeout: .seconds(60), in: guest.spot).text
        let words = text.split { " ,\n".contains($0) }.map(String.init)
        guard let at = words.firstIndex(of: "received"), at > 0, let received = Int(words[at - 1]),
            let time = words.firstIndex(of: "time"), time + 1 < words.count,
            let milliseconds = Int(words[time + 1].filter(\.isNumber)), milliseconds > 0
        else { return nil }
        // Ethernet, IPv4 and ICMP headers count as well.
        return received * (1400 + 8 + 20 + 14) * 8 / milliseconds
    }
}
