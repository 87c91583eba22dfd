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
            let guest = try Self.plugGuest(engines)
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
            #expect(FileSystem.text("/proc/sys/net/ipv4/ip_forward") == "1\n")
        }
        #expect(FileSystem.text("/proc/sys/net/ipv4/ip_forward") == before)
        let tables = try output(["nft", "list", "tables"])
        #expect(!tables.contains("apus_"))
        #expect(cloud.leftNothing)
        FileSystem.remove(cloud.folder)
    }

    /// A guest without a machine: a namespace on a cable, as OVN sees it the same. Its name makes it go with the cloud.
    private static func plugGuest(_ engines: Engines) throws(Fault) -> NetworkNamespace {
        let (chassis, guest) = (engines.paths.prefix, NetworkNamespace("\(engines.paths.prefix)-guest"))
        try guest.create()
        let cable = ["type", "veth", "peer", "name", "eth0", "netns", guest.name]
        _ = try output(["ip", "link", "add", "g0", "netns", chassis] + cable)
        _ = try output(["ip", "-n", chassis, "link", "set", "g0", "up"])
        let batch = """
            link set eth0 address fa:16:3e:00:00:01
            link set eth0 up
            addr add 10.0.0.11/24 dev eth0
            route add default via 10.0.0.1

            """
        try Subprocess.check(["ip", "-n", guest.name, "-batch", "-"], input: Array(batch.utf8))
        for (device, namespace) in [("g0", engines.paths.chassisNamespace), ("eth0", guest)] {
            _ = try output(["ethtool", "-K", device, "tx", "off"], Surroundings(network: namespace))
        }
        _ = try output([
            "ovs-vsctl", "--timeout=10", "--db=\(engines.paths.switchDatabase)", "add-port", "br-int", "g0", "--",
            "set", "Interface", "g0", "external-ids:iface-id=p1",
        ])
        return guest
    }

    private static func lay(_ engines: Engines) throws(Fault) {
        let transaction = """
            ls-add net1 -- lsp-add net1 p1 -- lsp-set-addresses p1 "fa:16:3e:00:00:01 10.0.0.11"
            -- lr-add r1 -- lrp-add r1 r1-net1 fa:16:3e:aa:00:01 10.0.0.1/24
            -- lsp-add net1 net1-r1 -- lsp-set-type net1-r1 router -- lsp-set-addresses net1-r1 router
            -- lsp-set-options net1-r1 router-port=r1-net1
            -- ls-add pub -- lsp-add pub outside -- lsp-set-type outside localnet
            -- lsp-set-addresses outside unknown -- lsp-set-options outside network_name=external
            -- lrp-add r1 r1-pub fa:16:3e:bb:00:01 203.0.113.10/24 -- lrp-set-gateway-chassis r1-pub chassis 10
            -- lsp-add pub pub-r1 -- lsp-set-type pub-r1 router -- lsp-set-addresses pub-r1 router
            -- lsp-set-options pub-r1 router-port=r1-pub nat-addresses=router
            """
        let words = transaction.split(whereSeparator: \.isWhitespace).map(String.init)
        var argv = ["ovn-nbctl", "--timeout=10", "--db=\(engines.paths.northbound)"]
        for word in words {
            // The one argument with a space in it.
            if word == "\"fa:16:3e:00:00:01" { continue }
            argv.append(word == "10.0.0.11\"" ? "fa:16:3e:00:00:01 10.0.0.11" : word)
        }
        _ = try output(argv)
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
