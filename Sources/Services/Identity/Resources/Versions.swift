// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What the service speaks: one version. `/` lists it with 300, as upstream does since it had two.
enum IdentityVersions: Resource {
    static let routes: [Route] = [
        .open("GET", "//", "List API versions", status: 300) { request async throws(Fault) in
            Reply.bare { view in
                view.nest("versions") { $0.list("values", [0]) { view, _ in write(&view) } }
            }.header("Location", request.endpoint + "/")
        },
        .open("GET", "/", "Show API version") { _ async throws(Fault) in .object("version", write) },
    ]

    static func write(_ view: inout View) {
        view.put("id", "v3.14")
        view.put("status", "stable")
        view.put("updated", "2020-04-07T00:00:00Z")
        let href = view.endpoint + "/"
        view.list("links", [href]) {
            $0.put("rel", "self")
            $0.put("href", $1)
        }
        view.list("media-types", ["application/json"]) {
            $0.put("base", $1)
            $0.put("type", "application/vnd.openstack.identity-v3+json")
        }
    }
}
