// SPDX-License-Identifier: Apache-2.0
package import Access
internal import Base
package import JSON

/// An answer being written, straight to bytes. Members know the version they appeared in; the client's `fields` trim
/// it.
package struct View {
    package var writer = JSONWriter()
    package let version: Microversion
    package let request: Request
    /// Neutron's `fields=`: the members the client wants of each item; nil is all.
    private let fields: Set<String>?
    private var depth = 0
    /// The depth at which `fields` applies.
    private var itemDepth = -1

    package init(_ request: Request, fields: Set<String>? = nil) {
        self.request = request
        version = request.version
        self.fields = fields
    }

    /// The address links start with: `http://host:8774/v2.1`.
    package var endpoint: String { request.endpoint }
    package var root: String { request.root }
    /// Where things stand whatever the version: with the project, when the client's path names one.
    package var lastingEndpoint: String { request.root + (request.place.project.map { "/" + $0 } ?? "") }

    /// Whether the caller passes a rule; for members that only some may see.
    package func may(_ rule: String, on target: some PolicyTarget) -> Bool { request.may(rule, on: target) }

    package mutating func put(
        _ name: StaticString, _ value: some JSONValue, since: Microversion? = nil, until: Microversion? = nil
    ) {
        guard shows(name, since, until) else { return }
        writer.key(name)
        value.write(to: &writer)
    }

    // Texts again, without generics: most members are texts, and a list of thousands feels the detour.

    package mutating func put(
        _ name: StaticString, _ value: String, since: Microversion? = nil, until: Microversion? = nil
    ) {
        guard shows(name, since, until) else { return }
        writer.key(name)
        writer.string(value)
    }

    package mutating func put(
        _ name: StaticString, _ value: String?, since: Microversion? = nil, until: Microversion? = nil
    ) {
        guard shows(name, since, until) else { return }
        writer.key(name)
        if let value { writer.string(value) } else { writer.null() }
    }

    /// A member whose name is data.
    package mutating func put(named name: String, _ value: some JSONValue) {
        if depth == itemDepth, let fields, !fields.contains(name) { return }
        writer.key(name)
        value.write(to: &writer)
    }

    /// A member that is written as null when there is no value.
    package mutating func put(
        _ name: StaticString, _ value: (some JSONValue)?, since: Microversion? = nil, until: Microversion? = nil
    ) {
        guard shows(name, since, until) else { return }
        writer.key(name)
        if let value { value.write(to: &writer) } else { writer.null() }
    }

    /// A member that is an object.
    package mutating func nest(
        _ name: StaticString, since: Microversion? = nil, until: Microversion? = nil, _ body: (inout View) -> Void
    ) {
        guard shows(name, since, until) else { return }
        writer.key(name)
        object(body)
    }

    package mutating func nest(named name: String, _ body: (inout View) -> Void) {
        writer.key(name)
        object(body)
    }

    /// A member that is a list of objects.
    package mutating func list<Items: Sequence>(
        _ name: StaticString, _ items: Items, since: Microversion? = nil, until: Microversion? = nil,
        _ body: (inout View, Items.Element) -> Void
    ) {
        guard shows(name, since, until) else { return }
        writer.key(name)
        writer.beginArray()
        for item in items { object { body(&$0, item) } }
        writer.endArray()
    }

    /// The list an answer is about: here `fields` applies.
    mutating func items(_ name: String, _ items: Reply.Items) {
        writer.key(name)
        writer.beginArray()
        itemDepth = depth + 1
        for at in 0..<items.count {
            object { items.write(&$0, at) }
            // The first few tell how long the rest will be, so that the answer grows once.
            if at == 8 { writer.reserve(writer.count / 8 * (items.count - at)) }
        }
        itemDepth = -1
        writer.endArray()
    }

    /// The object an answer is about: here `fields` applies.
    mutating func item(_ name: String, _ body: (inout View) -> Void) {
        writer.key(name)
        itemDepth = depth + 1
        object(body)
        itemDepth = -1
    }

    package mutating func object(_ body: (inout View) -> Void) {
        writer.beginObject()
        depth += 1
        body(&self)
        depth -= 1
        writer.endObject()
    }

    private func shows(_ name: StaticString, _ since: Microversion?, _ until: Microversion?) -> Bool {
        if let since, version < since { return false }
        if let until, version >= until { return false }
        if depth == itemDepth, let fields { return fields.contains(name.description) }
        return true
    }
}
