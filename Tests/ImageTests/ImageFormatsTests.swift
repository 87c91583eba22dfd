// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

struct ImageFormatsTests {
    private static let broken: [UInt8] = {
        var disk = [UInt8](repeating: 0, count: 4096)
        disk[446] = 0x7f
        disk[510] = 0x55
        disk[511] = 0xaa
        return disk
    }()

    private func cloud(_ change: (inout ImageFormats) -> Void = { _ in }) async throws -> ImageCloud {
        var options = ImageOptions()
        change(&options.formats)
        return try await ImageCloud(options: options)
    }

    private func make(_ cloud: ImageCloud, _ disk: String) async -> TestCloud.Answer {
        await cloud.call(
            "POST", "/images", ["name": "a", "disk_format": .string(disk), "container_format": "bare"])
    }

    @Test("Formats are those that the operator has, in requests and in the schema")
    func configured() async throws {
        let cloud = try await cloud { $0.disks = ["raw", "gpt"] }
        #expect(await make(cloud, "gpt").status == 201)
        let refused = await make(cloud, "qcow2")
        #expect(refused.status == 400)
        #expect(refused.message.contains("\"qcow2\" is not one of [None, 'raw', 'gpt']"), "\(refused.message)")
        let id = await cloud.make()
        let change: JSON = [["op": "replace", "path": "/disk_format", "value": "vdi"]]
        #expect(await cloud.patch(id, change).status == 400)
        let schema = await cloud.call("GET", "/schemas/image")["properties"]
        #expect(schema["disk_format"]?["enum"] == [nil, "raw", "gpt"])
    }

    @Test("Bytes of another format are let in where formats need not match, without a size that nobody knows")
    func lenient() async throws {
        let cloud = try await cloud { $0.mustMatch = false }
        let id = await make(cloud, "qcow2")["id"].string ?? ""
        #expect(await cloud.upload(id, [1, 2, 3]).status == 204)
        #expect(await cloud.show(id)["virtual_size"].isNull)
        let strict = try await self.cloud()
        let other = await make(strict, "qcow2")["id"].string ?? ""
        #expect(await strict.upload(other, [1, 2, 3]).status == 415)
    }

    @Test("What is dangerous as what it is said to be stays out, match or not")
    func dangerous() async throws {
        let cloud = try await cloud { $0.mustMatch = false }
        let id = await make(cloud, "qcow2")["id"].string ?? ""
        var both = Specimen.qcow2(backing: 9) + [UInt8](repeating: 0, count: 65536)
        // A partition table in the same bytes: two formats, so that neither matches.
        both[446] = 0x80
        both[450] = 0x83
        both[510] = 0x55
        both[511] = 0xaa
        let refused = await cloud.upload(id, both)
        #expect(refused.status == 415)
        #expect(refused.message.contains("backing file"), "\(refused.message)")
    }

    @Test("A broken partition table is refused unless the operator lets it pass, or it is a kernel's")
    func partitions() async throws {
        let strict = try await cloud()
        let lenient = try await cloud { $0.nonfatal = ["mbr"] }
        for (cloud, disk, status) in [(strict, "raw", 415), (strict, "aki", 415), (lenient, "raw", 204)] {
            let id = await make(cloud, disk)["id"].string ?? ""
            #expect(await cloud.upload(id, Self.broken).status == status, "\(disk)")
        }
    }
}
