// SPDX-License-Identifier: Apache-2.0
internal import Base

/// In which other ways a service's paths may be written.
package struct PathForms: Sendable {
    /// The base of a version of old whose calls are those of now: `/v2`. It knows of no microversions, and what a body
    /// has too much is overlooked.
    let oldBase: String?
    /// Whether a project may stand after the base, as catalogs of old have it: `/v2.1/{project_id}/servers`.
    let takesProject: Bool

    package init(oldBase: String? = nil, takesProject: Bool = false) {
        self.oldBase = oldBase
        self.takesProject = takesProject
    }
}

/// A path as its service's routes have it, with what was said by the way it was written.
struct PlacedPath: Sendable {
    /// Begins with the service's base.
    let path: String
    /// What stood before the route's own path.
    let base: String
    var isOld = false
    /// The project that the path names.
    var project: String?

    init(_ path: String, _ index: ServiceIndex) {
        let forms = index.pathForms
        var (base, isOld) = (index.base, false)
        if let old = forms.oldBase, path.hasPrefix(old + "/"), path.utf8.count > old.utf8.count + 1 {
            (base, isOld) = (old, true)
        } else if !forms.takesProject || !path.hasPrefix(base + "/") {
            (self.path, self.base) = (path, base)
            return
        }
        var rest = path.dropFirst(base.count)
        if forms.takesProject {
            let first = rest.dropFirst().prefix { $0 != "/" }
            // No noun is made of these digits alone.
            if !first.isEmpty, first.endIndex < rest.endIndex, first.utf8.allSatisfy(PlacedPath.isDigit) {
                project = String(first)
                base += "/" + first
                rest = rest[first.endIndex...]
            }
        }
        (self.base, self.isOld) = (base, isOld)
        self.path = isOld || project != nil ? index.base + rest : path
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            || byte == UInt8(ascii: "-")
    }

    /// A project in the path is the token's own.
    func admit(_ caller: String?) throws(Fault) {
        guard let project, project != caller else { return }
        throw .badRequest(
            "Malformed request URL: URL's project_id '\(project)' doesn't match Context's project_id "
                + "'\(caller ?? "None")'")
    }
}
