// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import LoadBalancerHAProxy
import Network
import NetworkOVN
import Testing

extension BalancerPackets {
    /// Datagrams of HAProxy's balancers, which the kernel spreads in the balancer's namespace.
    @Suite("Datagrams of HAProxy's balancers", .serialized, .timeLimit(.minutes(4)))
    struct DatagramTests {
        /// Its address is a guest's here: the namespace is plugged in.
        private static func with(_ guests: [PortSpec], _ walk: (BalancerGround) async throws -> Void) async throws {
            try await BalancerGround.with(guests) { ground in
                try await ground.exposeAddresses()
                try await ground.backend.apply(TopologyChange(put: [.port(Ground.guest("leg", "far", 5))]))
                try await walk(ground)
            }
        }

        private static func balancer(_ members: [PortSpec], _ more: (inout BalancerSpec) -> Void = { _ in })
            -> BalancerSpec
        {
            Ground.balancer(members) { spec in
                let leg = Ground.guest("leg", "far", 5)
                spec.legs = [
                    BalancerSpec.Leg(
                        portID: leg.id, mac: leg.mac.description, mtu: 1442,
                        addresses: [
                            BalancerSpec.Address(address: "10.1.0.5", subnetID: "far-4", cidr: "10.1.0.0/24")
                        ])
                ]
                for at in spec.pools.indices { spec.pools[at].algorithm = .roundRobin }
                more(&spec)
            }
        }

        /// How often each answered to so many questions, each from a port of its own.
        private static func count(_ questions: Int, _ door: String, _ place: Place) throws -> [String?: Int] {
            var answers: [String?: Int] = [:]
            for _ in 0..<questions { answers[try BalancerGround.ask(door, place), default: 0] += 1 }
            return answers
        }

        @Test("Flows go to members in turn, by their weights, in both families and to networks that no router leads to")
        func turns() async throws {
            let guests = Ground.members + [Ground.client, Ground.farMember]
            try await Self.with(guests) { ground in
                for member in Ground.members + [Ground.farMember] { try ground.serve(member) }
                var spec = Self.balancer(Ground.members + [Ground.farMember])
                try await ground.haproxy.put(spec)
                try await ground.backend.settle()
                let here = ground.spot(Ground.client)
                #expect(try BalancerGround.reached(["m0", "m1", "f0"], by: BalancerGround.udp("10.0.0.5"), here))
                #expect(try BalancerGround.reached(["m0", "m1"], by: BalancerGround.udp("fd00::5"), here))
                #expect(try Self.count(9, BalancerGround.udp("10.0.0.5"), here) == ["m0": 3, "m1": 3, "f0": 3])
                #expect(try Self.count(4, BalancerGround.udp("fd00::5"), here) == ["m0": 2, "m1": 2])
                #expect(
                    try BalancerGround.reached(["m0", "m1", "f0"], by: BalancerGround.tcp("10.0.0.5"), here),
                    "streams as ever")

                for at in spec.pools[1].members.indices where spec.pools[1].members[at].id == "packets-m0" {
                    spec.pools[1].members[at].weight = 4
                }
                try await ground.haproxy.put(spec)
                #expect(try Self.count(12, BalancerGround.udp("10.0.0.5"), here) == ["m0": 8, "m1": 2, "f0": 2])
                let figures = try #require(try await ground.haproxy.report(spec.id)?.listeners["packets"])
                #expect(figures.totalConnections >= 25)
                #expect(figures.bytesIn > 0 && figures.bytesOut > 0)

                spec.pools[1].algorithm = .sourceIP
                try await ground.haproxy.put(spec)
                let kept = try #require(try BalancerGround.ask(BalancerGround.udp("10.0.0.5"), here))
                #expect(try Self.count(6, BalancerGround.udp("10.0.0.5"), here) == [kept: 6])
                let later = try await ground.haproxy.report(spec.id)?.listeners["packets"]?.totalConnections ?? 0
                #expect(later >= figures.totalConnections + 7, "rules come and go, counters stay")
                spec.pools[1].algorithm = .sourceIPPort
                try await ground.haproxy.put(spec)
                #expect(try BalancerGround.reached(["m0", "m1", "f0"], by: BalancerGround.udp("10.0.0.5"), here))

                spec.listeners.removeAll { $0.id == "packets" }
                try await ground.haproxy.put(spec)
                #expect(try BalancerGround.ask(BalancerGround.udp("10.0.0.5"), here) == nil)
                try await ground.haproxy.remove(spec.id)
            }
        }

        @Test("Strangers are not heard, and nothing passes that is for nobody")
        func blocks() async throws {
            try await Self.with(Ground.members + [Ground.client]) { ground in
                for member in Ground.members { try ground.serve(member) }
                let here = ground.spot(Ground.client)
                for (blocks, isHeard) in [
                    (["10.0.0.0/8", "10.0.0.20/32"], true), (["192.0.2.0/24"], false), (["::/0"], false),
                    (["0.0.0.0/0"], true),
                ] {
                    try await ground.haproxy.put(
                        Self.balancer(Ground.members) { $0.listeners[1].allowedBlocks = blocks })
                    try await ground.backend.settle()
                    let door = BalancerGround.udp("10.0.0.5")
                    #expect(
                        try isHeard
                            ? BalancerGround.reached(["m0", "m1"], by: door, here)
                            : BalancerGround.ask(door, here) == nil,
                        "\(blocks)")
                }
                // It is not a way to the networks of members.
                try Subprocess.check(["ip", "route", "add", "10.1.0.0/24", "via", "10.0.0.5"], in: here)
                #expect(!BalancerGround.ping("10.1.0.11", here))
                try await ground.haproxy.remove(Ground.id)
            }
        }

        @Test("Who refuses datagrams or is not there is found out, also by a client that keeps its port")
        func health() async throws {
            try await Self.with(Ground.members + [Ground.client]) { ground in
                let first = try ground.serve(Ground.members[0])
                try ground.serve(Ground.members[1])
                let spec = Self.balancer(Ground.members) { spec in
                    spec.pools[1].monitor = MonitorSpec(
                        id: "hm", kind: .udpConnect, delay: 1, timeout: 2, rise: 1, fall: 1)
                    // Nobody has this address.
                    spec.pools[1].members.append(MemberSpec(id: "packets-nobody", address: "10.0.0.99", port: 9090))
                    // Looked at where nobody listens.
                    var closed = MemberSpec(id: "packets-closed", address: "10.0.0.12", port: 9090)
                    closed.monitorPort = 9999
                    spec.pools[1].members.append(closed)
                }
                try await ground.haproxy.put(spec)
                let here = ground.spot(Ground.client)
                let door = BalancerGround.udp("10.0.0.5")
                #expect(
                    try await Self.becomes(
                        ground,
                        ["packets-m0": .up, "packets-m1": .up, "packets-nobody": .down, "packets-closed": .down]))
                #expect(try Self.count(8, door, here) == ["m0": 4, "m1": 4])

                let keeping = door + ",sourceport=5555"
                var kept = try BalancerGround.ask(keeping, here)
                if kept == "m1" {
                    // The other one in turn; the first flow is forgotten with the member that refuses.
                    kept = try BalancerGround.ask(keeping + ",bind=10.0.0.20:5556", here)
                }
                for child in first { await child.terminate(grace: .seconds(1)) }
                #expect(try await Self.becomes(ground, ["packets-m0": .down, "packets-m1": .up]))
                #expect(try Self.count(4, door, here) == ["m1": 4])
                #expect(try BalancerGround.ask(keeping, here) == "m1")

                try ground.serve(Ground.members[0])
                #expect(try await Self.becomes(ground, ["packets-m0": .up, "packets-m1": .up]))
                #expect(try Self.count(8, door, here) == ["m0": 4, "m1": 4])
                try await ground.haproxy.remove(Ground.id)
                #expect(try await ground.haproxy.present().isEmpty)
            }
        }

        private static func becomes(_ ground: BalancerGround, _ wanted: [String: BalancerReport.Health]) async throws
            -> Bool
        {
            for _ in 1...80 {
                let found = try await ground.haproxy.report(Ground.id)?.members ?? [:]
                if wanted.allSatisfy({ found[$0.key] == $0.value }) { return true }
                _ = try Subprocess.runBlocking(["sleep", "0.2"], timeout: .seconds(2))
            }
            return false
        }
    }
}
