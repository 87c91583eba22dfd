// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// A connection to a local or remote stream socket, for the few that are long-lived and quiet: consoles. It has two
/// threads of its own, one that reads and one that writes; both end with it.
package final class StreamSocket: Sendable {
    private let descriptor: Int32
    private let pool: BlockingPool

    private init(owning descriptor: Int32, _ pool: BlockingPool) {
        self.descriptor = descriptor
        self.pool = pool
    }

    deinit { Glibc.close(descriptor) }

    package static func unix(path: String) async throws(Fault) -> StreamSocket {
        try await open { () throws(Fault) in
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let bytes = Array(path.utf8)
            guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
                throw .internalError("the socket path '\(path)' is too long")
            }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            let length = socklen_t(MemoryLayout<sockaddr_un>.size)
            let made: Result<Int32, Fault> = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connected(AF_UNIX, $0, length, path) }
            }
            return try made.get()
        }
    }

    package static func tcp(host: String, port: Int) async throws(Fault) -> StreamSocket {
        try await open { () throws(Fault) in
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var found: UnsafeMutablePointer<addrinfo>?
            guard getaddrinfo(host, "\(port)", &hints, &found) == 0, let first = found else {
                throw .unavailable("The address \(host) cannot be resolved.")
            }
            defer { freeaddrinfo(first) }
            var entry: UnsafeMutablePointer<addrinfo>? = first
            var last = Fault.unavailable("\(host) has no address.")
            while let one = entry?.pointee {
                switch connected(one.ai_family, one.ai_addr, one.ai_addrlen, "\(host):\(port)") {
                case .success(let descriptor): return descriptor
                case .failure(let fault): last = fault
                }
                entry = one.ai_next
            }
            throw last
        }
    }

    private static func open(
        _ connect: @escaping @Sendable () throws(Fault) -> Int32
    ) async throws(Fault) -> StreamSocket {
        let pool = BlockingPool(name: "stream", threads: 2, queue: 64)
        return StreamSocket(owning: try await pool.run(connect), pool)
    }

    private static func connected(
        _ family: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t, _ name: String
    ) -> Result<Int32, Fault> {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return .failure(.unavailable("No socket: \(reason(errno))")) }
        // Bounds connect(2) as well (socket(7)).
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard Glibc.connect(descriptor, address, length) == 0 else {
            let fault = Fault.unavailable("\(name) cannot be reached: \(reason(errno))")
            Glibc.close(descriptor)
            return .failure(fault)
        }
        return .success(descriptor)
    }

    private static func reason(_ number: Int32) -> String { String(cString: strerror(number)) }
}

extension StreamSocket {
    /// What came next; nil once the other end, or this one, has closed.
    package func read() async throws(Fault) -> [UInt8]? {
        try await pool.run { [self] () throws(Fault) in
            while true {
                var failure: Int32 = 0
                let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, filled in
                    let got = recv(descriptor, buffer.baseAddress, 65_536, 0)
                    if got < 0 { failure = errno }
                    filled = max(0, got)
                }
                if failure == EINTR { continue }
                if failure != 0 { throw .unavailable("The stream broke: \(StreamSocket.reason(failure))") }
                return bytes.isEmpty ? nil : bytes
            }
        }
    }

    /// Returns when the kernel has taken all of it; a reader that takes nothing for ten seconds breaks the stream.
    package func write(_ bytes: [UInt8]) async throws(Fault) {
        try await pool.run { [self] () throws(Fault) in
            var at = 0
            while at < bytes.count {
                let sent = bytes.withUnsafeBytes {
                    send(descriptor, $0.baseAddress! + at, bytes.count - at, Int32(MSG_NOSIGNAL))
                }
                if sent < 0, errno == EINTR { continue }
                guard sent > 0 else { throw .unavailable("The stream broke: \(StreamSocket.reason(errno))") }
                at += sent
            }
        }
    }

    /// Ends both directions; a waiting `read` returns nil.
    package func close() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}
