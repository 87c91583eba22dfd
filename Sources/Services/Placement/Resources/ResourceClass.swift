// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A kind of resource. The standard ones are part of the program; the table keeps those that operators made.
struct ResourceClass: Record {
    static let table = "placement_resource_classes"
    let name: String
    let createdAt: Timestamp
}

extension ResourceClass: Resource {
    static let routes: [Route] = [
        .get(
            "/resource_classes", "List resource classes", of: Anything.from,
            allow: .adminOrService("resource_classes:list"), index, since: "1.2"),
        .post(
            "/resource_classes", "Create resource class", of: Anything.from,
            allow: .adminOrService("resource_classes:create"), create, since: "1.2"),
        .get(
            "/resource_classes/{name}", "Show resource class", of: Anything.from,
            allow: .adminOrService("resource_classes:show"), show, since: "1.2"),
        .put(
            "/resource_classes/{name}", "Rename resource class", of: Anything.from,
            allow: .adminOrService("resource_classes:update"), rename, since: "1.2", until: "1.7"),
        .put(
            "/resource_classes/{name}", "Make sure of resource class", of: Anything.from,
            allow: .adminOrService("resource_classes:update"), ensure, status: 204, since: "1.7"),
        .delete(
            "/resource_classes/{name}", "Delete resource class", of: Anything.from,
            allow: .adminOrService("resource_classes:delete"), delete, since: "1.2"),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 placement resource classes
        CREATE TABLE placement_resource_classes (name VARCHAR(255) PRIMARY KEY, created_at BIGINT)
        """
    ]
}

// MARK: - Handlers

extension ResourceClass {
    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let custom = try await request.database.all(ResourceClass.self, "ORDER BY created_at, name")
        let names = StandardClasses.names + custom.map(\.name)
        let prefix = request.prefix
        return Reply.list("resource_classes", names.map { name in { wire(name, prefix, &$0) } }).stamped(request)
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let name = try draft(request)
        try await request.database.insert(
            ResourceClass(name: name, createdAt: request.now),
            or: .conflict("Conflicting resource class already exists: \(name)"))
        return Reply.empty.header("Location", location(name, request))
    }

    static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let name = request["name"]
        let custom = try await find(name, request)
        let prefix = request.prefix
        return Reply.bare { wire(name, prefix, &$0) }.stamped(request, custom?.createdAt)
    }

    /// Until 1.7 PUT gave a custom class another name, everywhere.
    static func rename(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let name = try draft(request)
        let old = request["name"]
        guard try await find(old, request) != nil else {
            throw .badRequest("Cannot update standard resource class \(old)")
        }
        try await request.database.transaction { transaction throws(Fault) in
            if try transaction.count(ResourceClass.self, "name = \(name)") > 0, name != old {
                throw .conflict("Resource class already exists: \(name)")
            }
            let set: SQL = "resource_class = \(name)"
            _ = try transaction.update(ResourceClass.self, set: "name = \(name)", where: "name = \(old)")
            _ = try transaction.update(Inventory.self, set: set, where: "resource_class = \(old)")
            _ = try transaction.update(Allocation.self, set: set, where: "resource_class = \(old)")
            try Revision.count([Revision.everything], transaction)
        }
        let prefix = request.prefix
        return Reply.bare { wire(name, prefix, &$0) }
    }

    static func ensure(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let name = request["name"]
        guard name.unicodeScalars.count <= 255 else {
            throw request.index.wording.invalid("name", .string(name), "'\(name)' is too long")
        }
        guard Symbol.isCustom(name) else {
            throw request.index.wording.invalid(
                "name", .string(name), "'\(name)' does not match '^CUSTOM_[A-Z0-9_]+$'")
        }
        let now = request.now
        let isNew = try await request.database.transaction { transaction throws(Fault) in
            guard try transaction.count(ResourceClass.self, "name = \(name)") == 0 else { return false }
            try transaction.insert(ResourceClass(name: name, createdAt: now))
            return true
        }
        return Reply.empty.status(isNew ? 201 : 204).header("Location", location(name, request))
    }

    static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let name = request["name"]
        guard try await find(name, request) != nil else {
            throw .badRequest("Error in delete resource class: Cannot delete standard resource class \(name).")
        }
        try await request.database.transaction { transaction throws(Fault) in
            if try transaction.count(Inventory.self, "resource_class = \(name)") > 0 {
                throw .conflict(
                    "Error in delete resource class: Cannot delete resource class \(name). "
                        + "Class is in use in inventory.")
            }
            try transaction.delete(ResourceClass.self, "name = \(name)", or: .notFound(Fault.noSuchClass(name)))
        }
        return .empty
    }

    private static func draft(_ request: Request) throws(Fault) -> String {
        var body = try request.body()
        let name = try body.need("name", .symbol(custom: true))
        try body.end()
        return name
    }

    /// Nil for a standard class; throws for none at all.
    private static func find(_ name: String, _ request: Request) async throws(Fault) -> ResourceClass? {
        if StandardClasses.set.contains(name) { return nil }
        return try await request.database.one(
            ResourceClass.self, "name = \(name)", or: .notFound(Fault.noSuchClass(name)))
    }

    private static func location(_ name: String, _ request: Request) -> String {
        "\(request.root)/resource_classes/\(name)"
    }

    private static func wire(_ name: String, _ prefix: String, _ view: inout View) {
        view.put("name", name)
        view.list("links", ["self"]) { view, rel in
            view.put("rel", rel)
            view.put("href", "\(prefix)/resource_classes/\(name)")
        }
    }
}

extension ResourceClass {
    /// The first of the names that no class has.
    static func unknown(_ names: some Sequence<String>, _ database: Database) async throws(Fault) -> String? {
        let odd = Set(names).subtracting(StandardClasses.set)
        if odd.isEmpty { return nil }
        let known = try await database.all(ResourceClass.self, "name", in: odd.sorted()).map(\.name)
        return odd.subtracting(known).min()
    }

    /// The same where the answer must hold until what depends on it is written.
    static func unknown(_ names: some Sequence<String>, _ transaction: Transaction) throws(Fault) -> String? {
        let odd = Set(names).subtracting(StandardClasses.set)
        if odd.isEmpty { return nil }
        let known = try transaction.all(ResourceClass.self, "name", in: odd.sorted()).map(\.name)
        return odd.subtracting(known).min()
    }
}
