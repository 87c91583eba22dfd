// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A back end that keeps images' bytes. Each lot of bytes has a location: a URL of the store's own making
/// (`file:///...`, `rbd://...`), told when the draft begins and never used again for other bytes.
///
/// All calls suspend rather than block. Faults: 413 when the medium is full, 503 when it may not be written or does not
/// answer, 404 when nothing is at a location, 409 when bytes are in use and cannot go.
package protocol ImageStore: Sendable {
    /// Whether bytes only come out of it.
    var isReadOnly: Bool { get }

    /// What `/info/stores/detail` tells about the store.
    func properties() async throws(Fault) -> JSON

    /// Whether the location is one of this store's, by its form alone.
    func owns(_ location: String) async -> Bool

    /// Begins to write under a plain name (letters, digits, `-`, `.`); nothing costly happens before the first bytes.
    /// - Parameter size: how many bytes will come, when the sender said so.
    func create(_ name: String, size: Int?) async throws(Fault) -> any ImageDraft

    /// A part of what is at the location, ready to be sent; it stays readable when the location is deleted meanwhile
    /// as far as the back end allows.
    func open(_ location: String, offset: Int, length: Int) async throws(Fault) -> HTTPResponse.Body

    /// Runs a reader over what is at the location, on a thread that may block.
    func inspect<Finding: Sendable>(
        _ location: String, _ look: @escaping @Sendable (any ImageBytes) throws(Fault) -> Finding
    ) async throws(Fault) -> Finding

    /// The size of what is at the location; nil when nothing is.
    func size(_ location: String) async throws(Fault) -> Int?

    /// Refuses with 409 what `delete` could not remove because somebody builds on it.
    func requireUnused(_ location: String) async throws(Fault)

    /// Deletes what is at the location, also what was only half written there; nothing there is fine.
    func delete(_ location: String) async throws(Fault)

    /// Bytes that still fit; nil when nobody knows.
    func free() async throws(Fault) -> Int?

    /// Removes what drafts of earlier runs left that no location leads to; gives what it removed.
    func sweep() async throws(Fault) -> [String]
}

extension ImageStore {
    package var isReadOnly: Bool { false }
    package func requireUnused(_ location: String) async throws(Fault) {}
    package func free() async throws(Fault) -> Int? { nil }
    package func sweep() async throws(Fault) -> [String] { [] }
}

/// Bytes on their way into a store. One of `publish` and `discard` ends it; a draft that is just dropped leaves nothing
/// that `delete` of its location would not remove.
package protocol ImageDraft: Sendable {
    /// Where the bytes will be.
    var location: String { get }

    func append(_ bytes: [UInt8]) async throws(Fault)

    /// Runs a reader over what was written, on a thread that may block. No bytes are appended after it.
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

extension Fault {
    /// The store has no room left.
    package static var imageStoreFull: Fault {
        .tooLarge("Image storage media is full: There is not enough disk space on the image storage media.")
    }

    /// The store may only be read.
    package static var imageStoreReadOnly: Fault {
        .gone("Error in store configuration. Adding images to store is disabled.")
    }
}
