// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

struct FakeMigrationTests {
    @Test("Fake hosts hand guests over as every driver's do", arguments: GuestMigrationConformance.allCases)
    func conformance(_ conformance: GuestMigrationConformance) async throws {
        let (here, there) = (FakeHypervisor(host: .fake("here")), FakeHypervisor(host: .fake("there")))
        let spec = GuestSpec(
            server: RandomIdentifiers().uuid(), instanceName: "instance-00000001", title: "guest", vcpus: 1,
            memoryMiB: 64, rootDiskGiB: 1)
        try await conformance.run(from: here, to: there, spec)
    }
}
