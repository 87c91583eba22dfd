// SPDX-License-Identifier: Apache-2.0
package import Image
package import Kernel
internal import Synchronization

/// Images as objects of an OpenStack object store (Swift). Large ones are segments under names of their own and a
/// static manifest; images that upstream stored with a dynamic manifest are read and deleted as well.
package final class SwiftImageStore: ImageStore {
    private let account: SwiftAccount
    private let settings: SwiftStoreSettings
    private let pool: BlockingPool
    private let made = Mutex<Set<String>>([])

    package init(_ settings: SwiftStoreSettings, threads: Int = 8) {
        self.settings = settings
        account = SwiftAccount(settings)
        pool = BlockingPool(name: "image objects", threads: threads, queue: 1024)
    }

    package func properties() async throws(Fault) -> JSON {
        [
            "container": .string(settings.container),
            "large_object_size": .integer(Int64(settings.largeObjectSize) << 20),
            "large_object_chunk_size": .integer(Int64(settings.chunkSize) << 20),
        ]
    }

    /// Credentials never stand in a location: it names the account by the operator's reference.
    package func owns(_ location: String) async -> Bool {
        guard location.hasPrefix("swift"), let place = try? place(location) else { return false }
        return place.container == settings.container || place.container.hasPrefix(settings.container + "_")
    }

    package func create(_ name: String, size: Int?) async throws(Fault) -> any ImageDraft {
        let container =
            settings.containerSeed == 0
            ? settings.container : "\(settings.container)_\(name.prefix(settings.containerSeed))"
        let (account, settings) = (account, settings)
        let isMade = made.withLock { $0.contains(container) }
        // Also the moment to find out that the token is old: later there are bytes that come only once.
        try await pool.run { () throws(Fault) in
            let reply = try account.send("HEAD", container)
            guard reply.status == 404, settings.makesContainer, !isMade else {
                guard (200...299).contains(reply.status) else {
                    throw SwiftAccount.fault(reply, "HEAD \(container)")
                }
                return
            }
            _ = try account.need("PUT", container)
        }
        made.withLock { _ = $0.insert(container) }
        let isLarge = size.map { $0 > settings.largeObjectSize << 20 } ?? true
        return SwiftDraft(
            "swift+config://\(settings.reference)/\(container)/\(name)", container: container, name: name,
            account: account, pool: pool, whole: isLarge ? nil : size, segment: settings.chunkSize << 20)
    }

    package func open(_ location: String, offset: Int, length: Int) async throws(Fault) -> HTTPResponse.Body {
        let place = try place(location)
        if length == 0 {
            guard try await size(location) != nil else { throw .notFound("Object store: no \(place.path).") }
            return .empty
        }
        let account = account
        var refused: SwiftAccount.Session?
        for _ in 0..<2 {
            let last = refused
            let session = try await pool.run { () throws(Fault) in try account.current(not: last) }
            let reply = try await account.streams.receive(
                SwiftAccount.url(session, place.path),
                headers: [("X-Auth-Token", session.token), ("Range", "bytes=\(offset)-\(offset + length - 1)")])
            switch reply.status {
            case 206: return reply.body.asResponse(length: length)
            case 200: return reply.body.asResponse(skipping: offset, length: length)
            case 401: refused = session
            default:
                throw SwiftAccount.fault(
                    HTTPClient.Reply(status: reply.status, headers: reply.headers, body: []), "GET \(place.path)")
            }
        }
        throw .unavailable("The object store refuses the account's token.")
    }

    package func inspect<Finding: Sendable>(
        _ location: String, _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        let (place, account) = (try place(location), account)
        return try await pool.run { () throws(Fault) in
            guard let size = try account.size(place.path) else {
                throw .notFound("Object store: no \(place.path).")
            }
            return try look(account.bytes(place.path, size: size))
        }
    }

    package func size(_ location: String) async throws(Fault) -> Int? {
        let (place, account) = (try place(location), account)
        return try await pool.run { () throws(Fault) in try account.size(place.path) }
    }

    package func delete(_ location: String) async throws(Fault) {
        let (place, account) = (try place(location), account)
        try await pool.run { () throws(Fault) in try account.remove(place.container, place.name) }
    }

    struct Place {
        let container: String
        let name: String
        var path: String { "\(container)/\(name)" }
    }

    private func place(_ location: String) throws(Fault) -> Place {
        let parts = location.split(separator: "/").map(String.init)
        guard location.hasPrefix("swift"), parts.count >= 4 else {
            throw .badRequest("'\(location)' is no location of an object store.")
        }
        return Place(container: parts[parts.count - 2], name: parts[parts.count - 1])
    }
}

extension SwiftAccount {
    func size(_ path: String) throws(Fault) -> Int? {
        let reply = try send("HEAD", path)
        if reply.status == 404 { return nil }
        guard reply.status == 200 || reply.status == 204 else { throw SwiftAccount.fault(reply, "HEAD \(path)") }
        return reply.headers["Content-Length"].flatMap(Int.init)
    }

    func bytes(_ path: String, size: Int) -> RangedBytes {
        RangedBytes(size: size) { offset, count throws(Fault) in
            let reply = try self.need(
                "GET", path, headers: [("Range", "bytes=\(offset)-\(offset + count - 1)")])
            guard reply.body.count == count else { throw .unavailable("Object store: \(path) ended early.") }
            return reply.body
        }
    }

    /// The object and its segments, also those that no manifest names yet.
    func remove(_ container: String, _ name: String) throws(Fault) {
        let head = try send("HEAD", "\(container)/\(name)")
        if head.headers["X-Static-Large-Object"]?.lowercased() == "true" {
            _ = try need("DELETE", "\(container)/\(name)", query: [("multipart-manifest", "delete")])
        } else if head.status != 404 {
            try drop("\(container)/\(name)")
        }
        // Listings lag behind: whatever they still show is tried, and what is gone already is fine.
        while true {
            let list = try need(
                "GET", container, query: [("prefix", "\(name)-"), ("format", "json"), ("limit", "1000")])
            guard let found = try? JSON.parse(list.body, limits: .trusted) else {
                throw .unavailable("Object store: \(container) could not be listed.")
            }
            let names = (found.array ?? []).compactMap { $0["name"]?.string }
            var gone = 0
            for segment in names where try drop("\(container)/\(segment)") { gone += 1 }
            if gone == 0 { return }
        }
    }

    /// Whether there was something.
    @discardableResult
    private func drop(_ path: String) throws(Fault) -> Bool {
        let reply = try send("DELETE", path)
        if reply.status == 404 { return false }
        guard (200...299).contains(reply.status) else { throw SwiftAccount.fault(reply, "DELETE \(path)") }
        return true
    }
}
