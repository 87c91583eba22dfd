// SPDX-License-Identifier: Apache-2.0
internal import Image
package import Kernel

/// Images on web servers. Each redirect is a call of its own, judged like the first; each address is judged when the
/// connection to it begins.
package final class WebImages: RemoteImages {
    private static let redirectsMax = 5
    private let streams: HTTPStreams

    /// - Parameter reachesPrivate: whether addresses may be reached that are not of the public internet.
    package init(reachesPrivate: Bool, authorities: String? = nil) {
        streams = HTTPStreams(
            authorities: authorities, mayReach: reachesPrivate ? nil : AddressBytes.isPublic)
    }

    package func open(
        _ url: String, headers: [(String, String)], allows: @escaping @Sendable (String) -> Bool
    ) async throws(Fault) -> HTTPBody {
        var address = url
        for _ in 0...Self.redirectsMax {
            let reply = try await streams.receive(address, headers: headers)
            switch reply.status {
            case 200: return reply.body
            case 301, 302, 303, 307, 308:
                guard let target = reply.headers["Location"] else {
                    throw Fault(502, "GET \(address): a redirect to nowhere.")
                }
                let next = Self.resolve(target, against: address)
                guard allows(next) else { throw .redirectRefused(next) }
                // What was meant for one server is not told to another.
                guard headers.isEmpty || Self.origin(next) == Self.origin(address) else {
                    throw .redirectRefused(next)
                }
                address = next
            case 500...599: throw .unavailable("GET \(address): the server answered \(reply.status).")
            default: throw .badRequest("GET \(address): the server answered \(reply.status).")
            }
        }
        throw .badRequest("GET \(url): more than \(Self.redirectsMax) redirects.")
    }

    /// `scheme://host:port` of an address.
    private static func origin(_ url: String) -> Substring {
        guard let colon = url.firstIndex(of: ":"), url[colon...].hasPrefix("://") else { return url[...] }
        let start = url.index(colon, offsetBy: 3)
        let end = url[start...].firstIndex { "/?#".contains($0) } ?? url.endIndex
        return url[..<end]
    }

    /// RFC 3986 section 5.2 for what servers send: whole addresses, and paths from the root or beside the page.
    static func resolve(_ target: String, against base: String) -> String {
        let word = target.prefix { !":/?#".contains($0) }
        if target.dropFirst(word.count).hasPrefix("://") { return target }
        let origin = origin(base)
        if target.hasPrefix("//") { return "\(base.prefix { $0 != ":" }):\(target)" }
        if target.hasPrefix("/") { return origin + target }
        let path = base.dropFirst(origin.count).prefix { !"?#".contains($0) }
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
        return origin + folder + target
    }
}
