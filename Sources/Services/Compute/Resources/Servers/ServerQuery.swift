// SPDX-License-Identifier: Apache-2.0
import Kernel

/// As much of a server as lists without details show.
struct ServerSummary: Record {
    static let table = Server.table
    let id: String
    let name: String

    func write(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.links("/servers/" + id)
    }
}

/// Which servers a list is about: whose, which, in what order.
struct ServerQuery: ProjectOwned, Asked {
    let projectID: String
    private let filter: SQL
    /// Columns whose texts are to match a regular expression that the database cannot look for.
    private let patterns: [(column: String, pattern: NamePattern)]

    init(_ request: Request) throws(Fault) {
        projectID = request.caller.projectID ?? ""
        (filter, patterns) = try ServerQuery.filter(request, projectID)
    }

    /// The columns clients may sort by (nova/api/openstack/compute/schemas/servers.py).
    private static let sortable: [SortKey] = [
        .text("display_name", column: "name"), .text("display_description", column: "description"),
        .text("hostname"), .text("host"), .text("node"), .text("access_ip_v4", column: "access_ip4"),
        .text("access_ip_v6", column: "access_ip6"), .text("availability_zone", column: "zone"),
        .number("config_drive", column: "has_config_drive"), .text("image_ref", column: "image_id"),
        .text("key_name"), .number("launch_index"), .number("launched_at"), .number("terminated_at"),
        .number("power_state"), .number("progress"), .text("project_id"), .text("root_device_name"),
        .text("user_id"), .text("vm_state"), .text("task_state"), .text("instance_type_id", column: "flavor"),
        .number("updated_at"), .number("locked"), .number("created_at", mayBeNull: false),
        .text("uuid", column: "id", mayBeNull: false),
    ]

    /// The page of servers asked for: whole ones, or as much of them as a row of another type takes.
    func run<Row: Record>(_ request: Request, _ type: Row.Type) async throws(Fault) -> ([Row], Page) {
        let maximum = request.compute.options.maxLimit
        let page = try request.page(
            sortable: ServerQuery.sortable, defaults: ["-created_at", "-uuid"], maximum: maximum)
        if let marker = page.marker {
            let count = try await request.database.count(Server.self, "id = \(marker)")
            if count == 0 { throw .badRequest("marker [\(marker)] not found") }
        }
        let narrowed = try await narrowed(request.database)
        let servers = try await request.database.all(
            type, page.condition(narrowed, table: Server.table, id: "id"))
        return (servers, page)
    }

    /// The filter with the servers named whose texts match the patterns.
    private func narrowed(_ database: Database) async throws(Fault) -> SQL {
        guard !patterns.isEmpty else { return filter }
        let columns = patterns.map { ", \($0.column)" }.joined()
        let rows = try await database.rows("SELECT id\(raw: columns) FROM compute_servers WHERE " + filter)
        let ids = rows.filter { row in patterns.allSatisfy { $0.pattern.matches(row.text($0.column) ?? "") } }
            .compactMap { $0.text("id") }
        return filter + (ids.isEmpty ? " AND 1 = 0" : " AND id IN \(ids)")
    }

    private static func filter(
        _ request: Request, _ projectID: String
    ) throws(Fault) -> (SQL, [(column: String, pattern: NamePattern)]) {
        var parts: [SQL] = []
        let isAdmin = request.may("servers:allow_all_filters", on: OwnScope(request))
        parts.append(try scope(request, projectID, isAdmin: isAdmin))
        try time(request, isAdmin: isAdmin, &parts)
        try states(request, isAdmin: isAdmin, &parts)
        let patterns = try ServerTextFilters.add(request, isAdmin: isAdmin, to: &parts)
        tags(request, &parts)
        return (parts.dropFirst().reduce(parts[0]) { $0 + " AND " + $1 }, patterns)
    }

    private static func scope(
        _ request: Request, _ projectID: String, isAdmin: Bool
    ) throws(Fault) -> SQL {
        // Which project is asked for counts only together with `all_tenants` (upstream's bug 1185290).
        guard try request.flag("all_tenants") ?? false else { return "project_id = \(projectID)" }
        let named = isAdmin ? request.query("tenant_id") ?? request.query("project_id") : nil
        let rule =
            request.http.path.hasSuffix("detail") ? "servers:detail:get_all_tenants" : "servers:index:get_all_tenants"
        guard request.may(rule, on: OwnScope(request)) else {
            throw request.index.envelope.refusal(request.index.ruleName(rule))
        }
        return named.map { "project_id = \($0)" } ?? "1 = 1"
    }

    private static func time(_ request: Request, isAdmin: Bool, _ parts: inout [SQL]) throws(Fault) {
        let since = try moment(request, "changes-since")
        let before = request.version >= "2.66" ? try moment(request, "changes-before") : nil
        if let since, let before, since > before {
            throw .badRequest("The value of changes-since must be less than or equal to changes-before.")
        }
        if let since { parts.append("updated_at >= \(since)") }
        if let before { parts.append("updated_at <= \(before.throughSecond)") }
        let statuses = request.queryAll("status").map { $0.uppercased() }
        if statuses.contains("DELETED"), !isAdmin {
            throw .forbidden("Only administrators may list deleted instances")
        }
        let isDeleted = try request.flag("deleted")
        if statuses.contains("DELETED") || (isAdmin && isDeleted == true) {
            parts.append("deleted_at IS NOT NULL")
        } else if since == nil, before == nil {
            parts.append("deleted_at IS NULL")
            let isSoft = isAdmin ? try request.flag("soft_deleted") ?? false : false
            if !isSoft, !statuses.contains("SOFT_DELETED") { parts.append("vm_state <> 'soft-delete'") }
        }
    }

    private static func moment(_ request: Request, _ name: String) throws(Fault) -> Timestamp? {
        guard let text = request.query(name) else { return nil }
        guard let moment = Timestamp(text.replacing(" ", with: "+")) else {
            throw request.index.wording.invalid(name, .string(text), "'\(text)' is not a 'date-time'")
        }
        return moment
    }

    private static func states(_ request: Request, isAdmin: Bool, _ parts: inout [SQL]) throws(Fault) {
        let statuses = request.queryAll("status")
        // One that is to be deleted later is shown to whoever looks for such ones.
        let asksForSoft = statuses.contains { $0.uppercased() == "SOFT_DELETED" }
        if !asksForSoft, request.query("vm_state") != VMState.softDelete.rawValue {
            parts.append("vm_state <> 'soft-delete'")
        }
        if !statuses.isEmpty {
            var states: [String] = []
            for status in statuses {
                guard let known = ServerStatus.states(status) else {
                    if request.version >= "2.38" { throw .badRequest("Invalid status value") }
                    states.append("no such status")
                    continue
                }
                states += known.map(\.rawValue)
            }
            parts.append("vm_state IN \(states)")
            let reboots = statuses.map { $0.uppercased() }
            if reboots.allSatisfy({ $0 == "REBOOT" }) { parts.append("task_state IN ('rebooting', 'reboot_pending')") }
            if reboots.allSatisfy({ $0 == "HARD_REBOOT" }) { parts.append("task_state = 'rebooting_hard'") }
        }
        guard isAdmin || request.version >= "2.83" else { return }
        if let state = request.query("vm_state") { parts.append("vm_state = \(state)") }
        if let state = request.query("task_state") { parts.append("task_state = \(state)") }
        if let text = request.query("power_state"), let state = Int(text) { parts.append("power_state = \(state)") }
    }

    private static func tags(_ request: Request, _ parts: inout [SQL]) {
        guard request.version >= "2.26" else { return }
        func names(_ key: String) -> [SQL] {
            request.queryAll(key).flatMap { $0.split(separator: ",") }.map { tag in
                "tags LIKE \("%" + JSON.string(String(tag)).text() + "%")"
            }
        }
        let (all, any, notAll, notAny) = (names("tags"), names("tags-any"), names("not-tags"), names("not-tags-any"))
        if !all.isEmpty { parts.append(all.joined(" AND ")) }
        if !any.isEmpty { parts.append("(" + any.joined(" OR ") + ")") }
        if !notAll.isEmpty { parts.append("NOT (" + notAll.joined(" AND ") + ")") }
        if !notAny.isEmpty { parts.append("NOT (" + notAny.joined(" OR ") + ")") }
    }
}

extension Timestamp {
    /// The end of the second it is in: clients name moments as they were shown, without a fraction.
    var throughSecond: Timestamp { Timestamp(microseconds: seconds * 1_000_000 + 999_999) }
}
