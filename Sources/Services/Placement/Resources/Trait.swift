// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A quality that providers have or lack. The standard ones are part of the program; the table keeps the custom ones.
struct Trait: Record {
    static let table = "placement_traits"
    let name: String
    let createdAt: Timestamp
}

extension Trait: Resource {
    static let routes: [Route] = [
        .get("/traits", "List traits", of: Anything.from, allow: .adminOrService("traits:list"), index, since: "1.6"),
        .get(
            "/traits/{name}", "Show trait", of: Anything.from, allow: .adminOrService("traits:show"), show, status: 204,
            since: "1.6"),
        .put(
            "/traits/{name}", "Make sure of trait", of: Anything.from, allow: .adminOrService("traits:update"), ensure,
            status: 204, since: "1.6"),
        .delete(
            "/traits/{name}", "Delete trait", of: Anything.from, allow: .adminOrService("traits:delete"), delete,
            since: "1.6"),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 placement traits
        CREATE TABLE placement_traits (name VARCHAR(255) PRIMARY KEY, created_at BIGINT)
        """
    ]
}

// MARK: - Handlers

extension Trait {
    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let pairs = try request.parameters(["name", "associated"])
        let custom = try await request.database.all(Trait.self, "ORDER BY name")
        var names = StandardTraits.names + custom.map(\.name)
        if let filter = pairs.last(where: { $0.0 == "name" })?.1 {
            let parts = filter.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw .badRequest(
                    "Badly formatted name parameter. Expected name query string parameter in form: "
                        + "?name=[in|startswith]:[name1,name2|prefix]. Got: \"\(filter)\"")
            }
            if parts[0] == "in" {
                let wanted = Set(parts[1].split(separator: ",").map(String.init))
                names = names.filter(wanted.contains)
            } else if parts[0] == "startswith" {
                names = names.filter { $0.hasPrefix(parts[1]) }
            }
        }
        if let text = pairs.last(where: { $0.0 == "associated" })?.1.lowercased() {
            guard text == "true" || text == "false" else {
                throw .badRequest("The query parameter \"associated\" only accepts \"true\" or \"false\"")
            }
            let rows = try await request.database.rows("SELECT DISTINCT trait FROM placement_provider_traits")
            let associated = Set(rows.compactMap { $0[0].text })
            names = names.filter { associated.contains($0) == (text == "true") }
        }
        let shown = names
        return Reply.bare { $0.put("traits", shown) }.stamped(request, custom.map(\.createdAt).max())
    }

    static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let name = request["name"]
        if StandardTraits.set.contains(name) { return Reply.empty.stamped(request) }
        let trait = try await request.database.one(Trait.self, "name = \(name)", or: .noTrait(name))
        return Reply.empty.stamped(request, trait.createdAt)
    }

    static func ensure(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let name = request["name"]
        guard Symbol.isCustom(name) else {
            throw .badRequest(
                "The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix "
                    + "\"CUSTOM_\" and use following characters: \"A\"-\"Z\", \"0\"-\"9\" and \"_\"")
        }
        let now = request.now
        let old = try await request.database.transaction { transaction throws(Fault) -> Trait? in
            if let old = try transaction.first(Trait.self, "name = \(name)") { return old }
            try transaction.insert(Trait(name: name, createdAt: now))
            return nil
        }
        return Reply.empty.status(old == nil ? 201 : 204)
            .header("Location", "\(request.root)/traits/\(name)").stamped(request, old?.createdAt)
    }

    static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let name = request["name"]
        if StandardTraits.set.contains(name) { throw .badRequest("Cannot delete standard trait \(name).") }
        try await request.database.transaction { transaction throws(Fault) in
            if try transaction.count(ProviderTrait.self, "trait = \(name)") > 0 {
                throw .conflict("The trait \(name) is in use by a resource provider.")
            }
            try transaction.delete(Trait.self, "name = \(name)", or: .noTrait(name))
        }
        return .empty
    }
}

extension Trait {
    /// The names that no trait has, as messages list them; nil when there are none.
    static func unknown(_ names: some Sequence<String>, _ database: Database) async throws(Fault) -> String? {
        let odd = Set(names).subtracting(StandardTraits.set)
        if odd.isEmpty { return nil }
        let known = try await database.all(Trait.self, "name", in: odd.sorted()).map(\.name)
        return listed(odd.subtracting(known))
    }

    /// The same where the answer must hold until what depends on it is written.
    static func unknown(_ names: some Sequence<String>, _ transaction: Transaction) throws(Fault) -> String? {
        let odd = Set(names).subtracting(StandardTraits.set)
        if odd.isEmpty { return nil }
        return listed(odd.subtracting(try transaction.all(Trait.self, "name", in: odd.sorted()).map(\.name)))
    }

    private static func listed(_ missing: Set<String>) -> String? {
        missing.isEmpty ? nil : missing.sorted().joined(separator: ", ")
    }
}

extension Fault {
    static func noTrait(_ name: String) -> Fault { .notFound("No such trait(s): \(name).") }
}
