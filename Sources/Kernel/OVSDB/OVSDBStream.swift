// SPDX-License-Identifier: Apache-2.0
import Base
import COpenSSL
import Glibc

/// A connected socket that never waits, in plain or under TLS. The client's thread owns it.
struct OVSDBStream {
    enum Outcome {
        case bytes(Int)
        /// Nothing now; poll first.
        case later
    }

    let socket: Int32
    private var tls: OpaquePointer?

    /// Connects; blocks for at most about ten seconds.
    init(_ endpoint: OVSDBEndpoint) throws(Fault) {
        socket = try endpoint.connect()
        guard let identity = endpoint.identity else { return }
        do throws(Fault) { tls = try OVSDBStream.shake(socket, identity, endpoint) } catch {
            Glibc.close(socket)
            throw error
        }
    }

    func close() {
        if let tls {
            SSL_shutdown(tls)
            SSL_free(tls)
        }
        Glibc.close(socket)
    }

    func read(into buffer: inout [UInt8]) throws(Fault) -> Outcome {
        while true {
            if tls != nil { ERR_clear_error() }
            let got =
                tls.map { Int(SSL_read($0, &buffer, Int32(buffer.count))) } ?? recv(socket, &buffer, buffer.count, 0)
            if got > 0 { return .bytes(got) }
            let number = errno
            if let tls {
                switch SSL_get_error(tls, Int32(got)) {
                case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .later
                case SSL_ERROR_ZERO_RETURN: throw .unavailable("The OVSDB server closed the connection.")
                case SSL_ERROR_SYSCALL where number == EINTR: continue
                default: throw .unavailable("The OVSDB server is gone: \(OVSDBStream.complaint(number))")
                }
            }
            if got == 0 { throw .unavailable("The OVSDB server closed the connection.") }
            if number == EAGAIN { return .later }
            if number == EINTR { continue }
            throw .unavailable("The OVSDB server is gone: \(String(cString: strerror(number)))")
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(Fault) -> Outcome {
        while true {
            if tls != nil { ERR_clear_error() }
            let sent =
                tls.map { Int(SSL_write($0, bytes.baseAddress, Int32(min(bytes.count, 1 << 20)))) }
                ?? send(socket, bytes.baseAddress!, bytes.count, Int32(MSG_NOSIGNAL))
            if sent > 0 { return .bytes(sent) }
            let number = errno
            if let tls {
                switch SSL_get_error(tls, Int32(sent)) {
                case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .later
                case SSL_ERROR_SYSCALL where number == EINTR: continue
                default: throw .unavailable("The OVSDB server is gone: \(OVSDBStream.complaint(number))")
                }
            }
            if number == EAGAIN { return .later }
            if number == EINTR { continue }
            throw .unavailable("The OVSDB server is gone: \(String(cString: strerror(number)))")
        }
    }

    // MARK: The handshake

    private static func shake(
        _ socket: Int32, _ identity: OVSDBIdentity, _ endpoint: OVSDBEndpoint
    ) throws(Fault) -> OpaquePointer {
        let context = try context(identity)
        defer { SSL_CTX_free(context) }
        guard let tls = SSL_new(context) else { throw .internalError("TLS cannot be set up: \(complaint(0))") }
        SSL_set_fd(tls, socket)
        let end = Deadline.after(.seconds(5))
        while true {
            ERR_clear_error()
            let done = SSL_connect(tls)
            if done == 1 { return tls }
            var wanted = Int16(POLLIN)
            switch SSL_get_error(tls, done) {
            case SSL_ERROR_WANT_READ: break
            case SSL_ERROR_WANT_WRITE: wanted = Int16(POLLOUT)
            default:
                let reason = complaint(errno)
                SSL_free(tls)
                throw .unavailable("OVSDB server \(endpoint) and we do not agree on TLS: \(reason)")
            }
            var source = pollfd(fd: socket, events: wanted, revents: 0)
            guard !end.isPast, poll(&source, 1, 5000) >= 0 else {
                SSL_free(tls)
                throw .unavailable("OVSDB server \(endpoint) did not finish the TLS handshake.")
            }
        }
    }

    private static func context(_ identity: OVSDBIdentity) throws(Fault) -> OpaquePointer {
        guard let context = SSL_CTX_new(TLS_client_method()) else {
            throw .internalError("TLS cannot be set up: \(complaint(0))")
        }
        copenssl_prepare(context)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        let steps: [(String, Bool)] = [
            (identity.certificate, SSL_CTX_use_certificate_chain_file(context, identity.certificate) == 1),
            (identity.privateKey, SSL_CTX_use_PrivateKey_file(context, identity.privateKey, SSL_FILETYPE_PEM) == 1),
            (identity.authority, SSL_CTX_load_verify_locations(context, identity.authority, nil) == 1),
        ]
        if let (file, _) = steps.first(where: { !$0.1 }) {
            let reason = complaint(0)
            SSL_CTX_free(context)
            throw .unavailable("\(file) is of no use for TLS: \(reason)")
        }
        return context
    }

    private static func complaint(_ number: Int32) -> String {
        let code = ERR_get_error()
        guard code != 0 else {
            return number == 0 ? "the connection was closed" : String(cString: strerror(number))
        }
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(code, &text, text.count)
        ERR_clear_error()
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
