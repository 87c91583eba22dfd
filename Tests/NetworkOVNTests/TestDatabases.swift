// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import NetworkOVN
import OVSDB

/// Real northbound and southbound databases on Unix sockets in a directory of their own, with nothing behind them.
final class TestDatabases: Sendable {
    static let schemas = ["nb": "/usr/share/ovn/ovn-nb.ovsschema", "sb": "/usr/share/ovn/ovn-sb.ovsschema"]
    static var isInstalled: Bool {
        Subprocess.locate("ovsdb-server") != nil && Subprocess.locate("ovsdb-tool") != nil
            && schemas.values.allSatisfy { FileSystem.exists($0) }
    }

    let directory: String
    private let processes: [ChildProcess]

    private init() throws(Fault) {
        directory = "/tmp/apus-ovn-\(RandomIdentifiers().hex().prefix(12))"
        try FileSystem.makeDirectory(directory)
        var processes: [ChildProcess] = []
        for (name, schema) in TestDatabases.schemas {
            let base = "\(directory)/\(name)"
            _ = try Subprocess.check(["ovsdb-tool", "create", "\(base).db", schema])
            processes.append(
                try Subprocess.spawn(
                    [
                        "ovsdb-server", "--no-chdir", "--remote=punix:\(base).sock", "--unixctl=\(base).ctl",
                        "\(base).db",
                    ], log: "\(base).log"))
        }
        self.processes = processes
    }

    func backend(_ options: OVNOptions = OVNOptions()) -> OVNNetworkBackend {
        OVNNetworkBackend(
            northbound: [.unix(path: "\(directory)/nb.sock")], southbound: [.unix(path: "\(directory)/sb.sock")],
            options: options)
    }

    func client(_ name: String) -> OVSDBClient {
        let isNorth = name == "nb"
        let client = OVSDBClient(
            [.unix(path: "\(directory)/\(name).sock")],
            database: isNorth ? Northbound.database : Southbound.database,
            monitors: isNorth ? Northbound.monitors : Southbound.monitors)
        client.start()
        return client
    }

    /// Runs the body with databases that are gone afterwards, however it ends.
    static func with(_ body: (TestDatabases) async throws -> Void) async throws {
        let databases = try TestDatabases()
        var problem: (any Error)?
        do { try await body(databases) } catch { problem = error }
        for process in databases.processes { await process.terminate(grace: .seconds(5)) }
        FileSystem.remove(databases.directory)
        if let problem { throw problem }
    }
}
