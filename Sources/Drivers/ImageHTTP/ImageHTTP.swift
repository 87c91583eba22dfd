// SPDX-License-Identifier: Apache-2.0
package import Image
package import Kernel

/// Images that stay on somebody's web server: only read, each location being its URL.
package final class HTTPImageStore: ImageStore {
    private let client: HTTPClient
    private let streams: HTTPStreams
    private let pool = BlockingPool(name: "image http", threads: 4, queue: 256)
    private static let redirects = 5
    private static let patience = Duration.seconds(60)

    /// - Parameter reachesPrivate: whether addresses may be reached that are not of the public internet: users name
    ///   locations, and this machine's neighbours are not theirs to ask.
    package init(_ settings: HTTPStoreSettings, reachesPrivate: Bool) {
        let rule: AddressRule? = reachesPrivate ? nil : AddressBytes.isPublic
        client = HTTPClient(
            threads: 1, authorities: settings.authorities, verifiesPeers: settings.verifiesPeers, mayReach: rule)
        streams = HTTPStreams(
            authorities: settings.authorities, verifiesPeers: settings.verifiesPeers, mayReach: rule)
    }

    package var isReadOnly: Bool { true }
    package func properties() async throws(Fault) -> JSON { [:] }
    package func create(_ name: String, size: Int?) async throws(Fault) -> any ImageDraft { throw .imageStoreReadOnly }
    package func delete(_ location: String) async throws(Fault) {}

    package func owns(_ location: String) async -> Bool {
        location.hasPrefix("http://") || location.hasPrefix("https://")
    }

    package func open(_ location: String, offset: Int, length: Int) async throws(Fault) -> HTTPResponse.Body {
        if length == 0 { return .empty }
        var url = location
        for _ in 0...Self.redirects {
            let reply = try await streams.receive(
                url, headers: [("Range", "bytes=\(offset)-\(offset + length - 1)")], stall: Self.patience)
            switch reply.status {
            case 206: return reply.body.asResponse(length: length)
            // A server that knows no ranges sends all of it.
            case 200: return reply.body.asResponse(skipping: offset, length: length)
            default: url = try Self.next(reply.status, reply.headers, url)
            }
        }
        throw Self.endless(location)
    }

    package func size(_ location: String) async throws(Fault) -> Int? {
        let client = client
        return try await pool.run { () throws(Fault) in try Self.size(location, client)?.size }
    }

    package func inspect<Finding: Sendable>(
        _ location: String, _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding {
        let client = client
        return try await pool.run { () throws(Fault) in
            guard let (url, size) = try Self.size(location, client) else {
                throw .notFound("HTTP datastore could not find image at URI.")
            }
            return try look(
                RangedBytes(size: size) { offset, count throws(Fault) in
                    let reply = try client.sendHere(
                        "GET", url, headers: [("Range", "bytes=\(offset)-\(offset + count - 1)")],
                        timeout: Self.patience)
                    guard reply.status == 206, reply.body.count == count else {
                        throw .unavailable("\(url): no part of it could be read (status \(reply.status)).")
                    }
                    return reply.body
                })
        }
    }

    /// Where it really is, and how long; nil when it is not there.
    private static func size(_ location: String, _ client: HTTPClient) throws(Fault) -> (url: String, size: Int)? {
        var url = location
        for _ in 0...redirects {
            let reply = try client.sendHere("HEAD", url, timeout: patience)
            if reply.status == 404 || reply.status == 410 { return nil }
            if reply.status == 200 {
                guard let size = reply.headers["Content-Length"].flatMap(Int.init) else {
                    throw .badRequest("The HTTP URL is invalid: it does not tell how long the data is.")
                }
                return (url, size)
            }
            url = try next(reply.status, reply.headers, url)
        }
        throw endless(location)
    }

    /// Where an answer sends us.
    private static func next(_ status: Int, _ headers: HTTPHeaders, _ url: String) throws(Fault) -> String {
        switch status {
        case 301, 302, 303, 307, 308:
            guard let target = headers["Location"] else {
                throw .unavailable("\(url): sent on without saying where.")
            }
            if target.hasPrefix("http://") || target.hasPrefix("https://") { return target }
            let host = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).prefix(3)
            guard target.hasPrefix("/") else { throw .unavailable("\(url): sent on to '\(target)'.") }
            return host.joined(separator: "/") + target
        case 404, 410: throw .notFound("HTTP datastore could not find image at URI.")
        default: throw .unavailable("HTTP URL \(url) returned a \(status) status code.")
        }
    }

    private static func endless(_ location: String) -> Fault {
        .unavailable("The HTTP URL \(location) attempted to redirect more than \(redirects) times.")
    }
}
