// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A size that servers come in.
struct Flavor: Record {
    static let table = "compute_flavors"

    /// What clients call `id`: chosen by whoever makes it, or a UUID.
    let id: String
    let name: String
    let vcpus: Int
    let memoryMB: Int
    let diskGB: Int
    let ephemeralGB: Int
    let swapMB: Int
    let rxtxFactor: Double
    let isPublic: Bool
    var description: String?
    var extraSpecs: [String: String]
    /// The projects that may use it when it is not public.
    var projects: [String]
    let createdAt: Timestamp

    var snapshot: FlavorSnapshot {
        FlavorSnapshot(
            id: id, name: name, vcpus: vcpus, memoryMiB: memoryMB, diskGiB: diskGB, ephemeralGiB: ephemeralGB,
            swapMiB: swapMB, extraSpecs: extraSpecs)
    }
}

extension Flavor: Resource {
    static let routes: [Route] = [
        .get("/flavors", "List flavors", of: Anything.from, allow: .anyone("flavors:index"), index),
        .get(
            "/flavors/detail", "List flavors with details", of: Anything.from, allow: .anyone("flavors:detail"),
            detail),
        .get("/flavors/{flavor_id}", "Show a flavor", of: Anything.from, allow: .anyone("flavors:show"), show),
        .post(
            "/flavors", "Create a flavor", of: FlavorDraft.from, allow: .adminOnly("os-flavor-manage:create"), create,
            status: 200),
        .put(
            "/flavors/{flavor_id}", "Update a flavor's description", of: Anything.from,
            allow: .adminOnly("os-flavor-manage:update"), update, since: "2.55"),
        .delete(
            "/flavors/{flavor_id}", "Delete a flavor", of: Anything.from, allow: .adminOnly("os-flavor-manage:delete"),
            delete, status: 202),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 compute flavors
        CREATE TABLE compute_flavors (
            id VARCHAR(255) NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL UNIQUE, vcpus INTEGER NOT NULL,
            memory_mb INTEGER NOT NULL, disk_gb INTEGER NOT NULL, ephemeral_gb INTEGER NOT NULL,
            swap_mb INTEGER NOT NULL, rxtx_factor DOUBLE PRECISION NOT NULL, is_public INTEGER NOT NULL,
            description TEXT, extra_specs TEXT NOT NULL, projects TEXT NOT NULL, created_at BIGINT NOT NULL)
        """
    ]

    /// A flavor as the caller may see it: public ones, and those its project was given.
    static func find(_ id: String, _ request: Request) async throws(Fault) -> Flavor {
        let flavor = try await request.database.one(Flavor.self, "id = \(id)", or: .flavorNotFound(id))
        guard flavor.isVisible(to: request) else { throw .flavorNotFound(id) }
        return flavor
    }

    private func isVisible(to request: Request) -> Bool {
        isPublic || request.caller.has(role: "admin") || projects.contains(request.caller.projectID ?? "")
    }

    /// Without a disk of its own a server takes as much as its image: only for those who may.
    func admitsZeroDisk(_ request: Request, _ draft: ServerDraft) throws(Fault) {
        guard diskGB == 0, !request.may("servers:create:zero_disk_flavor", on: draft) else { return }
        throw .forbidden("Only volume-backed servers are allowed for flavors with zero disk.")
    }
}

// MARK: - Handlers

extension Flavor {
    private static let sortable: [SortKey] = [
        .text("name"), .number("memory_mb", column: "memory_mb"), .number("vcpus"),
        .number("root_gb", column: "disk_gb"), .number("created_at"), .text("flavorid", column: "id"),
    ]

    private static func list(_ request: Request) async throws(Fault) -> ([Flavor], Page) {
        let page = try request.page(
            sortable: sortable, defaults: ["flavorid"], maximum: request.compute.options.maxLimit)
        var filter: SQL = "1 = 1"
        if let name = request.query("name", since: "2.102") { filter += try await named(name, request.database) }
        for (name, column) in [("minRam", "memory_mb"), ("minDisk", "disk_gb")] {
            guard let text = request.query(name) else { continue }
            guard let least = Int(text) else {
                throw .badRequest("Invalid \(name == "minRam" ? "min_ram" : "minDisk") filter [\(text)]")
            }
            filter += " AND \(raw: column) >= \(least)"
        }
        if let marker = page.marker {
            _ = try await request.database.one(
                Flavor.self, "id = \(marker)", or: .badRequest("marker [\(marker)] not found"))
        }
        let isAdmin = request.caller.has(role: "admin")
        let ownProject = "%" + JSON.string(request.caller.projectID ?? "").text() + "%"
        switch request.query("is_public")?.lowercased() {
        case "none" where isAdmin: break
        case let text? where isAdmin && Format<Bool>.truth(text) == false: filter += " AND is_public = 0"
        case let text? where isAdmin && Format<Bool>.truth(text) == nil:
            throw .badRequest("Invalid is_public filter [\(text)]")
        case .some where isAdmin, nil where isAdmin: filter += " AND is_public = 1"
        default:
            filter +=
                " AND (is_public = 1 OR projects LIKE \(ownProject))"
        }
        let flavors = try await request.database.all(Flavor.self, page.condition(filter, table: table))
        return (flavors, page)
    }

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (flavors, page) = try await list(request)
        return .list("flavors", flavors.map { flavor in { flavor.summary(&$0) } }, page: page, ids: flavors.map(\.id))
    }

    static func detail(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (flavors, page) = try await list(request)
        return .list("flavors", flavors.map { flavor in { flavor.details(&$0) } }, page: page, ids: flavors.map(\.id))
    }

    static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        .object("flavor", try await find(request["flavor_id"], request).details)
    }

    static func create(_ request: Request, _ draft: FlavorDraft) async throws(Fault) -> Reply {
        let flavor = Flavor(
            id: draft.id ?? request.ids.uuid(), name: draft.name, vcpus: draft.vcpus, memoryMB: draft.memoryMB,
            diskGB: draft.diskGB, ephemeralGB: draft.ephemeralGB, swapMB: draft.swapMB,
            rxtxFactor: draft.rxtxFactor, isPublic: draft.isPublic, description: draft.description, extraSpecs: [:],
            projects: [], createdAt: request.now)
        try await request.database.transaction { transaction throws(Fault) in
            if try transaction.first(Flavor.self, "name = \(flavor.name)") != nil {
                throw .conflict("Flavor with name \(flavor.name) already exists.")
            }
            try transaction.insert(flavor, or: .conflict("Flavor with ID \(flavor.id) already exists."))
        }
        return .object("flavor", flavor.details)
    }

    static func update(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("flavor")
        guard let description = try body.patch("description", .text(0...65_535)) else {
            throw request.index.wording.missing("description")
        }
        try body.end()
        var flavor = try await find(request["flavor_id"], request)
        flavor.description = description
        _ = try await request.database.update(
            Flavor.self, set: "description = \(flavor.description)", where: "id = \(flavor.id)")
        return .object("flavor", flavor.details)
    }

    static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = request["flavor_id"]
        try await request.database.delete(Flavor.self, "id = \(id)", or: .flavorNotFound(id))
        return .empty
    }
}

// MARK: - Wire

/// A flavor as asked for.
struct FlavorDraft: Asked {
    let id: String?
    let name: String
    let vcpus: Int, memoryMB: Int, diskGB: Int, ephemeralGB: Int, swapMB: Int
    let rxtxFactor: Double
    let isPublic: Bool
    let description: String?

    init(_ request: Request) throws(Fault) {
        let most = 0x7FFF_FFFF
        var body = try request.body("flavor")
        name = try body.need("name", .name)
        let given = try body.option("id", .reference)
        id = given == "auto" ? nil : given
        memoryMB = try body.need("ram", .integer(1...most))
        vcpus = try body.need("vcpus", .integer(1...most))
        diskGB = try body.need("disk", .integer(0...most))
        ephemeralGB = try body.take("OS-FLV-EXT-DATA:ephemeral", .integer(0...most)) ?? 0
        swapMB = try body.take("swap", .swap) ?? 0
        rxtxFactor =
            request.version < "2.102" ? try body.option("rxtx_factor", .number(0...3.40282e38)) ?? 1 : 1
        isPublic = try body.take("os-flavor-access:is_public", .bool) ?? true
        description = try body.patch("description", .text(0...65_535), since: "2.55") ?? nil
        try body.end()
    }

    func policyAttribute(_ name: String) -> JSON? { nil }
}

extension Format where Value == Int {
    /// MiB of swap; an empty text is none.
    fileprivate static var swap: Format {
        Format { value, lenient throws(Misfit) in
            value == .string("") ? 0 : try Format<Int>.integer(0...0x7FFF_FFFF).read(value, lenient)
        }
    }
}

extension Flavor {
    func summary(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("description", description, since: "2.55")
        let (href, bookmark) = (view.endpoint + "/flavors/" + id, view.lastingEndpoint + "/flavors/" + id)
        view.list("links", [("self", href), ("bookmark", bookmark)]) {
            $0.put("rel", $1.0)
            $0.put("href", $1.1)
        }
    }

    func details(_ view: inout View) {
        summary(&view)
        view.put("ram", memoryMB)
        view.put("disk", diskGB)
        if view.version >= "2.75" || swapMB > 0 { view.put("swap", swapMB) } else { view.put("swap", "") }
        view.put("OS-FLV-EXT-DATA:ephemeral", ephemeralGB)
        view.put("OS-FLV-DISABLED:disabled", false, until: "2.102")
        view.put("vcpus", vcpus)
        view.put("os-flavor-access:is_public", isPublic)
        view.put("rxtx_factor", rxtxFactor, until: "2.102")
        view.put("extra_specs", extraSpecs, since: "2.61")
    }
}

extension Fault {
    static func flavorNotFound(_ id: String) -> Fault { .notFound("Flavor \(id) could not be found.") }
}

extension Flavor {
    /// The condition that a flavor's name matches a regular expression.
    private static func named(_ text: String, _ database: Database) async throws(Fault) -> SQL {
        guard let pattern = NamePattern(text) else { throw .badRequest("Invalid name filter [\(text)]") }
        let ids = try await database.rows("SELECT id, name FROM compute_flavors")
            .filter { pattern.matches($0.text("name") ?? "") }.compactMap { $0.text("id") }
        return ids.isEmpty ? " AND 1 = 0" : " AND id IN \(ids)"
    }
}
