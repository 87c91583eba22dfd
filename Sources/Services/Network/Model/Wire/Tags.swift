// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A word put on a row, kept apart from it so that lists can be narrowed by it.
struct Tag: Record {
    static let table = "network_tags"
    let resourceID: String, tag: String

    static let migration: Migration = """
        2026-11-21 network tags
        CREATE TABLE network_tags (
            resource_id VARCHAR(36) NOT NULL, tag VARCHAR(255) NOT NULL, PRIMARY KEY (resource_id, tag));
        CREATE INDEX network_tags_by_tag ON network_tags (tag)
        """

    /// In the order of upstream's table, each once.
    static func sorted(_ tags: [String]) -> [String] { Set(tags).sorted() }

    static func set(_ transaction: Transaction, _ id: String, _ tags: [String]) throws(Fault) {
        try transaction.delete(Tag.self, "resource_id = \(id)")
        try transaction.insert(tags.map { Tag(resourceID: id, tag: $0) })
    }
}

// MARK: - `/networks/{id}/tags`, the same for every noun

extension Noun {
    /// - Parameters:
    ///   - read: the default check of `get_<noun>:tags`; `write` of the ones that change them.
    ///   - place: the collection in the path, where tags are found under another than the noun itself.
    static func tagRoutes(read: String, write: String, delete: String? = nil, under place: String? = nil) -> [Route] {
        let path = "/\(place ?? collection)/{id}/tags"
        let words = noun.split(separator: "_").joined(separator: " ")
        let get = Rule<Self>.rule("get_\(noun):tags", read)
        let update = Rule<Self>.rule("update_\(noun):tags", write)
        let remove = Rule<Self>.rule("delete_\(noun):tags", delete ?? write)
        return [
            .get(path, "List tags of \(words)", of: visible, allow: get, listTags),
            .put(path, "Replace tags of \(words)", of: visible, allow: update, replaceTags),
            .post(
                path, "Add tags to \(words)", of: visible, allow: .rule("create_\(noun):tags", write), addTags),
            .delete(path, "Delete tags of \(words)", of: visible, allow: remove, deleteTags),
            .get(path + "/{tag}", "Check tag of \(words)", of: visible, allow: get, checkTag, status: 204),
            .put(path + "/{tag}", "Add tag to \(words)", of: visible, allow: update, addTag, status: 201),
            .delete(path + "/{tag}", "Delete tag of \(words)", of: visible, allow: remove, deleteTag),
        ]
    }

    private static func listTags(_ request: Request, _ row: Self) async throws(Fault) -> Reply { tagReply(row) }

    private static func tagReply(_ row: Self) -> Reply { .bare { $0.put("tags", row.tags) } }

    private static func askedTags(_ request: Request) throws(Fault) -> [String] {
        var body = try request.body()
        let tags: [String]
        if body.has("tags") {
            tags = try body.need("tags", .strings(.string(255)))
        } else {
            throw .httpBadRequest("Invalid tags body")
        }
        try body.end()
        return tags
    }

    private static func replaceTags(_ request: Request, _ row: Self) async throws(Fault) -> Reply {
        let tags = try askedTags(request)
        return tagReply(try await setTags(request, row) { _ in tags })
    }

    private static func addTags(_ request: Request, _ row: Self) async throws(Fault) -> Reply {
        let tags = try askedTags(request)
        return tagReply(
            try await setTags(request, row) { present in present + tags.filter { !present.contains($0) } })
    }

    private static func deleteTags(_ request: Request, _ row: Self) async throws(Fault) -> Reply {
        _ = try await setTags(request, row) { _ in [] }
        return .empty
    }

    private static func checkTag(_ request: Request, _ row: Self) async throws(Fault) -> Reply {
        guard row.tags.contains(request["tag"]) else { throw tagNotFound(request["tag"]) }
        return .empty
    }

    private static func addTag(_ request: Request, _ row: Self) async throws(Fault) -> Reply {
        let tag = request["tag"]
        guard tag.unicodeScalars.count <= 255 else {
            throw .httpBadRequest("Invalid input for tag. Reason: '\(tag)' exceeds maximum length of 255.")
        }
        _ = try await setTags(request, row) { $0.contains(tag) ? $0 : $0 + [tag] }
        return .empty
    }

    private static func deleteTag(_ request: Request, _ row: Self) async throws(Fault) -> Reply {
        let tag = request["tag"]
        guard row.tags.contains(tag) else { throw tagNotFound(tag) }
        _ = try await setTags(request, row) { $0.filter { $0 != tag } }
        return .empty
    }

    private static func tagNotFound(_ tag: String) -> Fault {
        .neutron(404, "TagNotFound", "Tag \(tag) could not be found.")
    }

    private static func setTags(
        _ request: Request, _ row: Self, _ edit: @escaping @Sendable ([String]) -> [String]
    ) async throws(Fault) -> Self {
        try await change(request, row.id) { transaction, row throws(Fault) in
            row.tags = Tag.sorted(edit(row.tags))
            try Tag.set(transaction, row.id, row.tags)
        }
    }
}
