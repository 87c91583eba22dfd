// SPDX-License-Identifier: Apache-2.0
import Base
import Kernel
import Network
import NetworkOVN
import Testing

/// Who hears whom in a private network.
@Suite(
    "Packets in private networks", .enabled(if: ManyHosts.canRun, "needs root and OVN's programs, ping and socat"),
    .serialized, .timeLimit(.minutes(3)))
struct PrivatePacketTests {
    private typealias World = ManyHostsWorld

    private func guest(_ n: UInt8, _ place: PrivatePlace, _ generation: Int = 1) -> PortSpec {
        var port = World.guest(1, n)
        port.place = place
        port.generation = generation
        return port
    }

    @Test(
        "Isolated guests hear nobody but who is promiscuous; communities hear themselves; a changed place holds at once"
    )
    func places() async throws {
        try await ManyHosts.run(2) { ground in
            let all = [
                guest(1, .promiscuous), guest(2, .isolated), guest(3, .isolated), guest(4, .community("blue")),
                guest(5, .community("blue")), guest(6, .community("red")),
            ]
            var whole = World.topology(all)
            var network = World.network(1)
            network.isPrivate = true
            whole.put(network)
            var door = World.interface(1)
            door.place = .promiscuous
            whole.put(door)
            _ = try await ground.backend.synchronize(whole)
            var guests: [PlacedGuest] = []
            for (at, port) in all.enumerated() {
                guests.append(try PlacedGuest(port, on: ground.hosts[at % 2], ground))
            }
            try await ground.backend.settle()
            for guest in guests { try guest.configure(gateway: "10.1.0.1") }
            let address = { (n: Int) in "10.1.0.\(10 + n)" }
            for n in 2...6 { #expect(guests[0].reaches(address(n)), "promiscuous to \(n)") }
            #expect(guests[1].reaches(address(1)), "isolated to promiscuous, on the other host")
            #expect(!guests[1].reaches(address(3)), "isolated to isolated")
            #expect(!guests[1].reaches(address(4)), "isolated to a community")
            #expect(guests[3].reaches(address(5)), "within a community, on the other host")
            #expect(!guests[3].reaches(address(6)), "between communities")
            #expect(guests[1].reaches("203.0.113.1"), "out, through the router, which is promiscuous")
            try await ground.backend.apply(TopologyChange(put: [.port(guest(6, .community("blue"), 2))]))
            try await ground.backend.settle()
            #expect(guests[3].reaches(address(6)), "of one community now")
        }
    }
}
