// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Testing

@testable import Engines

@Suite("Engines", .serialized, .enabled(if: Machine.hasEngines, "\(Machine.why)"), .timeLimit(.minutes(2)))
struct EnginesTests {
    @Test("The network engines answer on private sockets and stop without a trace")
    func network() async throws {
        let cloud = try TestEngines()
        try await cloud.with { engines in
            let paths = engines.paths
            _ = try output(["ovn-nbctl", "--timeout=5", "--db=\(paths.northbound)", "--wait=hv", "ls-add", "net1"])
            let bridges = try output(["ovs-vsctl", "--timeout=5", "--db=\(paths.switchDatabase)", "list-br"])
            #expect(bridges.split(separator: "\n") == ["br-ex", "br-int", "br-ul"])
            let chassis = try output([
                "ovn-sbctl", "--timeout=5", "--db=\(paths.southbound)", "--bare", "--columns=name", "list", "Chassis",
            ])
            #expect(chassis == "chassis")
            for engine in try await engines.health() { #expect(engine.healthy, "\(engine.name)") }
        }
        #expect(cloud.leftNothing)
        FileSystem.remove(cloud.folder)
    }
}
