// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Which versions there are, how images can be brought in, and what a project has of what it may have.
package enum ImageDiscovery: Resource {
    package static let routes: [Route] = [
        .open("GET", "//", "List versions, as several choices", status: 300, versions),
        .open("GET", "//versions", "List versions", versions),
        .get("/info/usage", "Show usage against limits", of: Anything.from, allow: .anyone("discovery"), usage),
    ]

    /// Upstream's: which there are tells whether there are several stores.
    private static func numbers(isMulti: Bool) -> [String] {
        ["2.17", "2.15"] + (isMulti ? ["2.13", "2.12", "2.11", "2.10", "2.9", "2.8"] : ["2.9"])
            + ["2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0"]
    }

    static func versions(_ request: Request) async throws(Fault) -> Reply {
        let numbers = numbers(isMulti: request.image.stores.isMulti)
        return .bare { view in
            view.list("versions", numbers) { view, number in
                view.put("id", "v\(number)")
                view.put("status", number == numbers[0] ? "CURRENT" : "SUPPORTED")
                let href = "\(view.root)/v2/"
                view.list("links", ["self"]) {
                    $0.put("rel", $1)
                    $0.put("href", href)
                }
            }
        }
    }

    static func usage(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let usage = try await ImageQuotas.of(request).usage(request.database)
        return .object("usage") { view in
            for (name, used, limit) in usage {
                view.nest(named: name.rawValue) {
                    $0.put("usage", used)
                    $0.put("limit", limit)
                }
            }
        }
    }
}
