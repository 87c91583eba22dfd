// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import NetworkOVN
import OVSDB
import Testing

/// What large clouds cost; printed, for Benchmarks/FIGURES.md. `APUS_MEASURE=1` runs it.
@Suite(
    .enabled(if: TestDatabases.isInstalled && Environment.variable("APUS_MEASURE") != nil, "APUS_MEASURE is not set"),
    .serialized, .timeLimit(.minutes(5)))
struct NetworkCostTests {
    private static func cloud(ports: Int, isNamed: Bool = false) -> Topology {
        var whole = World.topology
        whole.ports = TopologyTable()
        for n in 0..<ports {
            var port = World.guest(1)
            port.id = "port-\(n)"
            port.dnsName = isNamed ? "vm-\(n)" : ""
            port.mac = MACAddress(number: MACAddress.base.number + UInt64(1000 + n))!
            port.addresses = [
                FixedAddress(subnetID: "inside-4", address: .v4(10, 1, UInt8(n / 250), UInt8(1 + n % 250)))
            ]
            whole.put(port)
        }
        return whole
    }

    @Test("A rule for a group of a thousand ports is one transaction that touches the rule alone")
    func rule() async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            _ = try await backend.synchronize(Self.cloud(ports: 1000))
            var group = World.web
            var times: [Int64] = []
            for n in 0..<20 {
                group.generation += 1
                group.rules.append(
                    SecurityRuleSpec(
                        id: "more-\(n)", direction: .ingress, ipProtocol: "tcp", portMin: n + 1, portMax: n + 1))
                let start = Stopwatch.nanoseconds()
                try await backend.apply(TopologyChange(put: [.securityGroup(group)]))
                times.append(Int64(Stopwatch.nanoseconds() - start) / 1000)
            }
            print(
                "MEASURED rule added to a group of 1000 ports: median \(times.sorted()[10]) us, most \(times.max()!) us"
            )
            #expect(times.count == 20)
        }
    }

    @Test("A port with a name more among ten thousand costs like one without")
    func names() async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            let whole = Self.cloud(ports: 10_000, isNamed: true)
            _ = try await backend.synchronize(whole)
            for name in ["", "one-more"] {
                var times: [Int64] = []
                for n in 0..<10 {
                    var port = World.guest(2)
                    port.id = "one-more-\(name)\(n)"
                    port.dnsName = name.isEmpty ? "" : "\(name)-\(n)"
                    let start = Stopwatch.nanoseconds()
                    try await backend.apply(TopologyChange(put: [.port(port)]))
                    times.append(Int64(Stopwatch.nanoseconds() - start) / 1000)
                    try await backend.apply(TopologyChange(remove: [.port(port.id)]))
                }
                print("MEASURED one port more, named '\(name)', among 10,000 named: median \(times.sorted()[5]) us")
                #expect(times.count == 10)
            }
            #expect(try await backend.synchronize(whole).isEmpty)
        }
    }

    @Test("Ten thousand ports computed anew, and compared")
    func recompute() async throws {
        try await TestDatabases.with { databases in
            let backend = databases.backend()
            let whole = Self.cloud(ports: 10_000)
            var start = Stopwatch.nanoseconds()
            let first = try await backend.synchronize(whole)
            print("MEASURED 10,000 ports written: \((Stopwatch.nanoseconds() - start) / 1_000_000) ms")
            start = Stopwatch.nanoseconds()
            let again = try await backend.synchronize(whole)
            print("MEASURED 10,000 ports recomputed and compared: \((Stopwatch.nanoseconds() - start) / 1_000_000) ms")
            start = Stopwatch.nanoseconds()
            var port = World.guest(2)
            port.id = "one-more"
            try await backend.apply(TopologyChange(put: [.port(port)]))
            print("MEASURED one port more among 10,000: \((Stopwatch.nanoseconds() - start) / 1000) us")
            #expect(first.inserted.count > 10_000 && again.isEmpty)
        }
    }
}
