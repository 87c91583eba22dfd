// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Files of metadata definitions, one namespace each, loaded into a cloud's image service, unloaded and written.
/// The files and what happens to namespaces that are there already are those of upstream's `glance-manage`.
package struct MetadefCatalog: Sendable {
    /// A call of the image service, so that the way to it does not matter here.
    package typealias Call =
        @Sendable (_ method: String, _ path: String, JSON?) async throws(Fault) -> RemoteCloud.Answer

    /// What becomes of a namespace that is there already.
    package enum Meeting: Sendable {
        case skip
        /// Only what is missing in it is added.
        case merge
        /// What is missing is added, and what is there is changed to what the file says.
        case preferNew
        /// It is deleted first.
        case overwrite
    }

    package enum Outcome: String, Sendable { case loaded, skipped, merged, deleted }

    private static let root = "/v2/metadefs/namespaces"
    private let call: Call

    package init(_ call: @escaping Call) { self.call = call }

    /// Brings in the namespace of one file.
    package func load(_ document: JSON, _ meeting: Meeting) async throws(Fault) -> Outcome {
        guard let name = document["namespace"]?.string else { throw .badRequest("the file names no namespace") }
        var whole = document.object ?? JSONObject()
        for member in ["created_at", "updated_at", "self", "schema"] { whole.removeValue(forKey: member) }
        if whole["owner"] == nil { whole["owner"] = "admin" }
        let path = MetadefCatalog.path(name)
        let found = try await call("GET", path, nil)
        if found.status == 404 {
            try await expect("POST", MetadefCatalog.root, .object(whole))
            return .loaded
        }
        guard found.status == 200 else { throw MetadefCatalog.fault(found, name) }
        switch meeting {
        case .skip: return .skipped
        case .overwrite:
            try await delete(name, found.json)
            try await expect("POST", MetadefCatalog.root, .object(whole))
            return .loaded
        case .merge, .preferNew:
            try await merge(whole, into: found.json, path, prefersNew: meeting == .preferNew)
            return .merged
        }
    }

    /// Removes a namespace, protected or not.
    package func unload(_ name: String) async throws(Fault) -> Outcome {
        let found = try await call("GET", MetadefCatalog.path(name), nil)
        if found.status == 404 { return .skipped }
        guard found.status == 200 else { throw MetadefCatalog.fault(found, name) }
        try await delete(name, found.json)
        return .deleted
    }

    /// Every namespace that the caller sees, by name.
    package func names() async throws(Fault) -> [String] {
        var names: [String] = []
        while true {
            let marker = names.last.map { "&marker=" + Percent.encode($0) } ?? ""
            let query = "?sort_key=namespace&sort_dir=asc&limit=100" + marker
            let answer = try await call("GET", MetadefCatalog.root + query, nil)
            guard answer.status == 200 else { throw MetadefCatalog.fault(answer, "namespaces") }
            let page = (answer.json["namespaces"]?.array ?? []).compactMap { $0["namespace"]?.string }
            names += page
            if page.count < 100 { return names }
        }
    }

    /// A namespace as a file holds it, and what that file is called.
    package func export(_ name: String) async throws(Fault) -> (file: String, document: JSON) {
        let found = try await call("GET", MetadefCatalog.path(name), nil)
        guard found.status == 200 else { throw MetadefCatalog.fault(found, name) }
        var document = JSONObject()
        for member in ["namespace", "display_name", "description", "visibility", "protected"] {
            document[member] = found.json[member] ?? .null
        }
        document["resource_type_associations"] = .array(
            (found.json["resource_type_associations"]?.array ?? []).map(MetadefCatalog.bare))
        document["properties"] = found.json["properties"] ?? [:]
        document["objects"] = .array((found.json["objects"]?.array ?? []).map(MetadefCatalog.bare))
        document["tags"] = found.json["tags"] ?? []
        let title = found.json["display_name"]?.string ?? name
        return (title.filter { $0.isLetter || $0.isNumber } + ".json", .object(document))
    }

    // MARK: - Parts

    private func merge(_ new: JSONObject, into old: JSON, _ path: String, prefersNew: Bool) async throws(Fault) {
        if prefersNew {
            var body = new
            for member in ["properties", "objects", "tags", "resource_type_associations"] {
                body.removeValue(forKey: member)
            }
            try await expect("PUT", path, .object(body))
        }
        for item in new["resource_type_associations"]?.array ?? [] {
            guard let name = item["name"]?.string else { continue }
            let isThere = MetadefCatalog.has(old["resource_type_associations"], name)
            // An association cannot be changed; one of a protected namespace cannot be taken away either.
            if !isThere { try await expect("POST", path + "/resource_types", item) }
        }
        for (name, definition) in new["properties"]?.object ?? JSONObject() {
            var body = definition.object ?? JSONObject()
            body["name"] = .string(name)
            try await put(.object(body), name, path + "/properties", old["properties"]?[name] != nil, prefersNew)
        }
        for item in new["objects"]?.array ?? [] {
            guard let name = item["name"]?.string else { continue }
            try await put(item, name, path + "/objects", MetadefCatalog.has(old["objects"], name), prefersNew)
        }
        for item in new["tags"]?.array ?? [] {
            guard let name = item["name"]?.string, !MetadefCatalog.has(old["tags"], name) else { continue }
            try await expect("POST", path + "/tags/" + Percent.encode(name), nil)
        }
    }

    private func put(
        _ body: JSON, _ name: String, _ path: String, _ isThere: Bool, _ prefersNew: Bool
    ) async throws(Fault) {
        if !isThere {
            try await expect("POST", path, body)
        } else if prefersNew {
            try await expect("PUT", path + "/" + Percent.encode(name), body)
        }
    }

    private func delete(_ name: String, _ found: JSON) async throws(Fault) {
        if found["protected"]?.bool == true {
            var body: JSONObject = ["namespace": .string(name), "protected": false]
            for member in ["display_name", "description", "visibility", "owner"] { body[member] = found[member] }
            try await expect("PUT", MetadefCatalog.path(name), .object(body))
        }
        try await expect("DELETE", MetadefCatalog.path(name), nil)
    }

    private func expect(_ method: String, _ path: String, _ body: JSON?) async throws(Fault) {
        let answer = try await call(method, path, body)
        guard answer.status < 300 else { throw MetadefCatalog.fault(answer, "\(method) \(path)") }
    }

    private static func path(_ name: String) -> String { root + "/" + Percent.encode(name) }

    private static func has(_ list: JSON?, _ name: String) -> Bool {
        (list?.array ?? []).contains { $0["name"]?.string == name }
    }

    private static func bare(_ item: JSON) -> JSON {
        var item = item.object ?? JSONObject()
        for member in ["created_at", "updated_at", "self", "schema"] { item.removeValue(forKey: member) }
        return .object(item)
    }

    private static func fault(_ answer: RemoteCloud.Answer, _ what: String) -> Fault {
        Fault(answer.status, "\(what): \(answer.json["message"]?.string ?? "status \(answer.status)")")
    }
}
