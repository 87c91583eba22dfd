// SPDX-License-Identifier: Apache-2.0
import Kernel

/// How much is taken: of a provider, or by a project and its users.
enum Usages: Resource {
    static let routes: [Route] = [
        .get(
            "/resource_providers/{uuid}/usages", "List resource provider usages", of: Anything.from,
            allow: .adminOrService("resource_providers:usages"), ofProvider),
        .get(
            "/usages", "List usages", of: Asking.from,
            allow: .rule("usages", "rule:admin_or_project_reader_or_service_api"), total, since: "1.9"),
    ]

    static func ofProvider(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let provider = try await Provider.found(request)
        let rows = try await request.database.all(
            Inventory.self, "provider_id = \(provider.id) ORDER BY resource_class")
        let reply = Reply.bare { view in
            view.put("resource_provider_generation", provider.generation)
            view.nest("usages") { view in
                for row in rows { view.put(named: row.resourceClass, row.used) }
            }
        }
        return reply.stamped(request)
    }

    /// Whose usage is asked for: the target the rule is judged on.
    struct Asking: ProjectOwned, Asked {
        let projectID: String
        let userID: String?
        let type: String?

        init(_ request: Request) throws(Fault) {
            var known = ["project_id", "user_id"]
            if request.version >= "1.38" { known.append("consumer_type") }
            let pairs = try request.parameters(known)
            var values: [String: String] = [:]
            for (name, value) in pairs {
                guard (1...255).contains(value.unicodeScalars.count) else {
                    throw .badQuery(name, value, "is too \(value.isEmpty ? "short" : "long")")
                }
                values[name] = value
            }
            guard let project = values["project_id"] else { throw .badQuery(Complaint.missing("project_id")) }
            projectID = project
            userID = values["user_id"]
            type = values["consumer_type"]
            if let type, type != "all", type != "unknown", !Symbol.isValid(type) {
                throw .badQuery("consumer_type", type, "does not match '^[A-Z0-9_]+$|^all|^unknown$'")
            }
        }
    }

    static func total(_ request: Request, _ asking: Asking) async throws(Fault) -> Reply {
        var owner: SQL = "c.project_id = \(asking.projectID)"
        if let user = asking.userID { owner += " AND c.user_id = \(user)" }
        let isGrouped = request.version >= "1.38"
        if let type = asking.type, type != "all" {
            owner += type == "unknown" ? " AND c.type IS NULL" : " AND c.type = \(type)"
        }
        let tables: SQL = "placement_consumers c JOIN placement_allocations a ON a.consumer_id = c.id"
        let sums = try await request.database.rows(
            """
            SELECT c.type, a.resource_class, SUM(a.used) FROM \(sql: tables) WHERE \(sql: owner)
            GROUP BY c.type, a.resource_class ORDER BY c.type, a.resource_class
            """)
        let counts = try await request.database.rows(
            "SELECT c.type, COUNT(*) FROM placement_consumers c WHERE \(sql: owner) GROUP BY c.type")
        func group(_ row: Row) -> String { asking.type == "all" || !isGrouped ? "all" : row[0].text ?? "unknown" }
        var usages: [String: [String: Int]] = [:]
        for row in sums { usages[group(row), default: [:]][row[1].text ?? "", default: 0] += row[2].int ?? 0 }
        if isGrouped {
            for row in counts { usages[group(row), default: [:]]["consumer_count", default: 0] += row[1].int ?? 0 }
        }
        let shown = usages
        let reply = Reply.bare { view in
            view.nest("usages") { view in
                guard isGrouped else { return write(shown["all"] ?? [:], &view) }
                for (type, amounts) in shown.sorted(by: { $0.key < $1.key }) {
                    view.nest(named: type) { write(amounts, &$0) }
                }
            }
        }
        return reply.stamped(request)
    }

    private static func write(_ amounts: [String: Int], _ view: inout View) {
        for (name, amount) in amounts.sorted(by: { $0.key < $1.key }) { view.put(named: name, amount) }
    }
}
