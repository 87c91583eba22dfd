// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import Glibc
internal import Observability

/// What the connections of one server share.
final class HTTPService: Sendable {
    let limits: HTTPLimits
    let handler: HTTPHandler
    let log: Log
    let requests: Counter
    let refusedConnections: Counter
    let cutConnections: Counter

    init(limits: HTTPLimits, log: Log, metrics: Metrics, handler: @escaping HTTPHandler) {
        self.limits = limits
        self.log = log
        self.handler = handler
        requests = metrics.counter("http_requests_total", "Requests whose headers were read.")
        refusedConnections = metrics.counter(
            "http_connections_refused_total", "Connections turned away because a limit was reached.")
        cutConnections = metrics.counter(
            "http_connections_cut_total", "Connections ended because the client was too slow.")
    }
}

/// An accepted socket on its way to a daemon.
struct Arrival: Sendable {
    let socket: Int32
    let address: sockaddr_storage
    let addressLength: socklen_t
    let tag: String
    let port: Int
}

extension Arrival {
    /// The other end's address and port; empty for a Unix socket.
    var peer: (address: String, port: Int) {
        var storage = address
        let family = Int32(address.ss_family)
        return withUnsafePointer(to: &storage) { pointer in
            switch family {
            case AF_INET:
                pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { ipv4 in
                    var raw = ipv4.pointee.sin_addr
                    return (Arrival.text(AF_INET, &raw), Int(UInt16(bigEndian: ipv4.pointee.sin_port)))
                }
            case AF_INET6:
                pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { ipv6 in
                    var raw = ipv6.pointee.sin6_addr
                    return (Arrival.text(AF_INET6, &raw), Int(UInt16(bigEndian: ipv6.pointee.sin6_port)))
                }
            default: ("", 0)
            }
        }
    }

    private static func text(_ family: Int32, _ raw: UnsafeRawPointer) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            guard inet_ntop(family, raw, buffer.baseAddress!, 64) != nil else { return "" }
            let text = String(cString: buffer.baseAddress!)
            // An IPv4 client on a dual-stack socket.
            return text.hasPrefix("::ffff:") ? String(text.dropFirst(7)) : text
        }
    }
}
