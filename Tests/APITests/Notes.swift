// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation

/// A made-up service that uses each part of the API layer once.
final class NotesService: Service {
    static let index = ServiceIndex(
        type: "notes", name: "notes", title: "Notes", port: 9999, mount: "/notes", base: "/v1",
        versions: VersionHistory("notes", ["1.0": "Notes.", "1.1": "Colours.", "1.2": "201 for create."]),
        envelope: Envelope(
            pageLinks: .nova, refusal: { .forbidden("Policy doesn't allow \($0) to be performed.") },
            document: { fault, title, id in
                ["fault": ["code": .integer(Int64(fault.status)), "message": .string(fault.message)]]
            }),
        wording: .nova, rulePrefix: "notes:", resources: [Note.self])
}

struct Note: Record {
    static let table = "notes"
    let id: String
    let projectID: String
    let title: String
    let colour: String
    let createdAt: Timestamp
}

extension Note: Resource, ProjectOwned {
    static let routes: [Route] = [
        .open("GET", "//", "List versions") { _ in
            .bare { view in
                view.list("versions", [0]) { view, _ in VersionDocument(id: "v1", path: "/v1/").write(&view) }
            }
        },
        .get("/notes", "List notes", of: OwnScope.from, allow: .projectReader("index"), index),
        .post(
            "/notes", "Create note", of: Draft.from, allow: .projectMember("create"), create,
            status: ["1.0": 200, "1.2": 201]),
        .get("/notes/{id}", "Show note", of: visible, allow: .projectReader("show"), show),
        .delete("/notes/{id}", "Delete note", of: visible, allow: .projectMember("delete"), delete),
        .action("/notes/{id}/action", "shout", "Shout", of: visible, allow: .projectMember("shout"), shout),
        .action("/notes/{id}/action", "hush", "Hush", of: visible, allow: .admin("hush"), shout),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 notes
        CREATE TABLE notes (id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(64), title VARCHAR(255), colour VARCHAR(20),
            created_at BIGINT)
        """
    ]

    struct Draft: ProjectOwned, Asked {
        let projectID: String, title: String, colour: String

        init(_ request: Request) throws(Fault) {
            var body = try request.body("note")
            title = try body.need("title", .name)
            colour = try body.take("colour", .oneOf("red", "blue"), since: "1.1") ?? "red"
            projectID = request.caller.projectID ?? ""
            try body.end()
        }
    }

    static func visible(_ request: Request) async throws(Fault) -> Note {
        let id = request["id"]
        return try await request.database.one(
            Note.self, "id = \(id) AND project_id = \(request.caller.projectID ?? "")",
            or: .notFound("Note \(id) not found."))
    }

    static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let page = try request.page(sortable: [.text("title"), .text("id")], defaults: ["title"], maximum: 3)
        let notes = try await request.database.all(
            Note.self, page.condition("project_id = \(scope.projectID)", table: table))
        return .list("notes", notes.map { note in { note.details(&$0) } }, page: page, ids: notes.map(\.id))
    }

    static func create(_ request: Request, _ draft: Draft) async throws(Fault) -> Reply {
        let note = Note(
            id: request.ids.uuid(), projectID: draft.projectID, title: draft.title, colour: draft.colour,
            createdAt: request.now)
        try await request.database.insert(note, or: .conflict("Note exists."))
        return .object("note", note.details)
    }

    static func show(_ request: Request, _ note: Note) async throws(Fault) -> Reply { .object("note", note.details) }

    static func delete(_ request: Request, _ note: Note) async throws(Fault) -> Reply {
        _ = try await request.database.delete(Note.self, "id = \(note.id)")
        return .empty
    }

    static func shout(_ request: Request, _ note: Note) async throws(Fault) -> Reply { .empty }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("title", title)
        view.put("colour", colour, since: "1.1")
        view.put("created_at", createdAt)
    }
}
