// SPDX-License-Identifier: Apache-2.0
internal import Image
internal import Kernel
internal import Synchronization

/// An object on its way: one request when its size is known and not too large, else segments, each sent while it
/// arrives, and a manifest at the end.
final class SwiftDraft: ImageDraft {
    private struct Segment: Sendable {
        let path: String
        let size: Int
        let tag: String
    }

    private struct State: Sendable {
        var upload: HTTPUpload?
        /// Bytes in the segment that is being sent.
        var filled = 0
        var size = 0
        var segments: [Segment] = []
        var isSealed = false
        var isOver = false
    }

    let location: String
    private let container: String
    private let name: String
    private let account: SwiftAccount
    private let pool: BlockingPool
    /// The size of an object that goes in one request.
    private let whole: Int?
    private let segmentSize: Int
    private let state = Mutex(State())

    init(
        _ location: String, container: String, name: String, account: SwiftAccount, pool: BlockingPool, whole: Int?,
        segment: Int
    ) {
        self.location = location
        self.container = container
        self.name = name
        self.account = account
        self.pool = pool
        self.whole = whole
        segmentSize = segment
    }

    private var path: String { "\(container)/\(name)" }

    func append(_ bytes: [UInt8]) async throws(Fault) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let upload = try await current()
            let room = (whole == nil ? segmentSize : Int.max) - state.withLock { $0.filled }
            let portion = rest.prefix(room)
            rest = rest.dropFirst(portion.count)
            try await upload.write(portion.count == bytes.count ? bytes : Array(portion))
            state.withLock { state in
                state.filled += portion.count
                state.size += portion.count
            }
            if portion.count == room { try await endSegment() }
        }
    }

    /// The request that takes bytes now.
    private func current() async throws(Fault) -> HTTPUpload {
        if let upload = state.withLock({ $0.upload }) { return upload }
        let account = account
        let session = try await pool.run { () throws(Fault) in try account.current() }
        let target = whole == nil ? segmentPath : path
        let upload = try account.streams.send(
            SwiftAccount.url(session, target),
            headers: [("X-Auth-Token", session.token), ("Content-Type", "application/octet-stream")], length: whole)
        state.withLock { state in
            state.upload = upload
            state.filled = 0
        }
        return upload
    }

    private var segmentPath: String {
        let number = String(state.withLock { $0.segments.count } + 1)
        return "\(path)-" + String(repeating: "0", count: max(0, 5 - number.count)) + number
    }

    private func endSegment() async throws(Fault) {
        guard let upload = state.withLock({ $0.upload }) else { return }
        let target = whole == nil ? segmentPath : path
        let reply = try await upload.finish()
        guard reply.status == 201 else { throw SwiftAccount.fault(reply, "PUT \(target)") }
        let tag = (reply.headers["ETag"] ?? "").filter { $0 != "\"" }
        state.withLock { state in
            state.upload = nil
            if whole == nil { state.segments.append(Segment(path: target, size: state.filled, tag: tag)) }
            state.filled = 0
        }
    }

    /// The object is whole and at its place after this.
    private func seal() async throws(Fault) {
        guard state.withLock({ !$0.isSealed }) else { return }
        try await endSegment()
        let (segments, size) = state.withLock { ($0.segments, $0.size) }
        let (account, path) = (account, path)
        if size == 0 {
            _ = try await pool.run { () throws(Fault) in try account.need("PUT", path) }
        } else if whole == nil {
            let manifest = JSON.array(
                segments.map {
                    ["path": .string("/\($0.path)"), "size_bytes": .integer(Int64($0.size)), "etag": .string($0.tag)]
                })
            _ = try await pool.run { () throws(Fault) in
                try account.need(
                    "PUT", path, query: [("multipart-manifest", "put")],
                    headers: [("Content-Type", "application/octet-stream")], body: manifest.bytes())
            }
        }
        state.withLock { $0.isSealed = true }
    }

    func inspect<Finding: Sendable>(
        _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        try await seal()
        let (account, path, size) = (account, path, state.withLock { $0.size })
        return try await pool.run { () throws(Fault) in try look(account.bytes(path, size: size)) }
    }

    func publish() async throws(Fault) {
        try await seal()
        state.withLock { $0.isOver = true }
    }

    func discard() async {
        let (isOver, isEmpty) = state.withLock { state in
            defer {
                state.isOver = true
                // Breaks off what is under way.
                state.upload = nil
            }
            return (state.isOver, state.size == 0 && !state.isSealed)
        }
        guard !isOver, !isEmpty else { return }
        let (account, container, name) = (account, container, name)
        _ = try? await pool.run { () throws(Fault) in try account.remove(container, name) }
    }
}
