// SPDX-License-Identifier: Apache-2.0
internal import Image
internal import Kernel
internal import Synchronization

/// An object on its way into a bucket: in one request when it is small, in parts when not.
final class S3Draft: ImageDraft {
    private struct State: Sendable {
        var rest: [UInt8] = []
        var size = 0
        var upload: String?
        /// Parts under way, in their order, and the tags of those that arrived.
        var running: [Deferred<String>] = []
        var tags: [String] = []
        var parts = 0
        var isSealed = false
        var isOver = false
    }

    let location: String
    private let key: String
    private let bucket: S3Bucket
    private let pool: BlockingPool
    private let partSize: Int
    private let threshold: Int
    private let lanes: Int
    private let state = Mutex(State())

    init(
        _ location: String, key: String, bucket: S3Bucket, pool: BlockingPool, partSize: Int, threshold: Int,
        lanes: Int
    ) {
        self.location = location
        self.key = key
        self.bucket = bucket
        self.pool = pool
        self.partSize = partSize
        self.threshold = threshold
        self.lanes = lanes
    }

    func append(_ bytes: [UInt8]) async throws(Fault) {
        let part = state.withLock { state -> [UInt8]? in
            state.size += bytes.count
            state.rest += bytes
            guard state.rest.count >= (state.upload == nil ? max(partSize, threshold) : partSize) else { return nil }
            defer { state.rest = [] }
            return state.rest
        }
        if let part { try await send(part) }
    }

    private func send(_ part: [UInt8]) async throws(Fault) {
        let (key, bucket) = (key, bucket)
        if state.withLock({ $0.upload == nil }) {
            let upload = try await pool.run { () throws(Fault) in
                let reply = try bucket.need("POST", key, query: [("uploads", "")])
                guard let id = XMLText.first("UploadId", in: String(decoding: reply.body, as: UTF8.self)) else {
                    throw .unavailable("S3 began no upload of \(key).")
                }
                return id
            }
            state.withLock { $0.upload = upload }
        }
        while state.withLock({ $0.running.count >= lanes }) { try await collect() }
        let (upload, number) = state.withLock { state in
            state.parts += 1
            return (state.upload ?? "", state.parts)
        }
        let running = try pool.begin { () throws(Fault) in
            let reply = try bucket.need(
                "PUT", key, query: [("partNumber", "\(number)"), ("uploadId", upload)], body: part)
            guard let tag = reply.headers["ETag"] else { throw .unavailable("S3 gave no tag for a part of \(key).") }
            return tag
        }
        state.withLock { $0.running.append(running) }
    }

    /// Waits for the oldest part.
    private func collect() async throws(Fault) {
        guard let oldest = state.withLock({ $0.running.isEmpty ? nil : $0.running.removeFirst() }) else { return }
        let tag = try await oldest.value()
        state.withLock { $0.tags.append(tag) }
    }

    /// The object is whole and at its place after this.
    private func seal() async throws(Fault) {
        guard state.withLock({ !$0.isSealed }) else { return }
        let rest = state.withLock { state in
            defer { state.rest = [] }
            return state.rest
        }
        let (key, bucket) = (key, bucket)
        if state.withLock({ $0.upload == nil }) {
            _ = try await pool.run { () throws(Fault) in try bucket.need("PUT", key, body: rest) }
        } else {
            if !rest.isEmpty { try await send(rest) }
            while state.withLock({ !$0.running.isEmpty }) { try await collect() }
            let (upload, tags) = state.withLock { ($0.upload ?? "", $0.tags) }
            let parts = tags.enumerated().map {
                "<Part><PartNumber>\($0.offset + 1)</PartNumber><ETag>\($0.element)</ETag></Part>"
            }
            let list =
                "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(parts.joined())"
                + "</CompleteMultipartUpload>"
            try await pool.run { () throws(Fault) in
                let reply = try bucket.need("POST", key, query: [("uploadId", upload)], body: Array(list.utf8))
                // An error may come with status 200, once the long work is over.
                if XMLText.first("Code", in: String(decoding: reply.body, as: UTF8.self)) != nil {
                    throw S3Bucket.fault(reply, "joining the parts of \(key)")
                }
            }
        }
        state.withLock { $0.isSealed = true }
    }

    func inspect<Finding: Sendable>(
        _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        try await seal()
        let (key, bucket, size) = (key, bucket, state.withLock { $0.size })
        return try await pool.run { () throws(Fault) in
            try look(RangedBytes(size: size) { offset, count throws(Fault) in try bucket.read(key, offset, count) })
        }
    }

    func publish() async throws(Fault) {
        try await seal()
        state.withLock { $0.isOver = true }
    }

    func discard() async {
        let isOver = state.withLock { state in
            defer { state.isOver = true }
            return state.isOver
        }
        guard !isOver else { return }
        // Parts that are under way would outlive the upload's end.
        while state.withLock({ !$0.running.isEmpty }) { _ = try? await collect() }
        let (key, bucket) = (key, bucket)
        let (upload, isSealed) = state.withLock { ($0.upload, $0.isSealed) }
        _ = try? await pool.run { () throws(Fault) in
            if let upload, !isSealed { _ = try bucket.send("DELETE", key, query: [("uploadId", upload)]) }
            if isSealed { _ = try bucket.send("DELETE", key) }
        }
    }
}
