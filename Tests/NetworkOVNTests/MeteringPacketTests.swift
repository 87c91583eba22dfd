// SPDX-License-Identifier: Apache-2.0
import Base
import Kernel
import Network
import NetworkOVN
import Testing

/// Packets that routers forward are counted by the switches, each once.
@Suite(
    "Packets counted", .enabled(if: ManyHosts.canRun, "needs root and OVN's programs, ping and socat"),
    .serialized, .timeLimit(.minutes(3)))
struct MeteringPacketTests {
    private typealias World = ManyHostsWorld

    @Test("What leaves and enters through a router is counted by the smallest block it is in, on whichever host")
    func counted() async throws {
        try await ManyHosts.run(2) { ground in
            let (a, b) = (World.guest(1, 1), World.guest(2, 1))
            var router = World.router(floating: [World.floating(a)])
            router.projectID = "p"
            var whole = World.topology([a, b], router)
            let regions = [
                MeterRegion(.egress, source: World.block("10.1.0.0/16")),
                MeterRegion(.egress, destination: World.block("203.0.113.0/24")),
                MeterRegion(.ingress, destination: World.block("10.1.0.11/32")),
            ]
            whole.put(MeteringSpec(id: "p", regions: Set(regions.prefix(2).compactMap(\.self))))
            whole.put(MeteringSpec(id: "*", regions: Set(regions.suffix(1).compactMap(\.self))))
            let (one, two) = try await ground.place(whole, a, b)
            let meter = OVNTrafficMeter(
                ground.backend, switches: ground.hosts.map { "unix:\(ground.folder)/\($0)/br-int.mgmt" },
                pool: BlockingPool(name: "meter", threads: 1, queue: 8))
            #expect(PlacedGuest.reachesInTheEnd("203.0.113.1", from: one.spot), "so that addresses are known")
            #expect(PlacedGuest.reachesInTheEnd("203.0.113.1", from: two.spot))
            let before = try await counts(ground, meter)
            #expect(one.reaches("203.0.113.1"), "five there and five back, through the floating address")
            #expect(one.reaches("10.2.0.11"), "between networks: not through a way out")
            #expect(PlacedGuest.ping("203.0.113.21", from: ground.outside), "five in and five out")
            #expect(two.reaches("203.0.113.1"), "five there that the second region alone counts, and five back")
            let after = try await counts(ground, meter)
            func grown(_ region: String) -> MeterCount {
                after[region, default: .zero] - before[region, default: .zero]
            }
            // Ten and no others: two pings of five by the first guest, whose source and destination both are counted.
            #expect(grown("egress 10.1.0.0/16 203.0.113.0/24") == MeterCount(packets: 10, bytes: 840))
            #expect(grown("egress 10.1.0.0/16 0.0.0.0/0") == .zero)
            #expect(grown("egress 0.0.0.0/0 203.0.113.0/24") == MeterCount(packets: 5, bytes: 420))
            #expect(grown("ingress 0.0.0.0/0 10.1.0.11/32") == MeterCount(packets: 10, bytes: 840))
        }
    }

    private func counts(_ ground: ManyHosts, _ meter: OVNTrafficMeter) async throws -> [String: MeterCount] {
        try ground.settleCounters()
        var sums: [String: MeterCount] = [:]
        for reading in try await meter.readings().readings {
            sums["\(reading.region)", default: .zero].packets += reading.packets
            sums["\(reading.region)", default: .zero].bytes += reading.bytes
        }
        return sums
    }

    @Test("Counters are found by cookie, whatever else a switch prints")
    func parsing() {
        let text = """
            OFPST_FLOW reply (OF1.5) (xid=0x2):
             cookie=0x8b2d3f2c, duration=3.2s, table=23, n_packets=7, n_bytes=686, idle_age=1, priority=116,ip actions=x
             cookie=0x8b2d3f2c, duration=3.2s, table=23, n_packets=1, n_bytes=98, priority=116,ip actions=load:0->a,b
             cookie=0x1f, duration=3.2s, table=23, n_packets=0, n_bytes=0, priority=0 actions=resubmit(,24)
            """
        let counts = FlowCounts.parse(text)
        #expect(counts[0x8b2d_3f2c]?.packets == 8 && counts[0x8b2d_3f2c]?.bytes == 784)
        #expect(counts[0x1f]?.packets == 0)
    }
}

private struct MeterCount: Hashable {
    static let zero = MeterCount(packets: 0, bytes: 0)
    var packets: Int
    var bytes: Int

    static func - (left: MeterCount, right: MeterCount) -> MeterCount {
        MeterCount(packets: left.packets - right.packets, bytes: left.bytes - right.bytes)
    }
}
