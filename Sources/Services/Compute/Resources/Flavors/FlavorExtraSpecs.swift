// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a flavor asks of hosts beyond its size.
enum FlavorExtraSpecs: Resource {
    static let routes: [Route] = [
        .get(
            path, "List a flavor's extra specs", of: OwnScope.from, allow: .reader("os-flavor-extra-specs:index"), index
        ),
        .post(
            path, "Set extra specs of a flavor", of: Anything.from, allow: .adminOnly("os-flavor-extra-specs:create"),
            create,
            status: 200),
        .get(item, "Show an extra spec", of: OwnScope.from, allow: .reader("os-flavor-extra-specs:show"), show),
        .put(item, "Set an extra spec", of: Anything.from, allow: .adminOnly("os-flavor-extra-specs:update"), update),
        .delete(
            item, "Delete an extra spec", of: Anything.from, allow: .adminOnly("os-flavor-extra-specs:delete"), delete,
            status: 200),
    ]

    private static let path = "/flavors/{flavor_id}/os-extra_specs"
    private static let item = "/flavors/{flavor_id}/os-extra_specs/{key}"

    private static func index(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let flavor = try await Flavor.find(request["flavor_id"], request)
        return .bare { $0.put("extra_specs", flavor.extraSpecs) }
    }

    private static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body()
        let specs = try body.need("extra_specs", .specs)
        try body.end()
        if request.version >= "2.86" {
            try await ExtraSpecRules.check(specs, request.compute.placement, requestID: request.id)
        }
        _ = try await Flavor.change(request) { flavor throws(Fault) in flavor.extraSpecs.merge(specs) { $1 } }
        return .bare { $0.put("extra_specs", specs) }
    }

    private static func show(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let (id, key) = (request["flavor_id"], request["key"])
        guard let value = try await Flavor.find(id, request).extraSpecs[key] else { throw missing(id, key) }
        return .bare { $0.put(named: key, value) }
    }

    private static func update(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let key = request["key"]
        guard let json = request.json, case .object(let object) = json, object.count == 1, object[key] != nil else {
            throw .badRequest("Request body and URI mismatch")
        }
        var body = try request.body()
        let value = try body.need(key, .spec)
        if request.version >= "2.86" {
            try await ExtraSpecRules.check([key: value], request.compute.placement, requestID: request.id)
        }
        _ = try await Flavor.change(request) { flavor throws(Fault) in flavor.extraSpecs[key] = value }
        return .bare { $0.put(named: key, value) }
    }

    private static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (id, key) = (request["flavor_id"], request["key"])
        _ = try await Flavor.change(request) { flavor throws(Fault) in
            guard flavor.extraSpecs.removeValue(forKey: key) != nil else { throw missing(id, key) }
        }
        return .empty
    }

    private static func missing(_ id: String, _ key: String) -> Fault {
        .notFound("Flavor \(id) has no extra specs with key \(key).")
    }
}

extension Flavor {
    typealias Change = @Sendable (inout Flavor) throws(Fault) -> Void

    /// Changes the flavor the path names, in one transaction.
    static func change(_ request: Request, _ deed: @escaping Change) async throws(Fault) -> Flavor {
        let id = request["flavor_id"]
        return try await request.database.transaction { transaction throws(Fault) in
            var flavor = try transaction.one(Flavor.self, "id = \(id)", or: .flavorNotFound(id))
            try deed(&flavor)
            try transaction.replace(flavor, where: "id = \(id)", or: .flavorNotFound(id))
            return flavor
        }
    }
}

extension Format where Value == String {
    /// An extra spec's value: text, or a number that is kept as text.
    fileprivate static var spec: Format {
        Format { value, _ throws(Misfit) in
            switch value {
            case .string(let text) where text.unicodeScalars.count <= 255: return text
            case .string(let text): throw Misfit("'\(text)' is too long")
            case .integer, .double: return value.text()
            default: throw Misfit("\(value.text()) is not of type 'string', 'number'")
            }
        }
    }
}

extension Format where Value == [String: String] {
    /// Extra specs: keys of letters, digits, `_`, `-`, `:`, `.` and blanks.
    fileprivate static var specs: Format {
        Format { value, lenient throws(Misfit) in
            guard case .object(let object) = value else { throw Misfit("\(value.text()) is not of type 'object'") }
            var specs: [String: String] = [:]
            for (name, item) in object {
                let isClean = name.unicodeScalars.allSatisfy {
                    $0.properties.isAlphabetic || ("0"..."9").contains($0) || "_-:. ".unicodeScalars.contains($0)
                }
                guard (1...255).contains(name.unicodeScalars.count), isClean else {
                    throw Misfit("'\(name)' does not match '^[a-zA-Z0-9-_:. ]{1,255}$'")
                }
                specs[name] = try Format<String>.spec.read(item, lenient)
            }
            return specs
        }
    }
}
