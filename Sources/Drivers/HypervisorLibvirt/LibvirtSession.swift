// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
internal import Compute
internal import Glibc
internal import Kernel
internal import Synchronization

/// The connection to the libvirt daemon: opened when it is first needed, opened again when it broke. All calls run on
/// the blocking pool; libvirt allows many at once on one connection.
final class LibvirtSession: Sendable {
    /// A reference to a libvirt connection. libvirt counts references and locks inside, so it may cross threads.
    private struct Connection: @unchecked Sendable {
        let raw: virConnectPtr
    }

    private let uri: String
    private let pool: BlockingPool
    private let longPool: BlockingPool
    private let relay: EventRelay
    private let log: Log
    private let current = Mutex<Connection?>(nil)

    init(uri: String, pool: BlockingPool, longPool: BlockingPool, relay: EventRelay, log: Log) {
        self.uri = uri
        (self.pool, self.longPool) = (pool, longPool)
        self.relay = relay
        self.log = log
    }

    deinit {
        if let connection = current.withLock({ $0 }) { virConnectClose(connection.raw) }
    }

    /// Runs calls on the connection. When it turns out to be broken they run once more on a new one, which is why every
    /// body must be repeatable.
    /// - Parameter isLong: whether it may take minutes, and so must not keep a thread from others.
    func call<T: Sendable>(
        isLong: Bool = false, _ body: @Sendable @escaping (virConnectPtr) throws(Fault) -> T
    ) async throws(Fault) -> T {
        try await (isLong ? longPool : pool).run { () throws(Fault) in
            let connection = try self.connection()
            do throws(Fault) {
                defer { virConnectClose(connection.raw) }
                return try body(connection.raw)
            } catch {
                guard self.dropIfDead(connection) else { throw error }
            }
            let renewed = try self.connection()
            defer { virConnectClose(renewed.raw) }
            return try body(renewed.raw)
        }
    }

    /// Asks for a sign of life; a connection without one is replaced.
    func refresh() async throws(Fault) {
        try await call { connection throws(Fault) in
            if virConnectIsAlive(connection) != 1 { throw .unavailable("The connection to libvirt is lost.") }
        }
    }

    /// The connection with a reference for the caller.
    private func connection() throws(Fault) -> Connection {
        if let living = current.withLock({ $0.map(Self.retained) }) { return living }
        let opened = try open()
        // Two threads may open at once; the first one's connection stays.
        let (chosen, isOurs) = current.withLock { current in
            if let current { return (Self.retained(current), false) }
            current = opened
            return (Self.retained(opened), true)
        }
        if !isOurs { virConnectClose(opened.raw) }
        return chosen
    }

    private static func retained(_ connection: Connection) -> Connection {
        virConnectRef(connection.raw)
        return connection
    }

    private func open() throws(Fault) -> Connection {
        try LibvirtLoop.started.get()
        guard let raw = virConnectOpen(uri) else { throw LibvirtError.last("connect to \(uri)") }
        // Without it a daemon that hangs would hold our threads for ever: five answers missed in 25 s end the
        // connection.
        virConnectSetKeepAlive(raw, 5, 5)
        relay.attach(to: raw)
        log.info("connected to libvirt", ["uri": uri])
        return Connection(raw: raw)
    }

    /// Forgets a connection that is broken; false when it is in order.
    private func dropIfDead(_ connection: Connection) -> Bool {
        let isDead = current.withLock { current in
            // Somebody else may have replaced it already.
            guard current?.raw == connection.raw else { return true }
            guard virConnectIsAlive(connection.raw) != 1 else { return false }
            current = nil
            return true
        }
        if isDead { log.warning("the connection to libvirt is lost", ["uri": uri]) }
        return isDead
    }
}

/// What libvirt complains about, as a fault.
enum LibvirtError {
    /// The calling thread's last error; to be asked for before the next libvirt call.
    static func last(_ doing: String, server: String = "") -> Fault {
        guard let error = virGetLastError() else { return .internalError("libvirt could not \(doing).") }
        let text = error.pointee.message.map { String(cString: $0) } ?? "unknown error"
        let code = UInt32(bitPattern: error.pointee.code)
        let message = "libvirt could not \(doing): \(text)"
        switch code {
        case VIR_ERR_NO_DOMAIN.rawValue: return .guestNotFound(server)
        case VIR_ERR_AGENT_UNRESPONSIVE.rawValue, VIR_ERR_AGENT_UNSYNCED.rawValue, VIR_ERR_OPERATION_INVALID.rawValue:
            return .conflict(message)
        case VIR_ERR_NO_CONNECT.rawValue, VIR_ERR_INVALID_CONN.rawValue, VIR_ERR_RPC.rawValue,
            VIR_ERR_SYSTEM_ERROR.rawValue, VIR_ERR_AUTH_FAILED.rawValue, VIR_ERR_OPERATION_TIMEOUT.rawValue:
            return .unavailable(message)
        default: return .internalError(message)
        }
    }

    /// The code of the calling thread's last error.
    static var lastCode: UInt32 { virGetLastError().map { UInt32(bitPattern: $0.pointee.code) } ?? 0 }
}

/// libvirt's event loop. The library has one per process, by its own design: it carries keepalives and events of every
/// connection, on a thread that never ends.
private enum LibvirtLoop {
    static let started: Result<Void, Fault> = {
        virInitialize()
        // By default libvirt prints every error; ours travel as faults.
        virSetErrorFunc(nil) { _, _ in }
        guard virEventRegisterDefaultImpl() == 0 else {
            return .failure(.internalError("libvirt's event loop cannot be set up."))
        }
        return Result { () throws(Fault) in
            try DedicatedThread.start {
                // A round that fails is repeated, but not in a hurry.
                while true { if virEventRunDefaultImpl() < 0 { usleep(100_000) } }
            }
        }
    }()
}
