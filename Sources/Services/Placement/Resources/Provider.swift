// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Something that has resources to give: a host, a disk pool, a card in a host. Providers form trees.
struct Provider: Record {
    static let table = "placement_providers"

    let id: String
    var name: String
    /// Counts changes of the provider's inventories, traits, aggregates and allocations; guards them all.
    var generation: Int
    var parentID: String?
    /// The top of the tree; the provider itself when it has no parent.
    var rootID: String
    let createdAt: Timestamp
    var updatedAt: Timestamp
}

extension Provider: Resource {
    static let routes: [Route] = [
        .get(
            "/resource_providers", "List resource providers", of: Anything.from,
            allow: .adminOrService("resource_providers:list"), index),
        .post(
            "/resource_providers", "Create resource provider", of: Anything.from,
            allow: .adminOrService("resource_providers:create"), create, status: ["1.0": 201, "1.20": 200]),
        .get(
            "/resource_providers/{uuid}", "Show resource provider", of: Anything.from,
            allow: .adminOrService("resource_providers:show"), show),
        .put(
            "/resource_providers/{uuid}", "Update resource provider", of: Anything.from,
            allow: .adminOrService("resource_providers:update"), update),
        .delete(
            "/resource_providers/{uuid}", "Delete resource provider", of: Anything.from,
            allow: .adminOrService("resource_providers:delete"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 placement providers
        CREATE TABLE placement_providers (
            id VARCHAR(36) PRIMARY KEY, name VARCHAR(200) NOT NULL, generation INTEGER NOT NULL,
            parent_id VARCHAR(36), root_id VARCHAR(36) NOT NULL, created_at BIGINT, updated_at BIGINT);
        CREATE UNIQUE INDEX placement_providers_name ON placement_providers (name);
        CREATE INDEX placement_providers_parent ON placement_providers (parent_id);
        CREATE UNIQUE INDEX placement_providers_root ON placement_providers (root_id, id)
        """
    ]
}

// MARK: - Handlers

extension Provider {
    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let filter = try await ProviderFilter(request)
        let providers = try await request.database.all(Provider.self, filter.condition + " ORDER BY id")
        let reply = Reply.list("resource_providers", providers.map { provider in { provider.details(&$0, request) } })
        return reply.stamped(request, providers.map(\.updatedAt).max())
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let draft = try Draft(request, hasID: true)
        let id = draft.id ?? request.ids.uuid()
        let now = request.now
        let provider = try await request.database.transaction { transaction throws(Fault) in
            var rootID = id
            if let parent = draft.parent ?? nil {
                guard parent != id else {
                    throw draft.refusal(
                        id,
                        "parent provider UUID cannot be same as UUID. Please set parent provider UUID to None if "
                            + "there is no parent.")
                }
                guard let above = try transaction.first(Provider.self, "id = \(parent)") else {
                    throw draft.refusal(id, "parent provider UUID does not exist.")
                }
                rootID = above.rootID
            }
            var taken: [String] = []
            if try transaction.count(Provider.self, "id = \(id)") > 0 { taken.append("uuid: \(id)") }
            if try transaction.count(Provider.self, "name = \(draft.name)") > 0 { taken.append("name: \(draft.name)") }
            let duplicate = Fault.providerExists(taken.isEmpty ? "name: \(draft.name)" : taken.joined(separator: ", "))
            guard taken.isEmpty else { throw duplicate }
            let provider = Provider(
                id: id, name: draft.name, generation: 0, parentID: draft.parent ?? nil, rootID: rootID,
                createdAt: now, updatedAt: now)
            try transaction.insert(provider, or: duplicate)
            try Revision.count([rootID], transaction)
            return provider
        }
        let location = "\(request.root)/resource_providers/\(id)"
        guard request.version >= "1.20" else { return Reply.empty.header("Location", location) }
        return Reply.bare { provider.details(&$0, request) }.header("Location", location).stamped(request, now)
    }

    static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let provider = try await found(request)
        return Reply.bare { provider.details(&$0, request) }.stamped(request, provider.updatedAt)
    }

    static func update(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let known = try await found(request)
        let draft = try Draft(request, hasID: false)
        let mayMove = request.version >= "1.37"
        let now = request.now
        let provider = try await request.database.transaction { transaction throws(Fault) in
            var provider = try one(transaction, known.id)
            let taken: SQL = "name = \(draft.name) AND id <> \(known.id)"
            if try transaction.count(Provider.self, taken) > 0 { throw .providerExists(draft.name) }
            provider.name = draft.name
            provider.updatedAt = now
            let oldRoot = provider.rootID
            if let parent = draft.parent { try provider.move(under: parent, mayMove, transaction) }
            try Revision.count(Set([oldRoot, provider.rootID]), transaction)
            try transaction.replace(
                provider, where: "id = \(known.id) AND generation = \(provider.generation)",
                or: .generationConflict(Fault.concurrentUpdate))
            return provider
        }
        return Reply.bare { provider.details(&$0, request) }.stamped(request, now)
    }

    /// Puts the provider and all below it under another parent, or at the top.
    private mutating func move(under parent: String?, _ mayMove: Bool, _ transaction: Transaction) throws(Fault) {
        func refused(_ reason: String, _ action: String = "update") -> Fault {
            .badRequest("Unable to save resource provider \(id): Object action \(action) failed because: \(reason)")
        }
        guard parent != parentID else { return }
        var newRoot = id
        if let parent {
            guard let above = try transaction.first(Provider.self, "id = \(parent)") else {
                throw refused("parent provider UUID does not exist.", "create")
            }
            if parentID != nil, !mayMove { throw refused("re-parenting a provider is not currently allowed.") }
            newRoot = above.rootID
        } else if !mayMove {
            throw refused("un-parenting a provider is not currently allowed.")
        }
        let tree = try transaction.all(Provider.self, "root_id = \(rootID)")
        let below = Provider.subtree(of: id, in: tree)
        if let parent, below.contains(parent) {
            throw refused("creating loop in the provider tree is not allowed.")
        }
        for child in below where child != id {
            _ = try transaction.update(Provider.self, set: "root_id = \(newRoot)", where: "id = \(child)")
        }
        parentID = parent
        rootID = newRoot
    }

    static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = request["uuid"]
        try await request.database.transaction { transaction throws(Fault) in
            guard let provider = try transaction.first(Provider.self, "id = \(id)") else {
                throw .notFound("No resource provider with uuid \(id) found for delete")
            }
            if try transaction.count(Provider.self, "parent_id = \(id)") > 0 {
                throw .conflict(
                    "Unable to delete parent resource provider \(id): It has child resource providers.",
                    code: Code.cannotDeleteParent)
            }
            if try transaction.count(Allocation.self, "provider_id = \(id)") > 0 {
                throw .conflict(
                    "Unable to delete resource provider \(id): Resource provider has allocations.",
                    code: Code.providerInUse)
            }
            try transaction.delete(Inventory.self, "provider_id = \(id)")
            try transaction.delete(ProviderTrait.self, "provider_id = \(id)")
            try transaction.delete(ProviderAggregate.self, "provider_id = \(id)")
            try transaction.delete(Provider.self, "id = \(id)")
            try Revision.count([provider.rootID], transaction)
        }
        return .empty
    }
}

// MARK: - Finding and guarding

extension Provider {
    /// The provider a path names.
    static func found(_ request: Request) async throws(Fault) -> Provider {
        let id = request["uuid"]
        return try await request.database.one(Provider.self, "id = \(id)", or: .noProvider(id))
    }

    static func one(_ transaction: Transaction, _ id: String) throws(Fault) -> Provider {
        try transaction.one(Provider.self, "id = \(id)", or: .noProvider(id))
    }

    /// Counts a change, unless somebody else changed the provider since it was read.
    mutating func bump(_ transaction: Transaction, at now: Timestamp) throws(Fault) {
        let changed = try transaction.update(
            Provider.self, set: "generation = generation + 1, updated_at = \(now)",
            where: "id = \(id) AND generation = \(generation)")
        guard changed == 1 else { throw .generationConflict(Fault.concurrentUpdate) }
        generation += 1
        try Revision.count([rootID], transaction)
    }

    /// The ids of a provider and all below it.
    static func subtree(of id: String, in tree: [Provider]) -> Set<String> {
        let children = Dictionary(grouping: tree.filter { $0.parentID != nil }, by: { $0.parentID ?? "" })
        var found: Set<String> = [id]
        var open = [id]
        while let next = open.popLast() {
            for child in children[next] ?? [] where found.insert(child.id).inserted { open.append(child.id) }
        }
        return found
    }
}

// MARK: - Wire

extension Provider {
    /// A provider as asked for.
    struct Draft: Sendable {
        let id: String?
        let name: String
        /// Nil when not named, `.some(nil)` for none.
        let parent: String??

        init(_ request: Request, hasID: Bool) throws(Fault) {
            var body = try request.body()
            name = try body.need("name", .text(0...200))
            id = hasID ? try body.take("uuid", .uuid).map(Symbol.uuid) : nil
            parent = try body.patch("parent_provider_uuid", .uuid, since: "1.14").map { $0.map(Symbol.uuid) }
            try body.end()
            if name.isEmpty { throw refusal(id ?? "", "name is required") }
        }

        func refusal(_ id: String, _ reason: String) -> Fault {
            .badRequest(
                "Unable to create resource provider \"\(name)\", \(id): Object action create failed because: \(reason)")
        }
    }

    func details(_ view: inout View, _ request: Request) {
        view.put("uuid", id)
        view.put("name", name)
        view.put("generation", generation)
        view.put("parent_provider_uuid", parentID, since: "1.14")
        view.put("root_provider_uuid", rootID, since: "1.14")
        var relations = ["inventories", "usages"]
        if request.version >= "1.1" { relations.append("aggregates") }
        if request.version >= "1.6" { relations.append("traits") }
        if request.version >= "1.11" { relations.append("allocations") }
        let url = "\(request.prefix)/resource_providers/\(id)"
        view.list("links", ["self"] + relations) { view, relation in
            view.put("rel", relation)
            view.put("href", relation == "self" ? url : "\(url)/\(relation)")
        }
    }
}

extension Fault {
    static func noProvider(_ id: String) -> Fault { .notFound("No resource provider with uuid \(id) found") }
    static func providerExists(_ what: String) -> Fault {
        .conflict("Conflicting resource provider \(what) already exists.", code: Code.duplicateName)
    }
}
