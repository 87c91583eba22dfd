// SPDX-License-Identifier: Apache-2.0
internal import Access
internal import Base
internal import HTTP
internal import JSON

/// A route with its rule's place in the policy in force.
struct BoundRoute: Sendable {
    let route: Route
    /// Nil for a route that is open to anybody.
    let handle: Policy.Handle?
}

/// The routes of one service as a tree of path segments.
struct Router: Sendable {
    private var root = Node()

    struct Match: Sendable {
        let routes: [BoundRoute]
        let parameters: [(name: String, value: String)]
        fileprivate let methods: Dictionary<String, [BoundRoute]>.Keys

        /// The methods that the path has, sorted.
        var allow: [String] {
            var allow = Set(methods)
            if allow.contains("GET") { allow.insert("HEAD") }
            return allow.sorted()
        }
    }

    private struct Node: Sendable {
        var words: [String: Node] = [:]
        var parameter: (name: String, node: Box)?
        /// A trailing `{name*}` that takes the rest of the path as it is.
        var rest: (name: String, node: Box)?
        var routes: [String: [BoundRoute]] = [:]
    }

    /// A node behind a reference, because a struct cannot hold itself.
    private final class Box: Sendable {
        let node: Node
        init(_ node: Node) { self.node = node }
    }

    init(_ index: ServiceIndex, _ policy: Policy) {
        for route in index.routes {
            let name = index.ruleName(route.ruleName)
            let handle = route.isOpen ? nil : policy.handle(name)
            precondition(route.isOpen || handle != nil, "the policy was made without the rule \(name)")
            let path = route.path.hasPrefix("//") ? String(route.path.dropFirst()) : index.base + route.path
            Router.add(BoundRoute(route: route, handle: handle), Router.split(path)[...], to: &root)
        }
    }

    private static func add(_ bound: BoundRoute, _ segments: ArraySlice<Substring>, to node: inout Node) {
        guard let first = segments.first else {
            node.routes[bound.route.method, default: []].append(bound)
            return
        }
        guard first.hasPrefix("{"), first.hasSuffix("}") else {
            add(bound, segments.dropFirst(), to: &node.words[String(first), default: Node()])
            return
        }
        var name = String(first.dropFirst().dropLast())
        if name.hasSuffix("*") {
            name.removeLast()
            var child = node.rest?.node.node ?? Node()
            add(bound, [], to: &child)
            node.rest = (name, Box(child))
        } else {
            // Routes of one place may call their parameter differently; each gets the name it was written with.
            precondition(
                node.parameter == nil || node.parameter?.name == name, "two names at one place: \(bound.route.path)")
            var child = node.parameter?.node.node ?? Node()
            add(bound, segments.dropFirst(), to: &child)
            node.parameter = (name, Box(child))
        }
    }

    static func split(_ path: String) -> [Substring] { path.split(separator: "/", omittingEmptySubsequences: true) }

    /// The routes of a method at a raw path. Nil when the path leads nowhere; a match without routes means that the
    /// method is not among those allowed. Throws when a segment is no UTF-8 once decoded.
    func find(_ method: String, _ path: String) throws(Fault) -> Match? {
        var parameters: [(name: String, value: String)] = []
        guard let node = try walk(root, Router.split(path)[...], &parameters), !node.routes.isEmpty else { return nil }
        let routes = node.routes[method] ?? (method == "HEAD" ? node.routes["GET"] : nil)
        return Match(routes: routes ?? [], parameters: parameters, methods: node.routes.keys)
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
    func pick(_ version: Microversion, _ json: JSON?) -> BoundRoute? {
        let living = routes.filter {
            ($0.route.since.map { version >= $0 } ?? true) && ($0.route.until.map { version < $0 } ?? true)
        }
        guard living.contains(where: { $0.route.action != nil }) else { return living.first }
        guard let object = json?.object else { return nil }
        return living.first { bound in bound.route.action.map { object[$0] != nil } ?? false }
    }

    /// Whether the path has the action in some version.
    var hasActions: Bool { routes.contains { $0.route.action != nil } }
}
