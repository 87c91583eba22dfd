// SPDX-License-Identifier: Apache-2.0
import Glibc
import Kernel
import Network
import RoutingBIRD
import Testing

struct BIRDConfigurationTests {
    private static let speaker = SpeakerSpec(
        id: "6e1f8c3a-0000-4000-8000-000000000001", localAS: 64_512, version: .v4,
        peers: [.init(id: "6e1f8c3a-0000-4000-8000-000000000002", address: IPAddress("192.0.2.2")!, remoteAS: 64_513)],
        routes: [AdvertisedRoute(destination: CIDR(loose: "203.0.113.7/32")!, nextHop: IPAddress("192.0.2.9")!)])

    @Test("The same speakers give the same text, which names every route with its next hop")
    func text() {
        let text = BIRDConfiguration([Self.speaker], routerID: "192.0.2.1", log: "/tmp/log").text
        #expect(text == BIRDConfiguration([Self.speaker], routerID: "192.0.2.1", log: "/tmp/log").text)
        #expect(text.contains("route 203.0.113.7/32 blackhole { bgp_next_hop = 192.0.2.9; };"))
        #expect(text.contains("neighbor 192.0.2.2 as 64513;"))
        #expect(!text.contains("password"))
    }
}

/// Against a second BIRD, configured by hand, that stands for the site's router.
@Suite(.serialized, .enabled(if: geteuid() == 0 && Subprocess.locate("bird") != nil, "needs root and bird2"))
struct BIRDAdvertiserTests {
    @Test("A router outside learns the routes with their next hops, new ones as well, and forgets what goes")
    func learned() async throws {
        let world = try RoutersWorld()
        defer { world.end() }
        let pool = BlockingPool(name: "bird", threads: 2, queue: 16)
        let ours = BIRDAdvertiser(
            host: "host-1", folder: world.folder + "/ours", in: Surroundings(network: world.inside), pool: pool)
        try await ours.speak([world.speaker(["203.0.113.7/32"])])
        try await world.eventually { try world.routes().contains("203.0.113.7/32") }
        #expect(try world.detail("203.0.113.7/32").contains("BGP.next_hop: 192.0.2.9"))
        #expect(try await ours.sessions().map(\.isEstablished) == [true])

        try await ours.speak([world.speaker(["203.0.113.8/32", "10.9.0.0/24"])])
        try await world.eventually {
            let routes = try world.routes()
            return routes.contains("203.0.113.8/32") && routes.contains("10.9.0.0/24")
                && !routes.contains("203.0.113.7/32")
        }
        #expect(world.sessionsBegun() == 1, "the session stayed up while its routes changed")

        try await ours.speak([])
        try await world.eventually { try !world.routes().contains("203.0.113.8/32") }
        #expect(try await ours.sessions().isEmpty)
        try await ours.stop()
    }

    @Test("A daemon that was killed is started again with the next word")
    func killed() async throws {
        let world = try RoutersWorld()
        defer { world.end() }
        let pool = BlockingPool(name: "bird", threads: 2, queue: 16)
        let ours = BIRDAdvertiser(
            host: "host-1", folder: world.folder + "/ours", in: Surroundings(network: world.inside), pool: pool)
        try await ours.speak([world.speaker(["203.0.113.7/32"])])
        try await world.eventually { try world.routes().contains("203.0.113.7/32") }
        let pid = try #require(Int32((FileSystem.text(world.folder + "/ours/bird.pid") ?? "").trimmedOfSpace))
        kill(pid, SIGKILL)
        try await world.eventually { (try? await ours.sessions())?.isEmpty == true }
        try await ours.speak([world.speaker(["203.0.113.8/32"])])
        try await world.eventually { try world.routes().contains("203.0.113.8/32") }
        try await ours.stop()
    }
}

/// Two network namespaces with a wire between them: the cloud's side, and a router's.
private struct RoutersWorld {
    let folder: String
    let inside: NetworkNamespace
    private let outside: NetworkNamespace
    private let outsideBird: String

    init() throws {
        folder = try FileSystem.makeTemporaryDirectory("bgp")
        let tag = String(folder.suffix(6))
        inside = NetworkNamespace("bgp-in-\(tag)")
        outside = NetworkNamespace("bgp-out-\(tag)")
        outsideBird = folder + "/peer.ctl"
        _ = try inside.create()
        _ = try outside.create()
        try Subprocess.check([
            "ip", "link", "add", "bgp0", "netns", inside.name, "type", "veth", "peer", "name", "bgp0", "netns",
            outside.name,
        ])
        for (side, address) in [(inside, "192.0.2.1/24"), (outside, "192.0.2.2/24")] {
            let place = Surroundings(network: side)
            try Subprocess.check(["ip", "link", "set", "lo", "up"], in: place)
            try Subprocess.check(["ip", "addr", "add", address, "dev", "bgp0"], in: place)
            try Subprocess.check(["ip", "link", "set", "bgp0", "up"], in: place)
        }
        try FileSystem.write(
            """
            log "\(folder)/peer.log" all;
            router id 192.0.2.2;
            protocol device {}
            protocol bgp cloud {
              debug { states };
              local as 64513; neighbor 192.0.2.1 as 64512; multihop; passive;
              ipv4 { import all; export none; };
            }

            """, to: folder + "/peer.conf")
        try Subprocess.check(
            ["bird", "-c", folder + "/peer.conf", "-s", outsideBird, "-P", folder + "/peer.pid"],
            in: Surroundings(network: outside))
    }

    func speaker(_ destinations: [String]) throws -> SpeakerSpec {
        let hop = try #require(IPAddress("192.0.2.9"))
        return SpeakerSpec(
            id: "6e1f8c3a-0000-4000-8000-000000000001", localAS: 64_512, version: .v4,
            peers: [
                .init(
                    id: "6e1f8c3a-0000-4000-8000-000000000002", address: try #require(IPAddress("192.0.2.2")),
                    remoteAS: 64_513)
            ],
            routes: try destinations.map { AdvertisedRoute(destination: try #require(CIDR(loose: $0)), nextHop: hop) })
    }

    private func ask(_ words: String) throws -> String {
        try Subprocess.check(["birdc", "-s", outsideBird] + words.split(separator: " ").map(String.init))
    }
    func routes() throws -> String { try ask("show route") }
    func detail(_ route: String) throws -> String { try ask("show route for \(route) all") }

    /// How often the session came up, by the peer's log. The time that `show protocols` says it began at is worked out
    /// anew from two clocks each time it is asked, and is another by milliseconds when the machine is busy.
    func sessionsBegun() -> Int {
        let log = FileSystem.text(folder + "/peer.log") ?? ""
        return log.split(separator: "\n").count { $0.contains("cloud: State changed to up") }
    }

    func eventually(_ holds: () async throws -> Bool) async throws {
        let watch = Stopwatch()
        while watch.elapsed < .seconds(600) {
            if try await holds() { return }
            try await MachineClock().sleep(.milliseconds(50))
        }
        Issue.record("it never came to hold: \(try routes())")
    }

    func end() {
        for control in [outsideBird, folder + "/ours/bird.ctl"] where FileSystem.exists(control) {
            _ = try? Subprocess.check(["birdc", "-s", control, "down"])
        }
        try? inside.delete()
        try? outside.delete()
        FileSystem.remove(folder)
    }
}
