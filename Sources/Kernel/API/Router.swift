// SPDX-License-Identifier: Apache-2.0
internal import Access
internal import Base
internal import HTTP
internal import JSON

/// The routes of one service as a tree of path segments.
struct Router: Sendable {
    private var root = Node()

    struct Match: Sendable {
        let routes: [Route]
        let parameters: [(name: String, value: String)]
        let allow: [String]
    }

    private struct Node: Sendable {
        var words: [String: Node] = [:]
        var parameter: (name: String, node: Box)?
        /// A trailing `{name*}` that takes the rest of the path as it is.
        var rest: (name: String, node: Box)?
        var routes: [String: [Route]] = [:]
    }

    /// A node behind a reference, because a struct cannot hold itself.
    private final class Box: Sendable {
        let node: Node
        init(_ node: Node) { self.node = node }
    }

    init(_ index: ServiceIndex) {
        for route in index.routes {
            let path = route.path.hasPrefix("//") ? String(route.path.dropFirst()) : index.base + route.path
            Router.add(route, Router.split(path)[...], to: &root)
        }
    }

    private static func add(_ route: Route, _ segments: ArraySlice<Substring>, to node: inout Node) {
        guard let first = segments.first else {
            node.routes[route.method, default: []].append(route)
            return
        }
        guard first.hasPrefix("{"), first.hasSuffix("}") else {
            add(route, segments.dropFirst(), to: &node.words[String(first), default: Node()])
            return
        }
        var name = String(first.dropFirst().dropLast())
        if name.hasSuffix("*") {
            name.removeLast()
            var child = node.rest?.node.node ?? Node()
            add(route, [], to: &child)
            node.rest = (name, Box(child))
        } else {
            // Routes of one place may call their parameter differently; each gets the name it was written with.
            precondition(node.parameter == nil || node.parameter?.name == name, "two names at one place: \(route.path)")
            var child = node.parameter?.node.node ?? Node()
            add(route, segments.dropFirst(), to: &child)
            node.parameter = (name, Box(child))
        }
    }

    static func split(_ path: String) -> [Substring] { path.split(separator: "/", omittingEmptySubsequences: true) }

    /// The routes of a method at a raw path. Nil when the path leads nowhere; a match without routes means that the
    /// method is not among those allowed. Throws when a segment is no UTF-8 once decoded.
    func find(_ method: String, _ path: String) throws(Fault) -> Match? {
        var parameters: [(name: String, value: String)] = []
        guard let node = try walk(root, Router.split(path)[...], &parameters), !node.routes.isEmpty else { return nil }
        var allow = Set(node.routes.keys)
        if allow.contains("GET") { allow.insert("HEAD") }
        let routes = node.routes[method] ?? (method == "HEAD" ? node.routes["GET"] : nil)
        return Match(routes: routes ?? [], parameters: parameters, allow: allow.sorted())
    }

    private func walk(
        _ node: Node, _ segments: ArraySlice<Substring>, _ parameters: inout [(name: String, value: String)]
    ) throws(Fault) -> Node? {
        guard let first = segments.first else { return node }
        if let child = node.words[String(first)],
            let found = try walk(child, segments.dropFirst(), &parameters), !found.routes.isEmpty
        {
            return found
        }
        if let (name, box) = node.parameter {
            guard let value = Percent.decode(first) else {
                throw .badRequest("The path segment '\(first)' is not valid percent-encoded UTF-8.")
            }
            parameters.append((name, value))
            if let found = try walk(box.node, segments.dropFirst(), &parameters), !found.routes.isEmpty { return found }
            parameters.removeLast()
        }
        if let (name, box) = node.rest {
            parameters.append((name, segments.joined(separator: "/")))
            return box.node
        }
        return nil
    }
}

extension Router.Match {
    /// The one route among those of a path that fits the version and the action named in the body.
    func pick(_ version: Microversion, _ json: JSON?) -> Route? {
        let living = routes.filter {
            ($0.since.map { version >= $0 } ?? true) && ($0.until.map { version < $0 } ?? true)
        }
        guard living.contains(where: { $0.action != nil }) else { return living.first }
        guard let object = json?.object else { return nil }
        return living.first { route in route.action.map { object[$0] != nil } ?? false }
    }

    /// Whether the path has the action in some version.
    var hasActions: Bool { routes.contains { $0.action != nil } }
}
