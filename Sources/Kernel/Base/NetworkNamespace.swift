// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// A network namespace known by name, as `ip netns` keeps them. Its methods block.
package struct NetworkNamespace: Sendable, Hashable {
    package let name: String

    package init(_ name: String) { self.name = name }

    package var path: String { "/run/netns/\(name)" }
    package var exists: Bool { FileSystem.exists(path) }
    /// What tells this namespace from any other while it lives; nil when there is none of this name.
    package var identity: UInt64? { NetworkNamespace.identity(path: path) }

    /// Makes the namespace with its loopback up; true when it was not there before.
    @discardableResult
    package func create() throws(Fault) -> Bool {
        if exists {
            // A name without a mounted namespace is what is left after a reboot with a kept /run.
            if isMounted { return false }
            unlink(path)
        }
        try Subprocess.check(["ip", "netns", "add", name])
        try Subprocess.check(["ip", "-n", name, "link", "set", "lo", "up"])
        return true
    }

    /// Removes the name; the namespace goes with the last process in it. Nothing there is no mistake.
    package func delete() throws(Fault) {
        guard exists else { return }
        try Subprocess.check(["ip", "netns", "delete", name])
    }

    /// A listening TCP socket inside the namespace. A socket stays in the namespace it was made in, so one event loop
    /// can serve many networks; only the thread that makes it has to visit.
    package func openSocket(host: String, port: UInt16, backlog: Int32 = 128) throws(Fault) -> Int32 {
        let namespace = self
        return try DedicatedThread.perform { () throws(Fault) in
            try namespace.enter()
            return try TCPSocket.listen(host: host, port: port, backlog: backlog)
        }
    }

    /// A UDP socket inside the namespace that hears what is sent to the address.
    package func openDatagrams(host: String, port: UInt16) throws(Fault) -> Int32 {
        let namespace = self
        return try DedicatedThread.perform { () throws(Fault) in
            try namespace.enter()
            return try TCPSocket.datagrams(host: host, port: port)
        }
    }

    /// A connected TCP socket inside the namespace.
    package func connect(host: String, port: UInt16) throws(Fault) -> Int32 {
        let namespace = self
        return try DedicatedThread.perform { () throws(Fault) in
            try namespace.enter()
            return try TCPSocket.connect(host: host, port: port)
        }
    }

    /// Moves the calling thread, which must be one that ends soon (see `DedicatedThread`).
    func enter() throws(Fault) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError.fault("Cannot open network namespace \(name)") }
        defer { close(file) }
        guard setns(file, Int32(CLINUX_CLONE_NEWNET)) == 0 else {
            throw SystemError.fault("Cannot enter network namespace \(name)")
        }
    }

    private var isMounted: Bool {
        var own = stat()
        var folder = stat()
        guard stat(path, &own) == 0, stat("/run/netns", &folder) == 0 else { return false }
        return own.st_dev != folder.st_dev
    }

    /// What tells apart the namespaces that files like `/proc/PID/ns/net` stand for.
    package static func identity(path: String) -> UInt64? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return UInt64(status.st_dev) << 32 ^ UInt64(status.st_ino)
    }
}

/// Plain TCP sockets by numeric address, made on the calling thread and so in its network namespace.
package enum TCPSocket {
    package static func listen(host: String, port: UInt16, backlog: Int32 = 128) throws(Fault) -> Int32 {
        let file = try open(host: host)
        var yes: Int32 = 1
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let bound = withAddress(host, port) { Glibc.bind(file, $0, $1) }
        guard bound == 0, Glibc.listen(file, backlog) == 0 else {
            let fault = SystemError.fault("Cannot listen on \(host):\(port)")
            close(file)
            throw fault
        }
        return file
    }

    /// UDP at the same kind of address.
    static func datagrams(host: String, port: UInt16) throws(Fault) -> Int32 {
        let file = try open(host: host, SOCK_DGRAM)
        let bound = withAddress(host, port) { Glibc.bind(file, $0, $1) }
        guard bound == 0 else {
            let fault = SystemError.fault("Cannot hear \(host):\(port)")
            close(file)
            throw fault
        }
        return file
    }

    package static func connect(host: String, port: UInt16) throws(Fault) -> Int32 {
        let file = try open(host: host)
        let done = withAddress(host, port) { Glibc.connect(file, $0, $1) }
        guard done == 0 else {
            let fault = SystemError.fault("Cannot connect to \(host):\(port)")
            close(file)
            throw fault
        }
        return file
    }

    /// The port a socket is bound to.
    package static func port(_ file: Int32) -> UInt16? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let got = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(file, $0, &length) }
        }
        guard got == 0 else { return nil }
        return withUnsafeBytes(of: &address) { UInt16($0[2]) << 8 | UInt16($0[3]) }
    }

    private static func open(host: String, _ type: __socket_type = SOCK_STREAM) throws(Fault) -> Int32 {
        var four = in_addr()
        var six = in6_addr()
        let family: Int32
        if inet_pton(AF_INET, host, &four) == 1 {
            family = AF_INET
        } else if inet_pton(AF_INET6, host, &six) == 1 {
            family = AF_INET6
        } else {
            throw .badRequest("'\(host)' is not an IP address.")
        }
        let kind = Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let file = socket(family, kind, 0)
        guard file >= 0 else { throw SystemError.fault("Cannot open a socket") }
        return file
    }

    private static func withAddress(
        _ host: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var four = sockaddr_in()
        if inet_pton(AF_INET, host, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            return withUnsafePointer(to: &four) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        var six = sockaddr_in6()
        inet_pton(AF_INET6, host, &six.sin6_addr)
        six.sin6_family = sa_family_t(AF_INET6)
        six.sin6_port = port.bigEndian
        return withUnsafePointer(to: &six) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }
}
