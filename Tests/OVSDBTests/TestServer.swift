// SPDX-License-Identifier: Apache-2.0
import Base
import OVSDB

/// A real ovsdb-server with an empty northbound database, on a Unix socket in a directory of its own.
final class TestServer: Sendable {
    static let schema = "/usr/share/ovn/ovn-nb.ovsschema"
    static var isInstalled: Bool {
        Subprocess.locate("ovsdb-server") != nil && Subprocess.locate("ovsdb-tool") != nil && FileSystem.exists(schema)
    }

    let directory: String
    let endpoint: OVSDBEndpoint
    private let process: ChildProcess

    init(directory: String? = nil) throws(Fault) {
        let directory = directory ?? "/tmp/apus-ovsdb-\(RandomIdentifiers().hex().prefix(12))"
        try FileSystem.makeDirectory(directory)
        let database = "\(directory)/nb.db"
        if !FileSystem.exists(database) {
            let made = try Subprocess.runBlocking(
                ["ovsdb-tool", "create", database, TestServer.schema], timeout: .seconds(120))
            guard made.status == 0 else { throw .internalError(made.complaint) }
        }
        process = try Subprocess.spawn(
            [
                "ovsdb-server", "--no-chdir", "--remote=punix:\(directory)/nb.sock", "--unixctl=\(directory)/nb.ctl",
                database,
            ], log: "\(directory)/log")
        self.directory = directory
        endpoint = .unix(path: "\(directory)/nb.sock")
    }

    /// Ends the server but keeps its database.
    func end() async { await process.terminate(grace: .seconds(5)) }

    func remove() async {
        await end()
        FileSystem.remove(directory)
    }
}
