// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import LoadBalancerOVN
import Network
import NetworkOVN
import Testing

extension BalancerPackets {
    /// Real packets through OVN's own balancing; namespaces stand for guests, which is the same to OVN.
    @Suite("OVN balancers", .serialized, .timeLimit(.minutes(4)))
    struct OVNBalancersTests {
        @Test(
            "Clients on the balancer's own network are served without any router: both families, streams and datagrams")
        func sameNetwork() async throws {
            try await BalancerGround.with(Ground.members + [Ground.client]) { ground in
                for member in Ground.members { try ground.serve(member) }
                try await ground.ovn.put(Ground.balancer(Ground.members))
                try await ground.backend.settle()
                let here = ground.spot(Ground.client)
                for address in ["10.0.0.5", "fd00::5"] {
                    #expect(try BalancerGround.reached(["m0", "m1"], by: BalancerGround.tcp(address), here))
                    #expect(try BalancerGround.reached(["m0", "m1"], by: BalancerGround.udp(address), here))
                }
                let member = ground.spot(Ground.members[0])
                #expect(
                    try BalancerGround.reached(["m0", "m1"], by: BalancerGround.tcp("10.0.0.5"), member),
                    "a member is a client")
                #expect(BalancerGround.ping("10.0.0.5", here))
                #expect(try BalancerGround.ask(BalancerGround.tcp("10.0.0.5", 81), here) == nil)

                // The same once more changes nothing; the networks' own comparison neither.
                let before =
                    try ground.northbound("list", "Load_Balancer") + ground.northbound("list", "Logical_Router")
                try await ground.ovn.put(Ground.balancer(Ground.members))
                _ = try await ground.backend.synchronize(Ground.topology(Ground.members + [Ground.client]))
                #expect(
                    try ground.northbound("list", "Load_Balancer") + ground.northbound("list", "Logical_Router")
                        == before)
                #expect(try await ground.ovn.present() == [Ground.id])

                let spec = Ground.balancer(Ground.members) {
                    $0.pools[0].persistence = SessionPersistence(type: .sourceIP)
                }
                try await ground.ovn.put(spec)
                try await ground.backend.settle()
                let kept = try #require(try BalancerGround.ask(BalancerGround.tcp("10.0.0.5"), here))
                #expect(
                    try BalancerGround.reached([kept], by: BalancerGround.tcp("10.0.0.5"), here), "kept by its source")
                try await ground.ovn.remove(Ground.id)
                try await ground.ovn.remove(Ground.id)
                #expect(try ground.northbound("--bare", "list", "Load_Balancer").isEmpty)
                #expect(try ground.northbound("--bare", "list", "Logical_Router").isEmpty)
                #expect(try await ground.ovn.present().isEmpty)
            }
        }

        @Test("It does what every provider must, without leaving a row")
        func conformance() async throws {
            try await BalancerGround.with([]) { ground in
                for part in BalancerProviderConformance.allCases {
                    try await part.run(on: ground.ovn, Ground.bare)
                }
                #expect(try ground.northbound("--bare", "list", "Load_Balancer").isEmpty)
                #expect(try ground.northbound("--bare", "list", "Logical_Router").isEmpty)
            }
        }

        @Test(
            "Routers and floating addresses that come later are followed: clients and members elsewhere, the world"
        )
        func routed() async throws {
            let guests = Ground.members + [Ground.client, Ground.farMember, Ground.farClient]
            try await BalancerGround.with(guests) { ground in
                for member in Ground.members + [Ground.farMember] { try ground.serve(member) }
                let spec = Ground.balancer(Ground.members + [Ground.farMember])
                try await ground.ovn.put(spec)
                #expect(try await ground.ovn.report(spec.id) != nil)
                try await ground.backend.apply(Ground.router(floating: true))
                var report = try await ground.ovn.report(spec.id)
                for _ in 1...50 where report != nil {
                    _ = try Subprocess.runBlocking(["sleep", "0.1"], timeout: .seconds(2))
                    report = try await ground.ovn.report(spec.id)
                }
                #expect(report == nil, "it is not as it should be any more")
                try await ground.ovn.put(spec)
                #expect(try await ground.ovn.report(spec.id) != nil)
                try await ground.backend.settle()
                let everybody: Set = ["m0", "m1", "f0"]
                for client in [Ground.client, Ground.farClient] {
                    let place = ground.spot(client)
                    #expect(
                        try BalancerGround.reached(everybody, by: BalancerGround.tcp("10.0.0.5"), place), "\(client.id)"
                    )
                    #expect(
                        try BalancerGround.reached(everybody, by: BalancerGround.udp("10.0.0.5"), place), "\(client.id)"
                    )
                }
                #expect(try BalancerGround.reached(everybody, by: BalancerGround.tcp("203.0.113.21"), ground.outside))
                #expect(try BalancerGround.reached(everybody, by: BalancerGround.udp("203.0.113.21"), ground.outside))
                #expect(BalancerGround.ping("203.0.113.21", ground.outside))
                try await ground.ovn.remove(spec.id)
            }
        }

        @Test("A balancer on a physical network is heard by the world outside, whether its members are there or behind")
        func physical() async throws {
            try await BalancerGround.with(Ground.members + [Ground.worldMember]) { ground in
                for member in Ground.members + [Ground.worldMember] { try ground.serve(member) }
                try await ground.ovn.put(Ground.onTheWorld([Ground.worldMember]))
                #expect(try await ground.ovn.report(Ground.id) != nil)
                try await ground.backend.settle()
                #expect(try BalancerGround.reached(["w0"], by: BalancerGround.tcp("203.0.113.50"), ground.outside))
                #expect(try BalancerGround.reached(["w0"], by: BalancerGround.udp("203.0.113.50"), ground.outside))

                try await ground.backend.apply(Ground.router(floating: false))
                try await ground.backend.settle()
                try await ground.ovn.put(Ground.onTheWorld(Ground.members))
                try await ground.backend.settle()
                var isReached = false
                for _ in 1...4 where !isReached {
                    // The provider may hear of the router after it was asked; the room asks again then, too.
                    if try await ground.ovn.report(Ground.id) == nil {
                        try await ground.ovn.put(Ground.onTheWorld(Ground.members))
                        try await ground.backend.settle()
                    }
                    // Another MAC has the address now; machines find out by themselves, after half a minute.
                    try Subprocess.check(["ip", "neigh", "flush", "all"], in: ground.outside)
                    isReached = try BalancerGround.reached(
                        ["m0", "m1"], by: BalancerGround.tcp("203.0.113.50"), ground.outside)
                }
                #expect(isReached)
                try await ground.ovn.remove(Ground.id)
            }
        }

        @Test("Members that stop answering are found out, and get no requests until they answer again")
        func health() async throws {
            try await BalancerGround.with(Ground.members + [Ground.client]) { ground in
                var serving = try ground.serve(Ground.members[0])
                try ground.serve(Ground.members[1])
                let spec = Ground.balancer(Ground.members) { spec in
                    for at in spec.pools.indices {
                        let kind: MonitorKind = at == 0 ? .tcp : .udpConnect
                        spec.pools[at].monitor = MonitorSpec(id: "hm\(at)", kind: kind, delay: 1, timeout: 1, fall: 1)
                        for member in spec.pools[at].members.indices
                        where spec.pools[at].members[member].subnetID == "near-4" {
                            spec.pools[at].members[member].monitorSource = "10.0.0.6"
                        }
                    }
                }
                try await ground.ovn.put(spec)
                for member in ["stream-m0", "stream-m1", "packets-m0", "packets-m1"] {
                    #expect(try await ground.becomes(member, .up, spec.id), "\(member)")
                }
                let here = ground.spot(Ground.client)
                for door in [BalancerGround.tcp("10.0.0.5"), BalancerGround.udp("10.0.0.5")] {
                    #expect(try BalancerGround.reached(["m0", "m1"], by: door, here))
                }
                for child in serving { await child.terminate(grace: .seconds(1)) }
                #expect(try await ground.becomes("stream-m0", .down, spec.id))
                #expect(try await ground.becomes("packets-m0", .down, spec.id))
                for door in [BalancerGround.tcp("10.0.0.5"), BalancerGround.udp("10.0.0.5")] {
                    #expect(try BalancerGround.reached(["m1"], by: door, here))
                }
                serving = try ground.serve(Ground.members[0])
                #expect(try await ground.becomes("stream-m0", .up, spec.id))
                #expect(try await ground.becomes("packets-m0", .up, spec.id))
                for door in [BalancerGround.tcp("10.0.0.5"), BalancerGround.udp("10.0.0.5")] {
                    #expect(try BalancerGround.reached(["m0", "m1"], by: door, here))
                }
                try await ground.ovn.remove(spec.id)
            }
        }

        @Test("Members get connections by their weights, and none without one")
        func weights() async throws {
            try await BalancerGround.with(Ground.members + [Ground.client]) { ground in
                for member in Ground.members { try ground.serve(member) }
                let weighed = { (first: Int, second: Int) in
                    Ground.balancer(Ground.members) { spec in
                        for at in spec.pools[0].members.indices {
                            spec.pools[0].members[at].weight =
                                spec.pools[0].members[at].id.contains("m0") ? first : second
                        }
                    }
                }
                let here = ground.spot(Ground.client)
                let door = BalancerGround.tcp("10.0.0.5")
                for (first, second) in [(3, 1), (1, 3)] {
                    try await ground.ovn.put(weighed(first, second))
                    try await ground.backend.settle()
                    #expect(try BalancerGround.reached(["m0", "m1"], by: door, here))
                    let answers = try (0..<200).map { _ in try BalancerGround.ask(door, here) }
                    let heavy = answers.filter { $0 == (first > second ? "m0" : "m1") }.count
                    // 150 are expected: five standard deviations (of 6) are allowed; 100 would be no weights at all.
                    #expect((120...180).contains(heavy), "\(heavy) of 200")
                    #expect(!answers.contains(nil))
                }
                try await ground.ovn.put(weighed(0, 1))
                try await ground.backend.settle()
                #expect(try BalancerGround.reached(["m1"], by: door, here))
                try await ground.ovn.remove(Ground.id)
            }
        }
    }
}
