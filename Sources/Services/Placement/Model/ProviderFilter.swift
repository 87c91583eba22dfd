// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Which providers a list asks for, as a condition on their table.
struct ProviderFilter: Sendable {
    let condition: SQL

    init(_ request: Request) async throws(Fault) {
        let version = request.version
        var known = ["uuid", "name"]
        if version >= "1.3" { known.append("member_of") }
        if version >= "1.4" { known.append("resources") }
        if version >= "1.14" { known.append("in_tree") }
        if version >= "1.18" { known.append("required") }
        let pairs = try request.parameters(known)
        func last(_ name: String) -> String? { pairs.last { $0.0 == name }?.1 }
        func all(_ name: String) -> [String] { pairs.filter { $0.0 == name }.map(\.1) }

        var parts: [SQL] = ["1 = 1"]
        for name in ["uuid", "in_tree"] {
            guard let id = last(name) else { continue }
            guard Hex.isUUID(id) else { throw .badQuery(name, id, "is not a 'uuid'") }
            let own = Symbol.uuid(id)
            parts.append(
                name == "uuid"
                    ? "id = \(own)"
                    : "root_id IN (SELECT t.root_id FROM placement_providers t WHERE t.id = \(own))")
        }
        if let name = last("name") { parts.append("name = \(name)") }
        let aggregates = try ResourceQuery.aggregates(all("member_of"), at: version)
        parts += aggregates.required.map { ProviderFilter.member(of: $0) }
        if !aggregates.forbidden.isEmpty { parts.append("NOT " + ProviderFilter.member(of: aggregates.forbidden)) }
        let traits = try ResourceQuery.traits(all("required"), at: version)
        if let missing = try await Trait.unknown(traits.names, request.database) {
            throw .badRequest("Invalid trait(s) in \"required\" parameter: No such trait(s): \(missing).")
        }
        parts += traits.required.map { ProviderFilter.has($0) }
        if !traits.forbidden.isEmpty { parts.append("NOT " + ProviderFilter.has(traits.forbidden)) }
        if let text = last("resources") {
            let resources = try ResourceQuery.resources(text)
            if let unknown = try await ResourceClass.unknown(resources.keys, request.database) {
                throw .badRequest("Invalid resource class in resources parameter: \(Fault.noSuchClass(unknown))")
            }
            parts += resources.sorted { $0.key < $1.key }.map { name, amount in
                let room = Inventory.room("i", name, amount)
                return """
                    EXISTS (SELECT 1 FROM placement_inventories i
                    WHERE i.provider_id = placement_providers.id AND \(sql: room))
                    """
            }
        }
        condition = parts.joined(" AND ")
    }

    static func member(of ids: Set<String>) -> SQL {
        """
        EXISTS (SELECT 1 FROM placement_provider_aggregates a
        WHERE a.provider_id = placement_providers.id AND a.aggregate_id IN \(ids.sorted()))
        """
    }

    static func has(_ traits: Set<String>) -> SQL {
        """
        EXISTS (SELECT 1 FROM placement_provider_traits t
        WHERE t.provider_id = placement_providers.id AND t.trait IN \(traits.sorted()))
        """
    }
}
