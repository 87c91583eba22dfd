// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a consumer shall hold from now on, as asked for: instead of whatever it holds.
struct Claim: Sendable {
    struct Part: Sendable {
        let provider: String
        let resourceClass: String
        let amount: Int
    }

    let consumer: String
    let projectID: String
    let userID: String
    let type: String?
    /// Since 1.28 the generation the consumer must have, nil inside for one that must be new.
    let generation: Int??
    /// Nothing gives back all that the consumer holds.
    let parts: [Part]

    init(_ body: Body, consumer: String, mayBeEmpty: Bool, _ request: Request) throws(Fault) {
        var body = body
        self.consumer = consumer
        let version = request.version
        if version >= "1.12" {
            parts = try Claim.parts(&body, mayBeEmpty: mayBeEmpty, request)
        } else {
            parts = try Claim.listedParts(&body, request)
        }
        if version >= "1.8" {
            projectID = try body.need("project_id", .text(1...255))
            userID = try body.need("user_id", .text(1...255))
        } else {
            let options = request.room(PlacementService.self).options
            projectID = options.unnamedProject
            userID = options.unnamedUser
        }
        if version >= "1.28" {
            guard let asked = try body.patch("consumer_generation", .integer()) else {
                throw request.index.wording.missing("consumer_generation")
            }
            generation = .some(asked)
        } else {
            generation = nil
        }
        if version >= "1.34", let mappings = try body.take("mappings", .object) {
            try Claim.check(mappings, request)
        }
        type = version >= "1.38" ? try body.need("consumer_type", .symbol()) : nil
        try body.end()
    }

    /// 36 characters of which each could be a UUID's, as upstream's schema has it.
    static func isID(_ text: String) -> Bool {
        text.utf8.count == 36
            && text.utf8.allSatisfy {
                (48...57).contains($0) || (65...70).contains($0) || (97...102).contains($0) || $0 == 45
            }
    }

    /// `{"<provider>": {"resources": {"VCPU": 1}}}`.
    private static func parts(_ body: inout Body, mayBeEmpty: Bool, _ request: Request) throws(Fault) -> [Part] {
        guard var providers = try body.takeObject("allocations") else {
            throw request.index.wording.missing("allocations")
        }
        if providers.isEmpty, !mayBeEmpty {
            throw body.refuse("allocations", nil, "{} does not have enough properties")
        }
        var parts: [Part] = []
        for id in providers.keys {
            guard isID(id) else { throw Complaint.unmatched(id, "^[0-9a-fA-F-]{36}$") }
            guard var provider = try providers.takeObject(id) else { continue }
            _ = try provider.take("generation", .integer())
            parts += try resources(&provider, of: id.lowercased(), request)
            try provider.end()
        }
        return parts
    }

    /// Before 1.12: `[{"resource_provider": {"uuid": ...}, "resources": {"VCPU": 1}}]`.
    private static func listedParts(_ body: inout Body, _ request: Request) throws(Fault) -> [Part] {
        guard let items = try body.takeObjects("allocations") else {
            throw request.index.wording.missing("allocations")
        }
        if items.isEmpty { throw body.refuse("allocations", nil, "[] should be non-empty") }
        var parts: [Part] = []
        for item in items {
            var item = item
            var provider = try item.needObject("resource_provider")
            let id = Symbol.uuid(try provider.need("uuid", .uuid))
            try provider.end()
            let added = try resources(&item, of: id, request)
            try item.end()
            // The last entry of a provider counts.
            parts.removeAll { $0.provider == id }
            parts += added
        }
        return parts
    }

    private static func resources(_ body: inout Body, of id: String, _ request: Request) throws(Fault) -> [Part] {
        var resources = try body.needObject("resources")
        if resources.isEmpty { throw body.refuse("resources", nil, "{} does not have enough properties") }
        var parts: [Part] = []
        for name in resources.keys {
            guard Symbol.isValid(name) else { throw Complaint.unmatched(name, "^[A-Z0-9_]+$") }
            parts.append(
                Part(provider: id, resourceClass: name, amount: try resources.need(name, .integer(1...Int(Int32.max)))))
        }
        return parts
    }

    /// Mappings are checked and then of no further use: they tell other services which group went where.
    private static func check(_ mappings: JSONObject, _ request: Request) throws(Fault) {
        if mappings.isEmpty {
            throw request.index.wording.invalid("mappings", nil, "{} does not have enough properties")
        }
        for (suffix, value) in mappings {
            do {
                _ = try Format<[String]>.list(.uuid, 1...10_000).read(value, false)
            } catch {
                throw request.index.wording.invalid("mappings.\(suffix)", value, error.reason)
            }
        }
    }
}
