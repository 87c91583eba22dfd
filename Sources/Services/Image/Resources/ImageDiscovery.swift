// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Which versions there are, how images can be brought in, and the lists that are empty here.
package enum ImageDiscovery: Resource {
    package static let routes: [Route] = [
        .open("GET", "//", "List versions, as several choices", status: 300, versions),
        .open("GET", "//versions", "List versions", versions),
        .get("/info/import", "Show import methods", of: Anything.from, allow: .anyone("discovery"), importMethods),
        .get("/info/usage", "Show usage against limits", of: Anything.from, allow: .anyone("discovery"), usage),
        .get(
            "/tasks", "List tasks", of: Anything.from, allow: .rule("tasks_api_access", ImageRules.admin), tasks),
        .get(
            "/tasks/{task_id}", "Show task", of: Anything.from, allow: .rule("tasks_api_access", ImageRules.admin),
            task),
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

    static func importMethods(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        .object("import-methods") {
            $0.put("description", "Import methods available.")
            $0.put("type", "array")
            $0.put("value", ImageImport.methods)
        }
    }

    static func usage(_ request: Request, _: Anything) async throws(Fault) -> Reply { .object("usage") { _ in } }

    static func tasks(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        .list("tasks", []) {
            $0.put("first", "/v2/tasks")
            $0.put("schema", "/v2/schemas/tasks")
        }
    }

    static func task(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        throw .notFound("No task found with ID \(request["task_id"])")
    }
}
