// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Glibc

/// An answer. `Content-Length`, `Date`, `Connection` and `Transfer-Encoding` are the server's to write.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: [(String, String)]
    package var body: Body

    /// What follows the headers. To a HEAD request the length is told and the bytes are not sent.
    package enum Body: Sendable {
        case empty
        case bytes([UInt8])
        /// Sent by sendfile(2) where the connection is plain.
        case file(OpenFile, offset: Int, length: Int)
        /// Chunked when the length is nil. A throw cuts the connection, so that the reader notices.
        case stream(length: Int?, @Sendable (ResponseWriter) async throws(Fault) -> Void)
        /// 101 Switching Protocols; the connection is closed when the closure returns.
        case upgrade(
            protocol: String, headers: [(String, String)], @Sendable (UpgradedConnection) async -> Void)
    }

    package init(status: Int, headers: [(String, String)] = [], body: Body = .empty) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// A file descriptor that is closed with its last owner.
package final class OpenFile: Sendable {
    package let descriptor: Int32

    package init(owning descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }

    /// Opens for reading; 404 when it is not there.
    package static func reading(_ path: String) throws(Fault) -> OpenFile {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT
                ? .notFound("No such file.") : .internalError("open \(path): \(String(cString: strerror(errno)))")
        }
        return OpenFile(owning: descriptor)
    }

    /// The size in bytes now.
    package var size: Int {
        var facts = stat()
        return fstat(descriptor, &facts) == 0 ? Int(facts.st_size) : 0
    }
}

/// The receiving end of a streamed answer: the connection, or whoever called in the same process.
package struct ResponseWriter: Sendable {
    private let sink: @Sendable ([UInt8]) async throws(Fault) -> Void

    package init(_ sink: @escaping @Sendable ([UInt8]) async throws(Fault) -> Void) { self.sink = sink }

    /// Returns when the bytes have a place to go; throws when the reader is gone.
    package func write(_ bytes: [UInt8]) async throws(Fault) { try await sink(bytes) }
}

extension OpenFile {
    /// A part of the file; fewer bytes than asked for at its end.
    package func read(at offset: Int, count: Int) throws(Fault) -> [UInt8] {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = errno }
                guard got > 0 else { return }
                filled += got
            }
        }
        guard failure == 0 else {
            throw .internalError("a file could not be read: \(String(cString: strerror(failure)))")
        }
        return bytes
    }
}
