// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import NetworkOVN
import OVSDB
import Testing

/// Databases that speak TLS and nothing else, and know their clients by certificates.
@Suite(
    .enabled(
        if: TestDatabases.isInstalled && Subprocess.locate("openssl") != nil,
        "OVN's databases or openssl are not installed"), .timeLimit(.minutes(2)))
struct EncryptedTests {
    @Test("Networks are made over TLS, also after the server started anew; who cannot prove who they are is shut out")
    func encrypted() async throws {
        let folder = "/tmp/apus-ovn-\(RandomIdentifiers().hex().prefix(12))"
        try FileSystem.makeDirectory(folder)
        var servers: [ChildProcess] = []
        var problem: (any Error)?
        do {
            // Below the ports that the kernel gives to clients: the server must get its own again.
            let first = 22_000 + RandomIdentifiers().number(below: 10_000)
            for name in ["ours", "theirs"] { try Self.authority(name, folder) }
            for side in ["nb", "sb"] {
                try Subprocess.check([
                    "ovsdb-tool", "create", "\(folder)/\(side).db", "/usr/share/ovn/ovn-\(side).ovsschema",
                ])
            }
            for (place, side) in ["nb", "sb"].enumerated() {
                servers.append(try Self.server(side, folder, first + place))
            }
            try await walk(folder, first, &servers)
        } catch { problem = error }
        for server in servers { await server.terminate(grace: .seconds(5)) }
        FileSystem.remove(folder)
        if let problem { throw problem }
    }

    private func walk(_ folder: String, _ first: Int, _ servers: inout [ChildProcess]) async throws {
        let identity = OVSDBIdentity(
            privateKey: "\(folder)/ours-client.key", certificate: "\(folder)/ours-client.pem",
            authority: "\(folder)/ours.pem")
        let north = try OVSDBEndpoint.list("ssl:127.0.0.1:\(first)", identity: identity)
        let south = try OVSDBEndpoint.list("ssl:127.0.0.1:\(first + 1)", identity: identity)
        let backend = OVNNetworkBackend(northbound: north, southbound: south)
        var world = RandomTopology(seed: 11)
        var topology = Topology()
        for _ in 0..<20 {
            let change = world.change()
            topology.apply(change)
            try await backend.apply(change)
        }
        await servers[0].terminate(grace: .seconds(5))
        servers[0] = try Self.server("nb", folder, first)
        #expect(try await backend.synchronize(topology).isEmpty, "nothing was lost, and the connection came back")

        let stranger = OVSDBIdentity(
            privateKey: "\(folder)/theirs-client.key", certificate: "\(folder)/theirs-client.pem",
            authority: "\(folder)/ours.pem")
        let misled = OVSDBIdentity(
            privateKey: identity.privateKey, certificate: identity.certificate, authority: "\(folder)/theirs.pem")
        let keyless = OVSDBIdentity(
            privateKey: "\(folder)/none.key", certificate: identity.certificate, authority: identity.authority)
        for (who, words) in [(stranger, "OVSDB server"), (misled, "certificate verify failed"), (keyless, "none.key")] {
            let client = OVSDBClient(
                try OVSDBEndpoint.list("ssl:127.0.0.1:\(first)", identity: who), database: Northbound.database)
            client.start()
            do throws(Fault) {
                try await client.ready(within: .seconds(2))
                Issue.record("let in with \(who)")
            } catch { #expect(error.message.contains(words), "\(error.message)") }
            client.stop()
        }
    }

    /// An authority with a certificate for a server and one for a client.
    private static func authority(_ name: String, _ folder: String) throws {
        let base = "\(folder)/\(name)"
        try Subprocess.check([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=\(name)", "-keyout", "\(base).key", "-out", "\(base).pem",
        ])
        for role in ["server", "client"] {
            try Subprocess.check([
                "openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=\(role)", "-keyout", "\(base)-\(role).key", "-out", "\(base)-\(role).csr",
            ])
            try Subprocess.check([
                "openssl", "x509", "-req", "-in", "\(base)-\(role).csr", "-CA", "\(base).pem", "-CAkey",
                "\(base).key", "-CAcreateserial", "-days", "2", "-out", "\(base)-\(role).pem",
            ])
        }
    }

    private static func server(_ side: String, _ folder: String, _ port: Int) throws -> ChildProcess {
        let base = "\(folder)/\(side)"
        return try Subprocess.spawn(
            [
                "ovsdb-server", "--no-chdir", "--remote=pssl:\(port):127.0.0.1",
                "--private-key=\(folder)/ours-server.key", "--certificate=\(folder)/ours-server.pem",
                "--ca-cert=\(folder)/ours.pem", "--unixctl=\(base).ctl", "\(base).db",
            ], log: "\(base).log")
    }
}
