// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Synchronization
import Testing

/// A body that breaks off after some bytes, or does something in the middle.
private final class Chunks: BodySource {
    private let rest: Mutex<[[UInt8]]>
    private let last: @Sendable () async throws(Fault) -> Void

    init(_ chunks: [[UInt8]], last: @escaping @Sendable () async throws(Fault) -> Void) {
        rest = Mutex(chunks)
        self.last = last
    }

    func read() async throws(Fault) -> [UInt8]? {
        if let next = rest.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return next }
        try await last()
        return nil
    }
}

struct ImageTransferTests {
    private static func stream(
        _ cloud: ImageCloud, _ id: String, _ chunks: [[UInt8]], announced: Int? = nil,
        last: @escaping @Sendable () async throws(Fault) -> Void = {}
    ) async -> TestCloud.Answer {
        let request = HTTPRequest(
            method: "PUT", path: "/v2/images/\(id)/file", headers: ["Content-Type": "application/octet-stream"],
            body: HTTPBody(contentLength: announced, source: Chunks(chunks, last: last)), tag: "image",
            trusted: TrustedCaller(.member(), requestID: "req-1"))
        return await TestCloud.read(await cloud.cloud.front.handle(request))
    }

    @Test("Bytes in many pieces are one image")
    func pieces() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let chunks = (0..<40).map { number in [UInt8](repeating: UInt8(number), count: 20_000) }
        #expect(await Self.stream(cloud, id, chunks).status == 204)
        #expect(await cloud.show(id)["size"].integer == 800_000)
        #expect(await cloud.show(id)["checksum"].string == Hex.encode(Digest.bytes(.md5, chunks.flatMap { $0 })))
        #expect(await cloud.download(id).bytes == chunks.flatMap { $0 })
    }

    @Test("A client that goes away in the middle leaves a queued image and no bytes")
    func goneClient() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let answer = await Self.stream(cloud, id, [[UInt8](repeating: 1, count: 500_000)]) { () throws(Fault) in
            throw .timeout("The client is gone.")
        }
        #expect(answer.status == 504)
        #expect(await cloud.show(id)["status"].string == "queued")
        #expect(cloud.store.locations.isEmpty)
        #expect(cloud.store.openDrafts == 0)
        #expect(await cloud.upload(id, [1]).status == 204)
    }

    @Test("An image that is deleted while it is uploaded is gone, with its bytes")
    func deletedMeanwhile() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let answer = await Self.stream(cloud, id, [[1, 2, 3]]) { _ = await cloud.call("DELETE", "/images/\(id)") }
        #expect(answer.status == 410)
        #expect(cloud.store.locations.isEmpty)
        #expect(cloud.store.openDrafts == 0)
    }

    @Test("Only one upload at a time, and none onto data")
    func twice() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let second = Mutex(0)
        let answer = await Self.stream(cloud, id, [[1]]) {
            let status = await cloud.upload(id, [2]).status
            second.withLock { $0 = status }
        }
        #expect(answer.status == 204)
        #expect(second.withLock { $0 } == 409)
        let third = await cloud.upload(id, [3])
        #expect(third.status == 409)
        #expect(third.message == "Image status transition from active to saving is not allowed")
        #expect(await cloud.download(id).bytes == [1])
    }

    @Test("A full store, a wrong length and too many bytes leave a queued image")
    func refusals() async throws {
        var options = ImageOptions()
        options.sizeCap = 100
        let cloud = try await ImageCloud(store: FakeImageStore(capacity: 50), options: options)
        let id = await cloud.make()
        let full = await cloud.upload(id, [UInt8](repeating: 1, count: 60))
        #expect(full.status == 413)
        #expect(full.message.contains("storage media is full"))
        let tooLarge = await cloud.upload(id, [UInt8](repeating: 1, count: 101))
        #expect(tooLarge.status == 413)
        #expect(await Self.stream(cloud, id, [[1, 2]], announced: 3).status == 400)
        #expect(await cloud.show(id)["status"].string == "queued")
        #expect(await cloud.show(id)["size"].isNull)
        #expect(cloud.store.openDrafts == 0)
    }

    @Test("Formats must be set and the content must be octets")
    func requirements() async throws {
        let cloud = try await ImageCloud()
        let bare = await cloud.make([:])
        let missing = await cloud.upload(bare, [1])
        #expect(missing.status == 400)
        #expect(missing.message == "Properties disk_format, container_format must be set prior to saving data.")
        let id = await cloud.make()
        let json = await cloud.cloud.send(
            "image", "PUT", "/v2/images/\(id)/file", bytes: [1], type: "application/json")
        #expect(json.status == 415)
        #expect(await cloud.upload(id, [1], as: .reader()).status == 403)
        #expect(await cloud.upload(id, [1], as: .member(project: "project-b")).status == 404)
    }

    @Test(
        "Ranges give the part that was asked for",
        arguments: [
            ("bytes=0-4", 206, "01234", "bytes 0-4/10"), ("bytes=5-", 206, "56789", "bytes 5-9/10"),
            ("bytes=-2", 206, "89", "bytes 8-9/10"), ("bytes=-20", 206, "0123456789", "bytes 0-9/10"),
            ("bytes=8-20", 206, "89", "bytes 8-9/10"), ("bytes=10-", 416, "", "bytes */10"),
            ("bytes=4-2", 416, "", "bytes */10"), ("lines=0-1", 416, "", "bytes */10"),
            ("bytes=0-1,3-4", 400, "", ""), ("bytes=-0", 416, "", "bytes */10"),
            ("bytes=99999999999999999999-", 416, "", "bytes */10"), ("bytes=+1-2", 416, "", "bytes */10"),
        ])
    func ranges(range: String, status: Int, bytes: String, contentRange: String) async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        _ = await cloud.upload(id, Array("0123456789".utf8))
        let answer = await cloud.download(id, headers: [("Range", range)])
        #expect(answer.status == status)
        #expect(answer.header("Content-Range") ?? "" == contentRange)
        if status == 206 { #expect(String(decoding: answer.bytes, as: UTF8.self) == bytes) }
    }

    @Test("A deactivated image is downloaded by administrators alone")
    func deactivated() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let early = await cloud.call("POST", "/images/\(id)/actions/deactivate")
        #expect(early.status == 403)
        #expect(early.message == "Not allowed to deactivate image in status 'queued'")
        _ = await cloud.upload(id, [1])
        #expect(await cloud.call("POST", "/images/\(id)/actions/deactivate").status == 204)
        #expect(await cloud.call("POST", "/images/\(id)/actions/deactivate").status == 204)
        #expect(await cloud.show(id)["status"].string == "deactivated")
        let refused = await cloud.download(id)
        #expect(refused.status == 403)
        #expect(refused.message == "The requested image has been deactivated. Image data download is forbidden.")
        #expect(await cloud.download(id, as: .admin()).status == 200)
        #expect(await cloud.call("POST", "/images/\(id)/actions/reactivate").status == 204)
        #expect(await cloud.download(id).status == 200)
    }

    @Test("Staged bytes become the image when they are imported")
    func imported() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make()
        let body: JSON = ["method": ["name": "glance-direct"]]
        #expect(await cloud.call("POST", "/images/\(id)/import", body).status == 409)
        let staged = await cloud.cloud.send(
            "image", "PUT", "/v2/images/\(id)/stage", bytes: [1, 2, 3], type: "application/octet-stream")
        #expect(staged.status == 204)
        #expect(await cloud.show(id)["status"].string == "uploading")
        #expect(await cloud.show(id)["checksum"].isNull)
        #expect(await cloud.download(id).status == 204)
        #expect(await cloud.call("POST", "/images/\(id)/import", ["method": ["name": "copy"]]).status == 400)
        #expect(await cloud.call("POST", "/images/\(id)/import", body).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"].string == "active")
        #expect(await cloud.show(id)["virtual_size"].integer == 3)
        #expect(await cloud.download(id).bytes == [1, 2, 3])
        #expect(await cloud.call("POST", "/images/\(id)/import", body).status == 409)
    }

    @Test("Staged bytes that are not what they are said to be are dropped")
    func refusedImport() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make(["disk_format": "qcow2", "container_format": "bare"])
        _ = await cloud.cloud.send(
            "image", "PUT", "/v2/images/\(id)/stage", bytes: [1, 2, 3], type: "application/octet-stream")
        #expect(await cloud.call("POST", "/images/\(id)/import", ["method": ["name": "glance-direct"]]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"].string == "queued")
        #expect(cloud.store.locations.isEmpty)
    }
}

struct ImageRecoveryTests {
    @Test("After a kill in the middle of an upload the image waits again and its bytes are gone")
    func recovery() async throws {
        let cloud = try await ImageCloud()
        let active = await cloud.make()
        _ = await cloud.upload(active, [1])
        let staged = await cloud.make()
        _ = await cloud.cloud.send(
            "image", "PUT", "/v2/images/\(staged)/stage", bytes: [2], type: "application/octet-stream")
        let interrupted = await cloud.make()
        try await cloud.cloud.database.execute(
            "UPDATE image_images SET status = 'saving', location = 'x.1' WHERE id = \(interrupted)")
        let deposit = try await ImageDeposit.begin("x.1", of: interrupted, in: "file", size: nil, cloud.service)
        try await deposit.draft.append([1])
        try await deposit.draft.publish()
        try await cloud.service.recover()
        await ImageJanitor(cloud.service).pass()
        #expect(await cloud.show(interrupted)["status"].string == "queued")
        #expect(await cloud.show(active)["status"].string == "active")
        #expect(await cloud.show(staged)["status"].string == "uploading")
        #expect(cloud.store.locations.count == 1)
        #expect(try await cloud.cloud.database.count(ImageDepositRecord.self) == 1)
        #expect(await cloud.upload(interrupted, [3]).status == 204)
    }
}
