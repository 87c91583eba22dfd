// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What the service says of itself before anybody logs in.
package enum NetworkVersions: Resource {
    package static let routes: [Route] = [
        .open("GET", "//", "List API versions") { _ in
            .bare { view in
                view.list("versions", ["v2.0"]) { version($1, &$0) }
            }
        },
        .get(
            "", "Show API version", of: Anything.from, allow: .anyone("get_api_version"), show),
    ]

    private static func version(_ id: String, _ view: inout View) {
        view.put("id", id)
        view.put("status", "CURRENT")
        let href = view.root + "/" + id + "/"
        view.list("links", [href]) {
            $0.put("rel", "self")
            $0.put("href", $1)
        }
    }

    private static func show(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        .bare { view in
            let endpoint = view.endpoint
            view.list("resources", NetworkService.index.resources.compactMap(collection)) {
                $0.put("name", $1.noun)
                $0.put("collection", $1.collection)
                $0.list("links", [endpoint + "/" + $1.collection]) {
                    $0.put("rel", "self")
                    $0.put("href", $1)
                }
            }
        }
    }

    private static func collection(_ resource: any Resource.Type) -> (noun: String, collection: String)? {
        guard let noun = resource as? any Noun.Type else { return nil }
        return (noun.noun, noun.collection)
    }
}
