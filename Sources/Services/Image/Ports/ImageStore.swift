// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where images' bytes are kept. A location is a plain name (letters, digits, `-`, `.`) that the room chooses; it is
/// never used again for other bytes.
///
/// All calls suspend rather than block. Faults: 413 when the medium is full, 503 when it may not be written,
/// 404 when nothing is at a location.
package protocol ImageStore: Sendable {
    /// Begins to write; nothing is at the location before the draft is published.
    func create(_ location: String) async throws(Fault) -> any ImageDraft

    /// A part of what is at the location, ready to be sent; it stays readable when the location is deleted meanwhile.
    func open(_ location: String, offset: Int, length: Int) async throws(Fault) -> HTTPResponse.Body

    /// Runs a reader over what is at the location, on a thread that may block.
    func inspect<Finding: Sendable>(
        _ location: String, _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding

    /// The size of what is at the location; nil when nothing is.
    func size(_ location: String) async throws(Fault) -> Int?

    /// Deletes what is at the location; nothing there is fine.
    func delete(_ location: String) async throws(Fault)

    /// Bytes that still fit; nil when nobody knows.
    func free() async throws(Fault) -> Int?

    /// Removes drafts of earlier runs and everything at other locations than these; gives what it removed.
    func sweep(keeping locations: Set<String>) async throws(Fault) -> [String]
}

/// Bytes on their way into a store. One of `publish` and `discard` ends it; a draft that is just dropped is discarded.
package protocol ImageDraft: Sendable {
    func append(_ bytes: [UInt8]) async throws(Fault)

    /// Runs a reader over what was written so far, on a thread that may block.
    func inspect<Finding: Sendable>(
        _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding

    /// Durable and at its location once this returns.
    func publish() async throws(Fault)

    func discard() async
}

/// Bytes that can be read anywhere, for the parsers of formats.
package protocol ImageBytes: Sendable {
    var size: Int { get }
    /// Fewer bytes than asked for at the end, none beyond it.
    func read(at offset: Int, count: Int) throws(Fault) -> [UInt8]
}

extension [UInt8]: ImageBytes {
    package var size: Int { count }

    package func read(at offset: Int, count: Int) throws(Fault) -> [UInt8] {
        guard offset >= 0, offset < self.count, count > 0 else { return [] }
        return Array(self[offset..<Swift.min(self.count, offset + Swift.min(count, self.count))])
    }
}
