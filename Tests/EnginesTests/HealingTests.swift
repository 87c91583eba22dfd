// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Testing

@testable import Engines

@Suite("Healing", .serialized, .enabled(if: Machine.hasEngines, "\(Machine.why)"), .timeLimit(.minutes(3)))
struct HealingTests {
    @Test(
        "A killed engine is told, comes back and answers",
        arguments: ["ovs-vswitchd", "ovn-northd", "ovn-nb", "ovs-db", "ovn-controller"])
    func heals(name: String) async throws {
        let cloud = try TestEngines()
        try await cloud.with { engines in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await engines.run() }
                try await Self.kill(name, of: cloud)
                let paths = engines.paths
                _ = try output([
                    "ovn-nbctl", "--timeout=20", "--db=\(paths.northbound)", "--wait=hv", "ls-add", "after",
                ])
                let address = try output(["ip", "-n", paths.prefix, "-o", "-4", "addr", "show", "dev", "br-ul"])
                #expect(address.contains("192.0.2.1/24"))
                group.cancelAll()
            }
        }
        #expect(cloud.leftNothing)
        FileSystem.remove(cloud.folder)
    }

    @Test("A switch that aborts is brought back by its own monitor and taken over")
    func abort() async throws {
        let cloud = try TestEngines()
        try await cloud.with { engines in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await engines.run() }
                try await Self.kill("ovs-vswitchd", of: cloud, with: SIGABRT)
                _ = try output([
                    "ovn-nbctl", "--timeout=20", "--db=\(engines.paths.northbound)", "--wait=hv", "ls-add", "after",
                ])
                group.cancelAll()
            }
        }
        #expect(cloud.leftNothing)
        FileSystem.remove(cloud.folder)
    }

    /// Kills until the watch notices, for it may start a moment after this.
    static func kill(_ name: String, of cloud: TestEngines, with signal: Int32 = SIGKILL) async throws {
        let before = try #require(try await cloud.engines.health().first { $0.name == name }?.pid)
        #expect(Glibc.kill(before, signal) == 0)
        let died = await cloud.wait { if case .died(name, _) = $0 { true } else { false } }
        #expect(died == .died(name: name, pid: before))
        let healed = await cloud.wait { if case .healed(name, _) = $0 { true } else { false } }
        #expect(healed != nil)
        let after = try await cloud.engines.health().first { $0.name == name }
        #expect(after?.healthy == true)
        #expect(after?.pid != before)
    }
}

@Suite("Two clouds", .serialized, .enabled(if: Machine.hasEngines, "\(Machine.why)"), .timeLimit(.minutes(3)))
struct TwoCloudsTests {
    @Test("Two clouds run side by side, and one's end leaves the other alone")
    func sideBySide() async throws {
        let (left, right) = (try TestEngines(), try TestEngines())
        #expect(left.paths.prefix != right.paths.prefix)
        try await left.with { first in
            try await right.with { second in
                for engines in [first, second] {
                    _ = try output([
                        "ovn-nbctl", "--timeout=10", "--db=\(engines.paths.northbound)", "--wait=hv", "ls-add", "net1",
                    ])
                }
            }
            #expect(right.leftNothing)
            for engine in try await first.health() { #expect(engine.healthy, "\(engine.name)") }
        }
        #expect(left.leftNothing)
        FileSystem.remove(left.folder)
        FileSystem.remove(right.folder)
    }

    @Test("A second chassis joins the first one's cloud, and guests meet through the tunnel between them")
    func tunnel() async throws {
        let first = TestEngines.freshFolder()
        let name = String(first.suffix(8))
        let links = ["u\(name)1", "u\(name)2"]
        _ = try output(["ip", "link", "add", links[0], "type", "veth", "peer", "name", links[1]])
        _ = try output(["ethtool", "-K", links[1], "tx", "off"])
        var (here, there) = (EngineOptions(), EngineOptions())
        here.underlay = links[0]
        there.underlay = links[1]
        there.tunnelAddress = "192.0.2.2/24"
        there.chassisName = "other"
        let centre = try TestEngines(here, folder: first)
        there.southbound = centre.paths.southbound
        let other = try TestEngines(there)
        try await centre.with { engines in
            try await other.with { second in
                try network(
                    engines,
                    """
                    ls-add net1 -- lsp-add net1 p1 -- lsp-set-addresses p1 fa:16:3e:00:00:01=10.0.0.11
                    -- lsp-add net1 p2 -- lsp-set-addresses p2 fa:16:3e:00:00:02=10.0.0.12
                    """)
                let (left, right) = (try plugGuest(engines, number: 1), try plugGuest(second, number: 2))
                for port in ["p1", "p2"] { try network(engines, "wait-until Logical_Switch_Port \(port) up=true") }
                try network(engines, "--wait=hv sync")
                let listener = try right.openSocket(host: "10.0.0.12", port: 80)
                defer { close(listener) }
                close(try left.connect(host: "10.0.0.12", port: 80))
            }
        }
        #expect(centre.leftNothing && other.leftNothing)
        #expect(FileSystem.exists("/sys/class/net/\(links[0])"))
        _ = try output(["ip", "link", "delete", links[0]])
        for cloud in [centre, other] { FileSystem.remove(cloud.folder) }
    }

    @Test("A second run on the same folder is refused")
    func locked() throws {
        let cloud = try TestEngines()
        let fault = #expect(throws: Fault.self) { _ = try TestEngines(folder: cloud.folder) }
        #expect(fault?.status == 409)
        FileSystem.remove(cloud.folder)
    }

    @Test("What a killed run left is taken over without a new process")
    func adopts() async throws {
        let folder = TestEngines.freshFolder()
        let before = try await Self.startAndForget(folder)
        let cloud = try TestEngines(folder: folder)
        try await cloud.with { engines in
            let after = try await engines.health().map { $0.pid ?? 0 }
            #expect(after == before)
        }
        #expect(cloud.leftNothing)
        FileSystem.remove(folder)
    }

    @Test("What a killed run left is cleaned up, also when its pid files are gone")
    func cleansUp() async throws {
        let folder = TestEngines.freshFolder()
        _ = try await Self.startAndForget(folder)
        for part in ["ovn", "ovs"] {
            for file in FileSystem.list("\(folder)/\(part)") where file.hasSuffix(".pid") {
                FileSystem.remove("\(folder)/\(part)/\(file)")
            }
        }
        let pool = BlockingPool(name: "cleanup", threads: 1, queue: 4)
        try await Engines.cleanUp(dataDirectory: folder, on: pool)
        #expect(try TestEngines(folder: folder).leftNothing)
        FileSystem.remove(folder)
    }

    /// As a killed run would: the engines stay, the object that held the lock goes.
    private static func startAndForget(_ folder: String) async throws -> [Int32] {
        let cloud = try TestEngines(folder: folder)
        try await cloud.engines.start()
        return try await cloud.engines.health().map { $0.pid ?? 0 }
    }
}
