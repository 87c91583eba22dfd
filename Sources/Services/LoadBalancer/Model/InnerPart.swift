// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A part that has its place below another: members below pools, rules below policies.
package protocol InnerPart: Part {
    associatedtype Outer: Part
    /// What the outer part is called when it is missed.
    static var outerTitle: String { get }
    static var outerColumn: String { get }
    var outerID: String { get }
}

/// The part that a path names, on whose project the rules about what is below it are judged.
package struct Around<Outer: Part>: ProjectOwned {
    let part: Outer
    package var projectID: String { part.projectID }
}

extension InnerPart {
    static func around(_ request: Request) async throws(Fault) -> Around<Outer> {
        let id = request["id"]
        return Around(part: try await request.database.one(Outer.self, "id = \(id)", or: .missing(outerTitle, id)))
    }

    /// The part that the path names, below the one that it names.
    static func within(_ request: Request) async throws(Fault) -> Self {
        let outer = try await around(request).part
        let part = try await found(request, request[noun])
        guard part.outerID == outer.id else { throw notFound(part.id) }
        return part
    }

    static func listed(_ request: Request, _ around: Around<Outer>) async throws(Fault) -> Reply {
        try await list(request, "\(raw: outerColumn) = \(around.part.id)")
    }
}
