// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Simulation
import Testing

@testable import Compute

/// Moves to a host that is named and not to be argued about.
struct ForcedMovesTests {
    typealias Parts = HostPartsTests

    @Test("Of the ways that Placement knows into the host, the first that its free devices can follow is taken")
    func follows() async throws {
        let cloud = try await ComputeCloud(hosts: 2, options: Parts.options(), each: Parts.devices())
        await Parts.flavor(cloud, "gpu", ["pci_passthrough:alias": "gpu:1"])
        var servers: [String] = []
        for zone in ["nova:host-1", "nova:host-2"] {
            let draft = ComputeCloud.draft([
                "flavorRef": "gpu", "networks": "none", "availability_zone": .string(zone),
            ])
            let answer = await cloud.call("POST", "/servers", draft, at: "2.37", as: .admin())
            #expect(answer.status == 202, "\(answer.json.text())")
            servers.append(answer["server"]["id"]?.string ?? "")
            try await cloud.work()
        }
        let (mover, other) = (servers[0], servers[1])
        // Placement has lost what the other one has, which is what it would name first.
        let claim = try #require(try await cloud.room.placement.holding(other, requestID: "req-1"))
        let bare = claim.allocations.filter { $0.value["VCPU"] != nil }
        #expect(bare.count == 1 && claim.allocations.count == 2)
        try await cloud.room.placement.claim([claim.taking(bare)], requestID: "req-1")
        let down: JSON = ["host": "host-1", "binary": "nova-compute", "forced_down": true]
        #expect(await cloud.call("PUT", "/os-services/force-down", down, at: "2.11", as: .admin()).status == 200)
        await cloud.hosts["host-1"]?.setUnreachable(true)
        let wish: JSON = ["evacuate": ["host": "host-2", "force": true]]
        #expect(await cloud.act(mover, wish, at: "2.29", as: .admin()).status == 200)
        try await cloud.work()
        let (moved, stayed) = (try await Parts.row(cloud, mover), try await Parts.row(cloud, other))
        #expect(moved.host == "host-2" && moved.vmState == .active, "\(moved.vmState)")
        let addresses = (moved.hostDevices + stayed.hostDevices).map(\.address).sorted()
        #expect(addresses == ["0000:81:00.0", "0000:82:00.0"])
        #expect(await Parts.held(cloud, mover)["host-2_\(moved.hostDevices[0].address)"] != nil)
    }
}
