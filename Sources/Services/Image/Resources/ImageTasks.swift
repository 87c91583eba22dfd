// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What became of an import, for clients to watch. The work itself is an operation of the queue.
package struct ImageTask: Record {
    package static let table = "image_tasks"
    package enum Kind: String, Codable, Sendable, JSONValue {
        case `import`
        case apiImageImport = "api_image_import"
        case locationImport = "location_import"
    }
    package enum Status: String, Codable, Sendable, JSONValue, CaseIterable {
        case pending, processing, success, failure
    }

    package let id: String
    package let type: Kind
    package var status: Status
    package let owner: String?
    package let userID: String?
    package let requestID: String?
    package let imageID: String?
    package let input: JSON
    package var result: JSON
    package var message: String
    package var expiresAt: Timestamp?
    package let createdAt: Timestamp
    package var updatedAt: Timestamp

    package var isOver: Bool { status == .success || status == .failure }
}

extension ImageTask: Resource {
    package static let routes: [Route] = [
        .get("/tasks", "List tasks", of: OwnScope.from, allow: access(), index),
        .post("/tasks", "Create task", of: OwnScope.from, allow: access(), create),
        .get("/tasks/{task_id}", "Show task", of: OwnScope.from, allow: access(), show),
        .delete("/tasks/{task_id}", "Refuse to delete a task", of: OwnScope.from, allow: access(), refuseToDelete),
        .get(
            "/images/{image_id}/tasks", "List tasks of an image", of: SeenImage.find,
            allow: .rule("get_image", ImageRules.show), ofImage),
    ]

    private static func access() -> Rule<OwnScope> { .rule("tasks_api_access", ImageRules.admin) }

    package static let migrations: [Migration] = [
        """
        2026-11-21 image tasks
        CREATE TABLE image_tasks (
            id VARCHAR(36) PRIMARY KEY, type VARCHAR(30) NOT NULL, status VARCHAR(30) NOT NULL, owner VARCHAR(255),
            user_id VARCHAR(64), request_id VARCHAR(64), image_id VARCHAR(36), input TEXT NOT NULL,
            result TEXT NOT NULL, message TEXT NOT NULL, expires_at BIGINT, created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL);
        CREATE INDEX image_tasks_image_id ON image_tasks (image_id);
        CREATE INDEX image_tasks_created_at ON image_tasks (created_at)
        """
    ]
}

// MARK: - Handlers

extension ImageTask {
    private static let sortable: [SortKey] = [
        .number("created_at", mayBeNull: false), .number("updated_at", mayBeNull: false), .number("expires_at"),
        .text("type", mayBeNull: false), .text("status", mayBeNull: false), .text("owner"),
        .text("id", mayBeNull: false),
    ]
    private static let control: Set<String> = ["limit", "marker", "sort_key", "sort_dir", "status", "type"]

    static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let options = request.image.options
        let page = try request.page(
            sortable: sortable, defaults: ["-created_at"],
            maximum: request.query("limit") == nil ? options.defaultLimit : options.maxLimit)
        if let marker = page.marker {
            guard ImageValues.isDashedUUID(marker) else { throw .badRequest("Invalid marker format") }
            guard try await request.database.count(ImageTask.self, "id = \(marker)") > 0 else {
                throw .badRequest("No task found with ID \(marker)")
            }
        }
        var condition = visible(request)
        if let status = request.query("status"), !status.isEmpty {
            guard Status(rawValue: status) != nil else { throw .badRequest("Invalid status value: \(status)") }
            condition += " AND status = \(status)"
        }
        if let type = request.query("type"), !type.isEmpty {
            guard type == Kind.import.rawValue else { throw .badRequest("Invalid type value: \(type)") }
            condition += " AND type = \(type)"
        }
        for name in ["owner", "image_id", "user_id", "request_id"] {
            if let value = request.query(name) { condition += " AND \(raw: name) = \(value)" }
        }
        let tasks = try await request.database.all(ImageTask.self, page.condition(condition, table: table))
        return .list(
            "tasks", tasks.map { $0.summary }, page: page, ids: tasks.map(\.id),
            extra: { $0.put("schema", "/v2/schemas/tasks") })
    }

    static func show(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let id = request["task_id"]
        let task = try await request.database.one(
            ImageTask.self, "id = \(id) AND \(sql: visible(request))", or: .notFound("No task found with ID \(id)"))
        return .bare(task.details)
    }

    /// The older way to import: an image is made and its bytes come from the web, both by one call.
    static func create(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let draft = try LegacyImport(request)
        let task = try await draft.begin(request)
        return Reply.bare(task.details).header("Location", "/v2/tasks/\(task.id)")
    }

    static func refuseToDelete(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        throw Fault(
            405,
            "This operation is currently not permitted on Glance Tasks. They are auto deleted after reaching the time "
                + "based on their expires_at property.", headers: ["Allow": "GET"])
    }

    static func ofImage(_ request: Request, _ seen: SeenImage) async throws(Fault) -> Reply {
        let tasks = try await request.database.all(
            ImageTask.self,
            "image_id = \(seen.image.id) AND \(sql: visible(request)) ORDER BY created_at DESC, id DESC")
        return .list("tasks", tasks.map { $0.row })
    }

    /// Those that are not past their time; those of all projects for administrators.
    private static func visible(_ request: Request) -> SQL {
        let living: SQL = "(expires_at IS NULL OR expires_at > \(request.now))"
        if request.may("context_is_admin", on: Anything()) { return living }
        return living + " AND owner = \(request.caller.projectID ?? "")"
    }
}

// MARK: - Life

extension ImageTask {
    /// A new task, and room made for it: those past their time go.
    func insert(_ transaction: Transaction, now: Timestamp) throws(Fault) {
        try transaction.delete(ImageTask.self, "expires_at IS NOT NULL AND expires_at <= \(now)")
        try transaction.insert(self)
    }

    /// Ends a task that is not over yet.
    static func end(
        _ id: String, _ status: Status, result: JSON = .null, message: String, now: Timestamp, lives: Duration,
        _ transaction: Transaction
    ) throws(Fault) {
        try transaction.update(
            ImageTask.self,
            set: """
                status = \(status.rawValue), result = \(result), message = \(message), \
                expires_at = \(now + lives), updated_at = \(now)
                """, where: "id = \(id) AND status IN ('pending', 'processing')")
    }
}

// MARK: - Wire

extension ImageTask {
    func summary(_ view: inout View) {
        view.put("id", id)
        view.put("type", type)
        view.put("status", status)
        view.put("owner", owner)
        if let imageID { view.put("image_id", imageID) }
        if let requestID { view.put("request_id", requestID) }
        if let userID { view.put("user_id", userID) }
        if let expiresAt { view.put("expires_at", expiresAt) }
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
        view.put("self", "/v2/tasks/\(id)")
        view.put("schema", "/v2/schemas/task")
    }

    func details(_ view: inout View) {
        summary(&view)
        view.put("input", input)
        view.put("result", result)
        view.put("message", message)
    }

    /// As the tasks of an image are shown: the row as it is.
    func row(_ view: inout View) {
        view.put("id", id)
        view.put("image_id", imageID)
        view.put("request_id", requestID)
        view.put("user_id", userID)
        view.put("type", type)
        view.put("status", status)
        view.put("owner", owner)
        view.put("expires_at", expiresAt)
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
        view.put("deleted_at", Timestamp?.none)
        view.put("deleted", false)
        view.put("input", input)
        view.put("result", result)
        view.put("message", message)
    }
}
