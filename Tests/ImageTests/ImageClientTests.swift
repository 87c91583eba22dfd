// SPDX-License-Identifier: Apache-2.0
import Clients
import Image
import Kernel
import Simulation
import Synchronization
import Testing

struct ImageClientTests {
    @Test("Another room finds an image, its properties and its bytes")
    func roundTrip() async throws {
        let cloud = try await ImageCloud()
        let front = cloud.cloud.front
        let client = ImageClient(over: InProcess { front }, as: .service())
        let id = await cloud.make([
            "name": "debian", "disk_format": "qcow2", "container_format": "bare", "min_disk": 2, "min_ram": 64,
            "visibility": "private", "hw_disk_bus": "virtio",
        ])
        let bytes = Specimen.qcow2(size: 3 << 30)
        #expect(await cloud.upload(id, bytes).status == 204)
        let image = try #require(try await client.find(id, requestID: "req-1"))
        #expect(image.status == "active")
        #expect(image.diskFormat == "qcow2")
        #expect(image.size == bytes.count)
        #expect(image.virtualSize == 3 << 30)
        #expect(image.minDisk == 2)
        #expect(image.minRAM == 64)
        #expect(image.checksum == Hex.encode(Digest.bytes(.sha512, bytes)))
        #expect(image.properties == ["hw_disk_bus": "virtio"])
        let read = Mutex<[UInt8]>([])
        try await client.download(id, requestID: "req-1") { chunk throws(Fault) in read.withLock { $0 += chunk } }
        #expect(read.withLock { $0 } == bytes)
        #expect(try await client.find(id, requestID: "req-1", as: .member(project: "project-b")) == nil)
    }
}
