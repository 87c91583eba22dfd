// SPDX-License-Identifier: Apache-2.0
import Kernel

/// How much of one resource class a provider has, and how much of it is taken.
struct Inventory: Record {
    static let table = "placement_inventories"
    static let maximum = 2_147_483_647

    let providerID: String
    let resourceClass: String
    var total: Int
    var reserved: Int
    var minUnit: Int
    var maxUnit: Int
    var stepSize: Int
    var allocationRatio: Double
    /// The sum of the allocations, written in the same transaction as they are.
    var used: Int
    var updatedAt: Timestamp

    var capacity: Double { Double(total - reserved) * allocationRatio }
    /// The capacity in whole units, as clients see it.
    var units: Int { Inventory.units(capacity) }

    /// A capacity in whole units. Ratios may be immense, and what comes of them more than a number holds.
    static func units(_ capacity: Double) -> Int {
        let whole = capacity.rounded(.towardZero)
        return whole >= 9e18 ? 9_000_000_000_000_000_000 : whole <= -9e18 ? -9_000_000_000_000_000_000 : Int(whole)
    }

    /// Whether a request of that size suits the inventory's units, free or not.
    func suits(_ amount: Int) -> Bool { amount >= minUnit && amount <= maxUnit && amount % stepSize == 0 }
    func hasRoom(for amount: Int) -> Bool { suits(amount) && Double(used + amount) <= capacity }

    /// The same as `hasRoom`, as a condition on a row of a class.
    static func room(_ alias: String, _ name: String, _ amount: Int) -> SQL {
        let row: SQL = "\(raw: alias)"
        return row + ".resource_class = \(name) AND " + row + ".min_unit <= \(amount) AND " + row
            + ".max_unit >= \(amount) AND \(amount) % " + row + ".step_size = 0 AND " + row + ".used + \(amount) <= ("
            + row + ".total - " + row + ".reserved) * " + row + ".allocation_ratio"
    }
}

extension Inventory: Resource {
    static let routes: [Route] = [
        .get(
            "/resource_providers/{uuid}/inventories", "List resource provider inventories", of: Anything.from,
            allow: .adminOrService("resource_providers:inventories:list"), index),
        .post(
            "/resource_providers/{uuid}/inventories", "Create resource provider inventory", of: Anything.from,
            allow: .adminOrService("resource_providers:inventories:create"), create),
        .put(
            "/resource_providers/{uuid}/inventories", "Update resource provider inventories", of: Anything.from,
            allow: .adminOrService("resource_providers:inventories:update"), replaceAll),
        .delete(
            "/resource_providers/{uuid}/inventories", "Delete resource provider inventories", of: Anything.from,
            allow: .adminOrService("resource_providers:inventories:delete"), deleteAll, since: "1.5"),
        .delete(
            "/resource_providers/{uuid}/inventories", "Delete resource provider inventories", of: Anything.from,
            allow: .adminOrService("resource_providers:inventories:delete"), notYet, until: "1.5"),
        .get(
            "/resource_providers/{uuid}/inventories/{resource_class}", "Show resource provider inventory",
            of: Anything.from, allow: .adminOrService("resource_providers:inventories:show"), show),
        .put(
            "/resource_providers/{uuid}/inventories/{resource_class}", "Update resource provider inventory",
            of: Anything.from, allow: .adminOrService("resource_providers:inventories:update"), update),
        .delete(
            "/resource_providers/{uuid}/inventories/{resource_class}", "Delete resource provider inventory",
            of: Anything.from, allow: .adminOrService("resource_providers:inventories:delete"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 placement inventories
        CREATE TABLE placement_inventories (
            provider_id VARCHAR(36) NOT NULL, resource_class VARCHAR(255) NOT NULL, total INTEGER NOT NULL,
            reserved INTEGER NOT NULL, min_unit INTEGER NOT NULL, max_unit INTEGER NOT NULL,
            step_size INTEGER NOT NULL, allocation_ratio DOUBLE PRECISION NOT NULL, used BIGINT NOT NULL,
            updated_at BIGINT, PRIMARY KEY (provider_id, resource_class));
        CREATE INDEX placement_inventories_class ON placement_inventories (resource_class)
        """
    ]
}

// MARK: - Handlers

extension Inventory {
    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let provider = try await Provider.found(request)
        let rows = try await request.database.all(
            Inventory.self, "provider_id = \(provider.id) ORDER BY resource_class")
        return listed(rows, provider, request)
    }

    static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let provider = try await Provider.found(request)
        let name = request["resource_class"]
        let row = try await request.database.one(
            Inventory.self, "provider_id = \(provider.id) AND resource_class = \(name)",
            or: .notFound("No inventory of class \(name) for \(provider.id)"))
        return row.shown(provider, request)
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let known = try await Provider.found(request)
        var body = try request.body()
        let name = try body.need("resource_class", .symbol())
        _ = try body.take("resource_provider_generation", .integer())
        let row = try Inventory(&body, known.id, name, request)
        let unable = "Unable to create inventory for resource provider \(known.id): "
        try row.requireCapacity(unable, request)
        let now = request.now
        let provider = try await request.database.transaction { transaction throws(Fault) in
            var provider = try Provider.one(transaction, known.id)
            if try ResourceClass.unknown([name], transaction) != nil {
                throw .badRequest(unable + Fault.noSuchClass(name))
            }
            try transaction.insert(row, or: .generationConflict("Update conflict: \(name) is there already."))
            try provider.bump(transaction, at: now)
            return provider
        }
        return row.shown(provider, request).status(201)
            .header("Location", "\(request.root)/resource_providers/\(known.id)/inventories/\(name)")
    }

    static func update(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let known = try await Provider.found(request)
        let name = request["resource_class"]
        var body = try request.body()
        let generation = try body.need("resource_provider_generation", .integer())
        let row = try Inventory(&body, known.id, name, request)
        guard generation == known.generation else { throw .generationConflict() }
        try row.requireCapacity("Unable to update inventory for resource provider \(known.id): ", request)
        let now = request.now
        let provider = try await request.database.transaction { transaction throws(Fault) in
            var provider = try Provider.one(transaction, known.id)
            guard generation == provider.generation else { throw .generationConflict() }
            let key: SQL = "provider_id = \(known.id) AND resource_class = \(name)"
            guard let old = try transaction.first(Inventory.self, key) else {
                throw .badRequest(
                    "No inventory record with resource class for resource provider \(known.id): "
                        + "No inventory of class \(name) found.")
            }
            try transaction.replace(row.using(old.used), where: key, or: .generationConflict())
            try provider.bump(transaction, at: now)
            return provider
        }
        return row.shown(provider, request)
    }

    static func replaceAll(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let known = try await Provider.found(request)
        var body = try request.body()
        let generation = try body.need("resource_provider_generation", .integer())
        let inventories = try body.need("inventories", .object)
        try body.end()
        let rows = try rows(inventories, of: known.id, path: "inventories", request)
        guard generation == known.generation else { throw .generationConflict() }
        for row in rows {
            try row.requireCapacity("Unable to update inventory for resource provider \(known.id): ", request)
        }
        let provider = try await replaceRows(rows, of: known, generation, request)
        return listed(rows, provider, request)
    }

    static func deleteAll(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let known = try await Provider.found(request)
        _ = try await replaceRows([], of: known, nil, request)
        return .empty
    }

    static func notYet(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        throw Fault(
            405, "The method specified is not allowed for this resource.", headers: ["Allow": "GET, HEAD, POST, PUT"])
    }

    static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let known = try await Provider.found(request)
        let name = request["resource_class"]
        let now = request.now
        if try await ResourceClass.unknown([name], request.database) != nil {
            throw .notFound("No inventory of class \(name) found for delete: \(Fault.noSuchClass(name))")
        }
        try await request.database.transaction { transaction throws(Fault) in
            var provider = try Provider.one(transaction, known.id)
            let key: SQL = "provider_id = \(known.id) AND resource_class = \(name)"
            if try transaction.count(Allocation.self, key) > 0 {
                throw .generationConflict(
                    "Unable to delete inventory of class \(name): \(inUse([name], known.id))")
            }
            try transaction.delete(
                Inventory.self, key,
                or: .notFound(
                    "No inventory of class \(name) found for delete: No inventory of class \(name) found for delete"))
            try provider.bump(transaction, at: now)
        }
        return .empty
    }

    private static func inUse(_ names: [String], _ provider: String) -> String {
        let names = StandardClasses.inOrder(names).joined(separator: ", ")
        return "Inventory for '\(names)' on resource provider '\(provider)' in use."
    }

    /// Makes these rows the whole inventory; what is taken of a class stays taken.
    private static func replaceRows(
        _ rows: [Inventory], of known: Provider, _ generation: Int?, _ request: Request
    ) async throws(Fault) -> Provider {
        let now = request.now
        return try await request.database.transaction { transaction throws(Fault) in
            var provider = try Provider.one(transaction, known.id)
            if let generation, generation != provider.generation { throw .generationConflict() }
            if let unknown = try ResourceClass.unknown(rows.map(\.resourceClass), transaction) {
                throw .badRequest(
                    "Unknown resource class in inventory for resource provider \(known.id): "
                        + Fault.noSuchClass(unknown))
            }
            try replace(rows, of: &provider, transaction, at: now, generation == nil ? "" : "update conflict: ")
            return provider
        }
    }

    /// - Parameters:
    ///   - isWhole: whether what is not among the rows goes; otherwise it stays as it is.
    ///   - unable: how a complaint begins.
    static func replace(
        _ rows: [Inventory], of provider: inout Provider, _ transaction: Transaction, at now: Timestamp,
        isWhole: Bool = true, _ unable: String
    ) throws(Fault) {
        let id = provider.id
        let old = try transaction.all(Inventory.self, "provider_id = \(id)")
        let given = Set(rows.map(\.resourceClass))
        let others = old.filter { !given.contains($0.resourceClass) }
        let busy = isWhole ? others.filter { $0.used > 0 }.map(\.resourceClass) : []
        guard busy.isEmpty else { throw .conflict(unable + inUse(busy, id), code: Code.inventoryInUse) }
        let used = Dictionary(uniqueKeysWithValues: old.map { ($0.resourceClass, $0.used) })
        try transaction.delete(Inventory.self, "provider_id = \(id)")
        try transaction.insert(rows.map { $0.using(used[$0.resourceClass] ?? 0) } + (isWhole ? [] : others))
        try provider.bump(transaction, at: now)
    }
}

// MARK: - Wire

extension Inventory {
    /// What a body says of one class; takes all its members.
    init(_ body: inout Body, _ provider: String, _ name: String, _ request: Request) throws(Fault) {
        let whole = 1...Inventory.maximum
        providerID = provider
        resourceClass = name
        total = try body.need("total", .integer(whole))
        reserved = try body.take("reserved", .integer(0...Inventory.maximum)) ?? 0
        minUnit = try body.take("min_unit", .integer(whole)) ?? 1
        maxUnit = try body.take("max_unit", .integer(whole)) ?? Inventory.maximum
        stepSize = try body.take("step_size", .integer(whole)) ?? 1
        allocationRatio = try body.take("allocation_ratio", .number(-3.40282e38...3.40282e38)) ?? 1
        used = 0
        updatedAt = request.now
        try body.end()
    }

    /// Many classes of one provider, by name.
    static func rows(
        _ members: JSONObject, of provider: String, path: String, _ request: Request
    ) throws(Fault) -> [Inventory] {
        var rows: [Inventory] = []
        for (name, value) in members {
            guard Symbol.isValid(name), case .object(let object) = value else {
                throw request.index.wording.invalid(
                    "\(path).\(name)", value, "'\(name)' is no resource class with an object")
            }
            var member = Body(object, path: "\(path).\(name)", request: request)
            _ = try member.take("resource_provider_generation", .integer())
            rows.append(try Inventory(&member, provider, name, request))
        }
        return rows
    }

    func using(_ used: Int) -> Inventory {
        var copy = self
        copy.used = used
        return copy
    }

    /// Until 1.26 something had to be left after what is reserved.
    func requireCapacity(_ unable: String, _ request: Request) throws(Fault) {
        let mayBeNothing = request.version >= "1.26"
        guard mayBeNothing ? capacity < 0 : capacity <= 0 else { return }
        throw .badRequest(
            unable + "Invalid inventory for '\(resourceClass)' on resource provider '\(providerID)'. "
                + "The reserved value is greater than \(mayBeNothing ? "" : "or equal to ")total.")
    }

    private static func listed(_ rows: [Inventory], _ provider: Provider, _ request: Request) -> Reply {
        let reply = Reply.bare { view in
            view.put("resource_provider_generation", provider.generation)
            view.nest("inventories") { view in
                for row in rows { view.nest(named: row.resourceClass, row.details) }
            }
        }
        return reply.stamped(request, rows.map(\.updatedAt).max())
    }

    private func shown(_ provider: Provider, _ request: Request) -> Reply {
        let reply = Reply.bare { view in
            details(&view)
            if provider.generation > 0 { view.put("resource_provider_generation", provider.generation) }
        }
        return reply.stamped(request, updatedAt)
    }

    private func details(_ view: inout View) {
        view.put("total", total)
        view.put("reserved", reserved)
        view.put("min_unit", minUnit)
        view.put("max_unit", maxUnit)
        view.put("step_size", stepSize)
        view.put("allocation_ratio", allocationRatio)
    }
}
