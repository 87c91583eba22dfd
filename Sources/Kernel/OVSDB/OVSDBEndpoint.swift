// SPDX-License-Identifier: Apache-2.0
package import Base
internal import CLinux
internal import Glibc

/// Where a server listens, spelled as OVS spells it: `unix:/run/x.sock`, `tcp:192.0.2.1:6641`,
/// `tcp:[2001:db8::1]:6641`, `ssl:192.0.2.1:6641`.
package enum OVSDBEndpoint: Sendable, Hashable, CustomStringConvertible {
    case unix(path: String)
    case tcp(host: String, port: Int)
    case tls(host: String, port: Int, OVSDBIdentity)

    /// - Parameter identity: who we are where TLS is spoken.
    package init(_ text: String, identity: OVSDBIdentity? = nil) throws(Fault) {
        if text.hasPrefix("unix:"), text.utf8.count > 5 {
            self = .unix(path: String(text.dropFirst(5)))
            return
        }
        let isSecret = text.hasPrefix("ssl:")
        guard isSecret || text.hasPrefix("tcp:"), let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]), (1...65_535).contains(port)
        else {
            throw .badRequest("'\(text)' is no OVSDB address: unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT was expected.")
        }
        let host = text[..<colon].dropFirst(4)
        guard !host.isEmpty else { throw .badRequest("'\(text)' names no host.") }
        let name = String(host.hasPrefix("[") ? host.dropFirst().dropLast() : host)
        guard isSecret else {
            self = .tcp(host: name, port: port)
            return
        }
        guard let identity else {
            throw .badRequest("'\(text)' needs a private key, a certificate and an authority's certificate.")
        }
        self = .tls(host: name, port: port, identity)
    }

    /// A list with commas, as clusters are given.
    package static func list(_ text: String, identity: OVSDBIdentity? = nil) throws(Fault) -> [OVSDBEndpoint] {
        var endpoints: [OVSDBEndpoint] = []
        for part in text.split(separator: ",") {
            endpoints.append(try OVSDBEndpoint(String(part), identity: identity))
        }
        guard !endpoints.isEmpty else { throw .badRequest("No OVSDB address was given.") }
        return endpoints
    }

    /// Who we are there, where TLS is spoken.
    var identity: OVSDBIdentity? {
        if case .tls(_, _, let identity) = self { identity } else { nil }
    }

    package var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): "tcp:\(host.contains(":") ? "[\(host)]" : host):\(port)"
        case .tls(let host, let port, _): "ssl:\(host.contains(":") ? "[\(host)]" : host):\(port)"
        }
    }
}

extension OVSDBEndpoint {
    /// A connected, non-blocking socket. Blocks for at most about five seconds: for the client's own thread only.
    func connect() throws(Fault) -> Int32 {
        switch self {
        case .unix(let path): try connectUnix(path)
        case .tcp(let host, let port), .tls(let host, let port, _): try connectTCP(host, port)
        }
    }

    private func failed(_ what: String, _ number: Int32) -> Fault {
        .unavailable("OVSDB server \(self) cannot be reached: \(what): \(String(cString: strerror(number)))")
    }

    private func connectUnix(_ path: String) throws(Fault) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw .badRequest("The socket path '\(path)' is longer than 107 bytes.")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        return try withUnsafePointer(to: &address) { pointer throws(Fault) in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer throws(Fault) in
                try open(AF_UNIX, pointer, length)
            }
        }
    }

    private func connectTCP(_ host: String, _ port: Int) throws(Fault) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, "\(port)", &hints, &found)
        guard status == 0, let first = found else {
            throw .unavailable("OVSDB server \(self) cannot be reached: \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(first) }
        var last = Fault.unavailable("OVSDB server \(self) has no address.")
        var next: UnsafeMutablePointer<addrinfo>? = first
        while let entry = next {
            do throws(Fault) {
                return try open(entry.pointee.ai_family, entry.pointee.ai_addr, entry.pointee.ai_addrlen)
            } catch { last = error }
            next = entry.pointee.ai_next
        }
        throw last
    }

    private func open(_ family: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) throws(Fault) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let fd = socket(family, kind, 0)
        guard fd >= 0 else { throw failed("socket", errno) }
        if Glibc.connect(fd, address, length) == 0 { return fd }
        guard errno == EINPROGRESS else {
            let number = errno
            close(fd)
            throw failed("connect", number)
        }
        var waiting = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
        var problem: Int32 = ETIMEDOUT
        if poll(&waiting, 1, 5000) == 1 {
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size)
        }
        guard problem == 0 else {
            close(fd)
            throw failed("connect", problem)
        }
        return fd
    }
}
