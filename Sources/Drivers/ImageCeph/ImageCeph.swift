// SPDX-License-Identifier: Apache-2.0
package import Image
package import Kernel
internal import Synchronization

/// Images as RADOS block devices of one pool, each with a protected snapshot that volumes and guests are cloned from:
/// `rbd://fsid/pool/image/snap`. The cluster is reached when it is first needed.
package final class CephImageStore: ImageStore {
    static let snapshot = "snap"

    private let settings: CephStoreSettings
    private let threads: BlockingPool
    private let connection = Mutex<CephPool?>(nil)
    private static let piece = 4 << 20

    package init(_ settings: CephStoreSettings, threads: Int = 8) {
        self.settings = settings
        self.threads = BlockingPool(name: "image ceph", threads: threads, queue: 1024)
    }

    /// On a thread that may block.
    private func pool() throws(Fault) -> CephPool {
        if let pool = connection.withLock({ $0 }) { return pool }
        let fresh = try CephPool(settings)
        return connection.withLock { known in
            known = known ?? fresh
            return known ?? fresh
        }
    }

    private func run<T: Sendable>(
        _ body: @Sendable @escaping (CephPool) throws(Fault) -> T
    ) async throws(Fault) -> T {
        try await threads.run { () throws(Fault) in try body(try self.pool()) }
    }

    package func properties() async throws(Fault) -> JSON {
        let fsid = try? await run { pool throws(Fault) in pool.fsid }
        return [
            "chunk_size": .integer(Int64(settings.chunkSize) << 20), "pool": .string(settings.pool),
            "thin_provisioning": .bool(settings.isThin), "fsid": fsid.map(JSON.string) ?? .null,
        ]
    }

    package func owns(_ location: String) async -> Bool {
        guard let place = try? place(location), place.pool == settings.pool || place.pool == nil else { return false }
        guard let fsid = place.fsid else { return true }
        return (try? await run { pool throws(Fault) in pool.fsid == fsid }) ?? false
    }

    package func create(_ name: String, size: Int?) async throws(Fault) -> any ImageDraft {
        let order = (settings.chunkSize << 20).trailingZeroBitCount
        let settings = settings
        let threads = threads
        return try await run { pool throws(Fault) in
            // Made with the first bytes: what is noted nowhere must not exist.
            CephDraft(
                "rbd://\(Percent.encode(pool.fsid))/\(Percent.encode(settings.pool))/\(Percent.encode(name))/"
                    + Self.snapshot, name: name, announced: size, order: order, isThin: settings.isThin, pool: pool,
                threads: threads)
        }
    }

    package func open(_ location: String, offset: Int, length: Int) async throws(Fault) -> HTTPResponse.Body {
        let place = try place(location)
        let image = try await run { pool throws(Fault) in try pool.open(place.image, snapshot: place.snapshot) }
        if length == 0 { return .empty }
        let threads = threads
        return .stream(length: length) { writer async throws(Fault) in
            var at = offset
            let end = offset + length
            var next: Deferred<[UInt8]>?
            while at < end {
                let start = at
                let count = min(Self.piece, end - start)
                var running = next
                if running == nil { running = try threads.begin { () throws(Fault) in try image.read(start, count) } }
                at += count
                let (follows, rest) = (at, min(Self.piece, end - at))
                next = rest > 0 ? try threads.begin { () throws(Fault) in try image.read(follows, rest) } : nil
                let bytes = try await running?.value() ?? []
                guard bytes.count == count else { throw .unavailable("Image data ended early.") }
                try await writer.write(bytes)
            }
        }
    }

    package func inspect<Finding: Sendable>(
        _ location: String, _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        let place = try place(location)
        return try await run { pool throws(Fault) in
            let image = try pool.open(place.image, snapshot: place.snapshot)
            return try look(
                RangedBytes(size: try image.size()) { offset, count throws(Fault) in try image.read(offset, count) })
        }
    }

    package func size(_ location: String) async throws(Fault) -> Int? {
        let place = try place(location)
        do throws(Fault) {
            return try await run { pool throws(Fault) in
                try pool.open(place.image, snapshot: place.snapshot).size()
            }
        } catch {
            if error.status == 404 { return nil }
            throw error
        }
    }

    package func requireUnused(_ location: String) async throws(Fault) {
        let place = try place(location)
        do throws(Fault) {
            try await run { pool throws(Fault) in
                let image = try pool.open(place.image, snapshot: place.snapshot)
                if place.snapshot != nil, try image.children() > 0 { throw .cephInUse }
            }
        } catch {
            if error.status != 404 { throw error }
        }
    }

    package func delete(_ location: String) async throws(Fault) {
        let place = try place(location)
        try await run { pool throws(Fault) in
            try pool.remove(place.image, snapshot: place.snapshot ?? Self.snapshot)
        }
    }

    package func free() async throws(Fault) -> Int? { try await run { pool throws(Fault) in pool.free() } }

    private struct Place {
        let fsid: String?
        let pool: String?
        let image: String
        let snapshot: String?
    }

    /// `rbd://fsid/pool/image/snapshot`, or of old `rbd://image`.
    private func place(_ location: String) throws(Fault) -> Place {
        let parts = location.dropFirst("rbd://".count).split(separator: "/", omittingEmptySubsequences: false)
            .map { Percent.decode($0) ?? "" }
        guard location.hasPrefix("rbd://"), !parts.contains(""), parts.count == 1 || parts.count == 4 else {
            throw .badRequest("'\(location)' is no location of a Ceph store.")
        }
        if parts.count == 1 { return Place(fsid: nil, pool: nil, image: parts[0], snapshot: nil) }
        guard parts[1] == settings.pool else {
            throw .badRequest("'\(location)' is not in the pool '\(settings.pool)'.")
        }
        return Place(fsid: parts[0], pool: parts[1], image: parts[2], snapshot: parts[3])
    }
}
