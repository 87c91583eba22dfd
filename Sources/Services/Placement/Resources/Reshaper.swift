// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Moves inventories between providers together with what is taken of them: all in one transaction, or not at all.
enum Reshaper: Resource {
    static let routes: [Route] = [
        .post(
            "/reshaper", "Reshape inventories and allocations", of: Anything.from,
            allow: .rule("reshaper:reshape", "rule:service_api"), reshape, status: 204, since: "1.30")
    ]

    /// What a provider shall have, and the generation it must be at.
    private struct Shape: Sendable {
        let provider: String
        let generation: Int
        let rows: [Inventory]
    }

    static func reshape(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body()
        let inventories = try body.need("inventories", .object)
        let allocations = try body.need("allocations", .object)
        try body.end()
        if inventories.isEmpty {
            throw body.refuse("inventories", nil, "{} does not have enough properties")
        }
        var shapes: [Shape] = []
        for (id, value) in inventories { shapes.append(try shape(id, value, request)) }
        let claims = try Allocation.claims(allocations, request)
        let names = shapes.flatMap { $0.rows.map(\.resourceClass) } + claims.flatMap { $0.parts.map(\.resourceClass) }
        let given = shapes
        let now = request.now
        try await request.database.transaction { transaction throws(Fault) in
            var providers = try given.mapping { shape throws(Fault) in try provider(shape, transaction) }
            if let unknown = try ResourceClass.unknown(names, transaction) {
                throw .badRequest("malformed reshaper data: \(Fault.noSuchClass(unknown))")
            }
            // What goes must stay until nothing is held of it, and what comes must be there to be held.
            for (at, shape) in given.enumerated() where !shape.rows.isEmpty {
                try Inventory.replace(
                    shape.rows, of: &providers[at], transaction, at: now, isWhole: false, "update conflict: ")
            }
            try Ledger.set(claims, nil, transaction, at: now)
            for shape in given {
                var provider = try Provider.one(transaction, shape.provider)
                try Inventory.replace(shape.rows, of: &provider, transaction, at: now, "update conflict: ")
            }
        }
        return .empty
    }

    private static func shape(_ id: String, _ value: JSON, _ request: Request) throws(Fault) -> Shape {
        guard Claim.isID(id), case .object(let object) = value else {
            throw request.index.wording.invalid(
                "inventories.\(id)", value, "'\(id)' is no resource provider with an object")
        }
        let path = "inventories.\(id)"
        var body = Body(object, path: path, request: request)
        let generation = try body.need("resource_provider_generation", .integer())
        let members = try body.need("inventories", .object)
        try body.end()
        let provider = id.lowercased()
        return Shape(
            provider: provider, generation: generation,
            rows: try Inventory.rows(members, of: provider, path: path + ".inventories", request))
    }

    private static func provider(_ shape: Shape, _ transaction: Transaction) throws(Fault) -> Provider {
        guard let provider = try transaction.first(Provider.self, "id = \(shape.provider)") else {
            throw .badRequest(
                "Resource provider \(shape.provider) in inventories not found: "
                    + "No resource provider with uuid \(shape.provider) found", code: Code.providerNotFound)
        }
        guard provider.generation == shape.generation else {
            throw .generationConflict(
                "resource provider generation conflict for provider \(shape.provider): "
                    + "actual: \(provider.generation), given: \(shape.generation)")
        }
        return provider
    }
}
