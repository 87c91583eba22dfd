// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where one lot of an image's bytes is: which store, and there where.
package struct ImageLocation: Codable, Sendable, Equatable {
    /// The store's identifier; empty for a URL that a client gave and no store calls its own.
    package var store: String
    package var url: String
    package var metadata: JSON

    package init(store: String, url: String, metadata: JSON = .object(JSONObject())) {
        self.store = store
        self.url = url
        self.metadata = metadata
    }
}

/// The stores of one cloud: those that the operator named, the one that is meant when nobody says, and the reserved one
/// where bytes wait for their import.
package struct ImageStores: Sendable {
    /// A store under the operator's name for it.
    package struct Entry: Sendable {
        package let id: String
        package let kind: ImageStoreKind
        package let description: String?
        /// Where an image has several locations, those of the heavier store are read first.
        package let weight: Int
        package let store: any ImageStore

        package init(
            id: String, kind: ImageStoreKind, description: String? = nil, weight: Int = 0, store: any ImageStore
        ) {
            self.id = id
            self.kind = kind
            self.description = description
            self.weight = weight
            self.store = store
        }
    }

    /// The reserved stores (`os_glance_*`) are never spoken of to clients.
    package static let stagingID = "os_glance_staging_store"

    package let entries: [Entry]
    package let standard: Entry
    /// Whether the API speaks of stores at all: `enabled_backends` is set.
    package let isMulti: Bool
    /// Where bytes wait for their import, on this machine.
    package let staging: any ImageStore

    package init(_ entries: [Entry], standard: Entry, isMulti: Bool, staging: any ImageStore) {
        self.entries = entries
        self.standard = standard
        self.isMulti = isMulti
        self.staging = staging
    }

    package subscript(_ id: String) -> Entry? { entries.first { $0.id == id } }

    /// The back end under an identifier, reserved ones included.
    package func backend(_ id: String) -> (any ImageStore)? { id == Self.stagingID ? staging : self[id]?.store }

    /// The store a location is read through. Operators rename stores: then it is the one that knows the URL's form.
    package func entry(of location: ImageLocation) async -> Entry? {
        if let entry = self[location.store] { return entry }
        return await owner(of: location.url)
    }

    package func owner(of url: String) async -> Entry? {
        for entry in entries where await entry.store.owns(url) { return entry }
        return nil
    }

    /// In the order in which they are read: heavy stores first, else as they were added.
    package func ordered(_ locations: [ImageLocation]) -> [ImageLocation] {
        guard isMulti else { return locations }
        let weighed = locations.enumerated().map { ($0.offset, self[$0.element.store]?.weight ?? 0, $0.element) }
        return weighed.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.map { $0.2 }
    }

    /// The store that an upload asks for by its header; only with several stores is it read.
    func chosen(_ request: Request) throws(Fault) -> Entry {
        guard isMulti, let id = request.header("x-image-meta-store") else { return standard }
        guard let entry = self[id] else { throw .badRequest("Unknown scheme '\(id)' found in URI") }
        return entry
    }
}
