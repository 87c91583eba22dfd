// SPDX-License-Identifier: Apache-2.0
package import Base

/// The byte stream that is left of a connection after 101 Switching Protocols.
package final class UpgradedConnection: Sendable {
    private let transport: any ByteTransport

    init(_ transport: any ByteTransport) { self.transport = transport }

    /// What came next, nil once the other end has closed.
    package func read() async throws(Fault) -> [UInt8]? { try await transport.read() }
    /// Returns when the kernel has taken all of it.
    package func write(_ bytes: [UInt8]) async throws(Fault) { try await transport.write(bytes) }
    /// Ends both directions; a waiting `read` returns nil.
    package func close() { transport.close() }
}

/// A two-way byte stream.
protocol ByteTransport: Sendable {
    func read() async throws(Fault) -> [UInt8]?
    func write(_ bytes: [UInt8]) async throws(Fault)
    func close()
}
