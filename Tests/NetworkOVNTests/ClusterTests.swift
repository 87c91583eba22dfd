// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import NetworkOVN
import OVSDB
import Testing

/// A northbound database of three servers that vote.
@Suite(.enabled(if: TestDatabases.isInstalled, "OVN's databases are not installed"), .timeLimit(.minutes(2)))
struct ClusterTests {
    @Test("The leader dies, another takes over, and changes go on: nothing is lost and nothing doubled")
    func leader() async throws {
        let folder = "/tmp/apus-ovn-\(RandomIdentifiers().hex().prefix(12))"
        try FileSystem.makeDirectory(folder)
        let first = 20_000 + RandomIdentifiers().number(below: 20_000)
        var servers: [ChildProcess] = []
        var problem: (any Error)?
        do {
            for n in 0..<3 { servers.append(try Self.member(n, folder, first)) }
            servers.append(try Self.southbound(folder))
            try await walk(folder, servers)
        } catch { problem = error }
        for server in servers { await server.terminate(grace: .seconds(5)) }
        FileSystem.remove(folder)
        if let problem { throw problem }
    }

    private func walk(_ folder: String, _ servers: [ChildProcess]) async throws {
        let members = (0..<3).map { OVSDBEndpoint.unix(path: "\(folder)/n\($0).sock") }
        let backend = OVNNetworkBackend(northbound: members, southbound: [.unix(path: "\(folder)/sb.sock")])
        var world = RandomTopology(seed: 7)
        var topology = Topology()
        for _ in 0..<10 { try await persist(backend, world.change(), &topology) }
        // The one that leads, and it alone: two of three still agree.
        servers[0].signal(9)
        for _ in 0..<10 { try await persist(backend, world.change(), &topology) }
        #expect(try await backend.synchronize(topology).isEmpty)
    }

    /// Does what the sync loop does: tries again until it is taken.
    private func persist(
        _ backend: OVNNetworkBackend, _ change: TopologyChange, _ topology: inout Topology
    ) async throws {
        topology.apply(change)
        for attempt in 1... {
            do throws(Fault) { return try await backend.apply(change) } catch {
                guard attempt < 8 else { throw error }
                // Whether the lost one was made is not known; comparing everything tells.
                _ = try? await backend.synchronize(topology)
            }
        }
    }

    private static func member(_ n: Int, _ folder: String, _ first: Int) throws -> ChildProcess {
        let base = "\(folder)/n\(n)"
        let own = "tcp:127.0.0.1:\(first + n)"
        if n == 0 {
            try Subprocess.check([
                "ovsdb-tool", "create-cluster", "\(base).db", "/usr/share/ovn/ovn-nb.ovsschema", own,
            ])
        } else {
            try Subprocess.check([
                "ovsdb-tool", "join-cluster", "\(base).db", "OVN_Northbound", own, "tcp:127.0.0.1:\(first)",
            ])
        }
        return try server(base)
    }

    private static func southbound(_ folder: String) throws -> ChildProcess {
        let base = "\(folder)/sb"
        try Subprocess.check(["ovsdb-tool", "create", "\(base).db", "/usr/share/ovn/ovn-sb.ovsschema"])
        return try server(base)
    }

    private static func server(_ base: String) throws -> ChildProcess {
        try Subprocess.spawn(
            ["ovsdb-server", "--no-chdir", "--remote=punix:\(base).sock", "--unixctl=\(base).ctl", "\(base).db"],
            log: "\(base).log")
    }
}
