// SPDX-License-Identifier: Apache-2.0
import Base
import Kernel
import Network
import NetworkOVN
import Testing

/// Ways out and in that are more than one address and one host.
@Suite(
    "Packets through gateways", .enabled(if: ManyHosts.canRun, "needs root and OVN's programs, ping and socat"),
    .serialized, .timeLimit(.minutes(3)))
struct GatewayPacketTests {
    private typealias World = ManyHostsWorld

    @Test("A gateway whose host leaves for good goes on elsewhere once the host is forgotten, and is placed there")
    func farewell() async throws {
        try await ManyHosts.run(3) { ground in
            let guest = World.guest(1, 1)
            let (one, carrier) = try await ground.placeApart(
                World.topology([guest], World.router(floating: [World.floating(guest)])), guest)
            #expect(PlacedGuest.reachesInTheEnd("203.0.113.1", from: one.spot))
            try ground.lose(carrier)
            try await ground.backend.forget(host: carrier)
            #expect(PlacedGuest.reachesInTheEnd("203.0.113.1", from: one.spot), "the way out, by another host")
            #expect(PlacedGuest.reachesInTheEnd("203.0.113.21", from: ground.outside), "and the way in")
            #expect(try await !ground.backend.chassis().contains { $0.id == carrier })
            let next = await ground.backend.gatewayHosts(of: "gw")
            #expect(!next.isEmpty && !next.contains(carrier), "\(next)")
            // The others say how far they have come, and nobody waits for the one that is gone.
            try await ground.backend.knock()
            try await ground.backend.settle()
        }
    }

    @Test("A guest's own IPv6 address is answered for outside by the gateway, as soon as it is told to and no longer")
    func ndp() async throws {
        try await ManyHosts.run(2) { ground in
            let wide = World.block("2001:db8:1::/64")
            var inner = World.network(1)
            inner.subnets.append(SubnetSpec(id: "v1", cidr: wide, gateway: IPAddress("2001:db8:1::1"), dhcp: false))
            var outer = World.outside
            outer.subnets.append(
                SubnetSpec(
                    id: "vo", cidr: World.block("2001:db8:ffff::/64"), gateway: IPAddress("2001:db8:ffff::1"),
                    dhcp: false))
            var guest = World.guest(1, 1)
            guest.addresses.append(FixedAddress(subnetID: "v1", address: IPAddress("2001:db8:1::11")!))
            var interface = World.interface(1)
            interface.addresses.append(FixedAddress(subnetID: "v1", address: IPAddress("2001:db8:1::1")!))
            var gateway = World.gateway
            gateway.addresses.append(FixedAddress(subnetID: "vo", address: IPAddress("2001:db8:ffff::10")!))
            var whole = World.topology([guest])
            for network in [inner, outer] { whole.put(network) }
            for port in [interface, gateway] { whole.put(port) }
            // The tunnel is in the way.
            let (one, _) = try await ground.placeApart(whole, guest)
            try ground.ip("g11", "addr add 2001:db8:1::11/64 dev eth0 nodad\n")
            try ground.ip("g11", "route add default via 2001:db8:1::1\n")
            // Outside, the guests' block is taken to be on the wire: nobody routes to it.
            try ground.ip("out", "addr add 2001:db8:ffff::1/64 dev br0 nodad\nroute add \(wide) dev br0\n")
            #expect(!PlacedGuest.ping("2001:db8:1::11", from: ground.outside), "nobody answers for it")
            var router = World.router(2)
            router.ndpProxies = [IPAddress("2001:db8:1::11")!]
            try await ground.put(.router(router))
            #expect(PlacedGuest.reachesInTheEnd("2001:db8:1::11", from: ground.outside), "the gateway does")
            #expect(one.reaches("2001:db8:ffff::1"), "and what the guest sends leaves unchanged")
            try await ground.put(.router(World.router(3)))
            try ground.ip("out", "neigh flush dev br0\n")
            #expect(!PlacedGuest.ping("2001:db8:1::11", from: ground.outside), "and then no more")
        }
    }
}
