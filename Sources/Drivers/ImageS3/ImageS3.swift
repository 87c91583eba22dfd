// SPDX-License-Identifier: Apache-2.0
package import Image
package import Kernel
internal import Synchronization

/// Images as objects of one bucket, at any endpoint that speaks S3. Large ones go in parts, of which a few are under
/// way at once and nothing more is held; an upload that nobody ended is found by its key and given up.
package final class S3ImageStore: ImageStore {
    private let settings: S3StoreSettings
    private let bucket: S3Bucket
    private let pool: BlockingPool
    private let isMade = Mutex(false)

    package init(_ settings: S3StoreSettings, clock: any WallClock) {
        self.settings = settings
        let isPlain = settings.host.hasPrefix("http://")
        let host = settings.host.replacing("https://", with: "").replacing("http://", with: "")
        let endpoint = String(host.split(separator: "/").first ?? "")
        bucket = S3Bucket(
            client: HTTPClient(threads: 1, authorities: settings.authorities),
            streams: HTTPStreams(authorities: settings.authorities),
            signature: S3Signature(
                accessKey: settings.accessKey, secretKey: settings.secretKey, region: settings.resolvedRegion),
            clock: clock, scheme: isPlain ? "http" : "https", endpoint: endpoint, name: settings.bucket,
            isVirtual: settings.isVirtual(endpoint))
        pool = BlockingPool(name: "image s3", threads: max(4, settings.threads), queue: 1024)
    }

    package func properties() async throws(Fault) -> JSON {
        [
            "s3_store_large_object_size": .integer(Int64(settings.largeObjectSize)),
            "s3_store_large_object_chunk_size": .integer(Int64(settings.partSize)),
            "s3_store_thread_pools": .integer(Int64(settings.threads)),
        ]
    }

    private var prefix: String {
        "\(bucket.scheme == "https" ? "s3+https" : "s3")://\(bucket.endpoint)/\(bucket.name)/"
    }

    package func owns(_ location: String) async -> Bool {
        location.hasPrefix("s3") && (try? key(location)) != nil
    }

    package func create(_ name: String, size: Int?) async throws(Fault) -> any ImageDraft {
        if settings.makesBucket, !isMade.withLock({ $0 }) {
            let bucket = bucket
            try await pool.run { () throws(Fault) in
                if try bucket.send("HEAD", nil).status == 404 { try bucket.make() }
            }
            isMade.withLock { $0 = true }
        }
        return S3Draft(
            prefix + name, key: name, bucket: bucket, pool: pool, partSize: settings.partSize << 20,
            threshold: min(settings.largeObjectSize, settings.partSize) << 20, lanes: min(4, settings.threads))
    }

    package func open(_ location: String, offset: Int, length: Int) async throws(Fault) -> HTTPResponse.Body {
        let key = try key(location)
        if length == 0 {
            guard try await size(location) != nil else { throw .notFound("S3: no object \(key)") }
            return .empty
        }
        let call = bucket.call(
            "GET", key, headers: [("Range", "bytes=\(offset)-\(offset + length - 1)")])
        let reply = try await bucket.streams.receive(call.url, headers: call.headers)
        guard reply.status == 206 || (reply.status == 200 && offset == 0) else {
            let text = try await reply.body.collect(limit: 1 << 20)
            throw S3Bucket.fault(
                HTTPClient.Reply(status: reply.status, headers: reply.headers, body: text), "GET \(key)")
        }
        return reply.body.asResponse(length: length)
    }

    package func inspect<Finding: Sendable>(
        _ location: String, _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        let (key, bucket) = (try key(location), bucket)
        return try await pool.run { () throws(Fault) in
            guard let size = try bucket.size(key) else { throw .notFound("S3: no object \(key)") }
            return try look(
                RangedBytes(size: size) { offset, count throws(Fault) in try bucket.read(key, offset, count) })
        }
    }

    package func size(_ location: String) async throws(Fault) -> Int? {
        let (key, bucket) = (try key(location), bucket)
        return try await pool.run { () throws(Fault) in try bucket.size(key) }
    }

    package func delete(_ location: String) async throws(Fault) {
        let (key, bucket) = (try key(location), bucket)
        try await pool.run { () throws(Fault) in
            for upload in try bucket.openUploads(key) {
                _ = try bucket.send("DELETE", key, query: [("uploadId", upload)])
            }
            let reply = try bucket.send("DELETE", key)
            guard (200...299).contains(reply.status) || reply.status == 404 else {
                throw S3Bucket.fault(reply, "DELETE \(key)")
            }
        }
    }

    /// The object's key: what follows endpoint and bucket. Credentials that older releases wrote there are skipped.
    private func key(_ location: String) throws(Fault) -> String {
        var rest = location[...]
        for scheme in ["s3+https://", "s3+http://", "s3://"] where rest.hasPrefix(scheme) {
            rest = rest.dropFirst(scheme.count)
            break
        }
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        let start = "\(bucket.endpoint)/\(bucket.name)/"
        guard rest.hasPrefix(start), rest.count > start.count else {
            throw .badRequest("'\(location)' is no location of this S3 store.")
        }
        return String(rest.dropFirst(start.count))
    }
}
