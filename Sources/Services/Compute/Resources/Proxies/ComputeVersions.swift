// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Discovery: which versions there are, and where (nova/api/openstack/compute/versions.py). Version 2.0 is described as
/// upstream describes it, deprecated; its calls are those of 2.1.
enum ComputeVersions: Resource {
    static let routes: [Route] = [
        .open("GET", "//", "List API versions") { _ in
            .bare { view in
                view.list("versions", documents) { $1.write(&$0, isListed: true) }
            }
        },
        .open("GET", "//v2", "Show version 2.0") { _ in show(documents[0]) },
        .open("GET", "//v2.1", "Show version 2.1") { _ in show(documents[1]) },
    ]

    private static let documents = [
        Document(
            id: "v2.0", path: "/v2/", status: "DEPRECATED", version: "", minimum: "", updated: "2025-07-04T12:00:00Z",
            type: "application/vnd.openstack.compute+json;version=2"),
        Document(
            id: "v2.1", path: "/v2.1/", status: "CURRENT", version: VersionHistory.compute.maximum.description,
            minimum: VersionHistory.compute.minimum.description, updated: "2013-07-23T11:33:21Z",
            type: "application/vnd.openstack.compute+json;version=2.1"),
    ]

    private static func show(_ document: Document) -> Reply {
        .object("version") { document.write(&$0, isListed: false) }
    }
}

extension ComputeVersions {
    /// One version as clients read it.
    struct Document: Sendable {
        let id: String
        let path: String
        let status: String
        let version: String
        let minimum: String
        let updated: String
        let type: String

        func write(_ view: inout View, isListed: Bool) {
            view.put("id", id)
            view.put("status", status)
            view.put("version", version)
            view.put("min_version", minimum)
            view.put("updated", updated)
            let href = view.root + path
            view.list("links", isListed ? ["self"] : ["self", "describedby"]) {
                $0.put("rel", $1)
                if $1 == "describedby" { $0.put("type", "text/html") }
                $0.put("href", $1 == "self" ? href : "http://docs.openstack.org/")
            }
            guard !isListed else { return }
            view.list("media-types", [type]) {
                $0.put("base", "application/json")
                $0.put("type", $1)
            }
        }
    }
}
