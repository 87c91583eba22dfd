// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The root document: which versions are spoken here.
enum Versions: Resource {
    static let routes: [Route] = [
        .open("GET", "//", "List versions") { request in
            let history = request.index.versions
            let reply = Reply.bare { view in
                view.list("versions", [history]) { view, history in
                    view.put("id", "v\(history.minimum)")
                    view.put("max_version", history.maximum.description)
                    view.put("min_version", history.minimum.description)
                    view.put("status", "CURRENT")
                    view.list("links", ["self"]) { view, rel in
                        view.put("rel", rel)
                        view.put("href", "")
                    }
                }
            }
            return reply.stamped(request)
        }
    ]
}
