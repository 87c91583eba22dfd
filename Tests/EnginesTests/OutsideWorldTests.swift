// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Testing

@testable import Engines

@Suite("Outside world", .serialized, .enabled(if: Machine.hasEngines, "\(Machine.why)"), .timeLimit(.minutes(2)))
struct OutsideWorldTests {
    @Test("A floating IP is reached from outside, by TCP, through router and translation")
    func floatingIP() async throws {
        let cloud = try TestEngines()
        try await cloud.with { engines in
            let guest = try plugGuest(engines, number: 1)
            try Self.lay(engines)
            let listener = try guest.openSocket(host: "10.0.0.11", port: 80)
            defer { close(listener) }
            let file = try engines.paths.externalNamespace.connect(host: "203.0.113.21", port: 80)
            close(file)
        }
        #expect(cloud.leftNothing)
        FileSystem.remove(cloud.folder)
    }

    @Test(
        "With the outside on the machine itself, its link comes and goes with the cloud, and its forwarding too",
        .enabled(
            if: NetworkNamespace.isPrivate,
            "changes the network it runs in, so only under `unshare --net --mount`"),
        arguments: [EngineOptions.External.host, .namespace])
    func host(external: EngineOptions.External) async throws {
        var options = EngineOptions()
        options.external = external
        options.addressTranslation = true
        let cloud = try TestEngines(options)
        let before = FileSystem.text("/proc/sys/net/ipv4/ip_forward")
        try await cloud.with { engines in
            let link = external == .host ? engines.paths.prefix : "\(engines.paths.prefix)-n"
            let addresses = try output(["ip", "-o", "-4", "addr", "show", "dev", link])
            #expect(addresses.contains("inet "))
            let tables = try output(["nft", "list", "tables"])
            #expect(tables.contains("apus_\(engines.paths.digest)"))
            if external == .namespace {
                _ = try output(["ip", "link", "set", "lo", "up"])
                _ = try output(["ip", "address", "replace", "198.51.100.9/32", "dev", "lo"])
                let listener = try TCPSocket.listen(host: "198.51.100.9", port: 8080)
                defer { close(listener) }
                close(try engines.paths.externalNamespace.connect(host: "198.51.100.9", port: 8080))
            }
            #expect(FileSystem.text("/proc/sys/net/ipv4/ip_forward") == "1\n")
        }
        #expect(FileSystem.text("/proc/sys/net/ipv4/ip_forward") == before)
        let tables = try output(["nft", "list", "tables"])
        #expect(!tables.contains("apus_"))
        #expect(cloud.leftNothing)
        FileSystem.remove(cloud.folder)
    }

    private static func lay(_ engines: Engines) throws(Fault) {
        let transaction = """
            ls-add net1 -- lsp-add net1 p1 -- lsp-set-addresses p1 fa:16:3e:00:00:01=10.0.0.11
            -- lr-add r1 -- lrp-add r1 r1-net1 fa:16:3e:aa:00:01 10.0.0.1/24
            -- lsp-add net1 net1-r1 -- lsp-set-type net1-r1 router -- lsp-set-addresses net1-r1 router
            -- lsp-set-options net1-r1 router-port=r1-net1
            -- ls-add pub -- lsp-add pub outside -- lsp-set-type outside localnet
            -- lsp-set-addresses outside unknown -- lsp-set-options outside network_name=external
            -- lrp-add r1 r1-pub fa:16:3e:bb:00:01 203.0.113.10/24 -- lrp-set-gateway-chassis r1-pub chassis 10
            -- lsp-add pub pub-r1 -- lsp-set-type pub-r1 router -- lsp-set-addresses pub-r1 router
            -- lsp-set-options pub-r1 router-port=r1-pub nat-addresses=router
            """
        try network(engines, transaction)
        let database = "--db=\(engines.paths.northbound)"
        _ = try output(["ovn-nbctl", database, "lr-nat-add", "r1", "dnat_and_snat", "203.0.113.21", "10.0.0.11"])
        _ = try output(["ovn-nbctl", "--timeout=10", database, "wait-until", "Logical_Switch_Port", "p1", "up=true"])
        _ = try output(["ovn-nbctl", "--timeout=10", database, "--wait=hv", "sync"])
    }
}

extension NetworkNamespace {
    /// Whether these tests run in a network of their own, with nothing in it but a loopback.
    static var isPrivate: Bool {
        let lines = (FileSystem.text("/proc/self/net/dev") ?? "").split(separator: "\n").dropFirst(2)
        return lines.allSatisfy { $0.trimmedOfSpace.hasPrefix("lo:") }
    }
}
