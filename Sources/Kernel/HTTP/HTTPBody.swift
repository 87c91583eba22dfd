// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Synchronization

/// Where the chunks of a body come from.
package protocol BodySource: Sendable {
    /// The next chunk, nil at the end.
    func read() async throws(Fault) -> [UInt8]?
}

/// A request's body. It is read once, by one reader; while nobody reads, the socket is not read either.
package struct HTTPBody: Sendable {
    /// As announced; nil when the sender did not say (chunked).
    package let contentLength: Int?
    private let source: (any BodySource)?

    package static let empty = HTTPBody(contentLength: 0, source: nil)

    package init(bytes: [UInt8]) {
        self.init(contentLength: bytes.count, source: bytes.isEmpty ? nil : OneChunk(bytes))
    }

    package init(contentLength: Int?, source: (any BodySource)?) {
        self.contentLength = contentLength
        self.source = source
    }

    /// The next chunk, nil at the end.
    package func read() async throws(Fault) -> [UInt8]? {
        guard let source else { return nil }
        return try await source.read()
    }

    /// All that is left; 413 beyond the limit, before reading when the length was announced.
    package func collect(limit: Int) async throws(Fault) -> [UInt8] {
        guard let source else { return [] }
        if let contentLength, contentLength > limit { throw .bodyTooLarge(limit) }
        guard var bytes = try await source.read() else { return [] }
        while bytes.count <= limit {
            guard let more = try await source.read() else { return bytes }
            bytes += more
        }
        throw .bodyTooLarge(limit)
    }
}

extension Fault {
    static func bodyTooLarge(_ limit: Int) -> Fault { .tooLarge("Request is too large; at most \(limit) bytes.") }
}

/// A body that is there already.
private final class OneChunk: BodySource {
    private let rest: Mutex<[UInt8]?>

    init(_ bytes: [UInt8]) { rest = Mutex(bytes) }

    func read() async throws(Fault) -> [UInt8]? {
        rest.withLock { rest in
            defer { rest = nil }
            return rest
        }
    }
}
