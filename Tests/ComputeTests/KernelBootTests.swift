// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Images that are started from a kernel of their own, and what images say of shutting down.
struct KernelBootTests {
    private static let kernel = "11111111-1111-4111-8111-33333333333a"
    private static let ramdisk = "11111111-1111-4111-8111-33333333333b"

    private static func cloud(_ properties: JSONObject, hosts: Int = 1) async throws -> ComputeCloud {
        let cloud = try await ComputeCloud(hosts: hosts)
        await cloud.flavor()
        cloud.images.state.withLock { state in
            for (id, format) in [(kernel, "aki"), (ramdisk, "ari")] {
                state.images[id] = [
                    "id": .string(id), "name": "k", "status": "active", "disk_format": .string(format), "size": 4096,
                    "min_disk": 0, "min_ram": 0, "checksum": "k",
                ]
            }
            for (name, value) in properties { state.images[FakeImages.id]?[name] = value }
        }
        return cloud
    }

    @Test("A server's kernel and ramdisk come to its host before it boots, is made anew, or moves")
    func kernels() async throws {
        let cloud = try await Self.cloud(
            ["kernel_id": .string(Self.kernel), "ramdisk_id": .string(Self.ramdisk), "os_command_line": "quiet"],
            hosts: 2)
        let id = try await cloud.server()
        let shown = await cloud.show(id, at: "2.3")
        #expect(shown["status"] == "ACTIVE", "\(shown.text())")
        #expect(shown["OS-EXT-SRV-ATTR:kernel_id"]?.string == Self.kernel)
        #expect(shown["OS-EXT-SRV-ATTR:ramdisk_id"]?.string == Self.ramdisk)
        let source = await ServerMovesTests.host(cloud, id)
        #expect(await cloud.hosts[source]?.kernels[id] == [Self.kernel, Self.ramdisk])
        #expect(await cloud.hosts[source]?.spec(of: id)?.properties["os_command_line"] == "quiet")
        #expect(await cloud.act(id, ["migrate": nil], as: .admin()).status == 202)
        try await cloud.work()
        let dest = await ServerMovesTests.host(cloud, id)
        #expect(dest != source)
        #expect(await cloud.hosts[dest]?.kernels[id] == [Self.kernel, Self.ramdisk])
    }

    @Test("An image whose kernel is not there is refused")
    func missing() async throws {
        let cloud = try await Self.cloud(["kernel_id": "11111111-1111-4111-8111-33333333333c"])
        let made = await cloud.call("POST", "/servers", ComputeCloud.draft())
        #expect(made.status == 400)
        #expect(made.message == "Image 11111111-1111-4111-8111-33333333333c could not be found.")
    }
}
