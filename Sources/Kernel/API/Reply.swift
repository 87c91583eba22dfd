// SPDX-License-Identifier: Apache-2.0
internal import Base
package import HTTP
package import JSON

/// What a handler answers: a body to be written and, where it differs from the route's, a status.
package struct Reply {
    enum Content {
        case empty
        case view((inout View) -> Void)
        case list(String, Items, Page?, ids: [String], extra: ((inout View) -> Void)?)
        case item(String, (inout View) -> Void)
        case http(HTTPResponse.Body)
    }

    /// What a list holds: how many, and how each is written.
    final class Items {
        let count: Int
        let write: (inout View, Int) -> Void

        init(_ count: Int, _ write: @escaping (inout View, Int) -> Void) {
            self.count = count
            self.write = write
        }
    }

    let content: Content
    package var status: Int?
    package var headers: [(String, String)] = []

    init(_ content: Content, status: Int? = nil) {
        self.content = content
        self.status = status
    }

    package static var empty: Reply { Reply(.empty) }

    /// `{"keypairs": [...]}`, with the links to the next page in the service's manner when a page was asked for.
    /// - Parameter ids: what the items are called as `marker`, in their order; needed only with a page.
    package static func list(
        _ name: String, _ items: [(inout View) -> Void], page: Page? = nil, ids: [String] = [],
        extra: ((inout View) -> Void)? = nil
    ) -> Reply {
        list(name, items, page: page, ids: ids, extra: extra) { view, item in item(&view) }
    }

    /// The same of values that one function writes: lists of thousands go without a closure for each.
    package static func list<Item>(
        _ name: String, _ items: [Item], page: Page? = nil, ids: [String] = [], extra: ((inout View) -> Void)? = nil,
        _ write: @escaping (inout View, Item) -> Void
    ) -> Reply {
        let items = Items(items.count) { view, at in write(&view, items[at]) }
        return Reply(.list(name, items, page, ids: ids, extra: extra))
    }

    /// `{"keypair": {...}}`.
    package static func object(_ name: String, _ body: @escaping (inout View) -> Void) -> Reply {
        Reply(.item(name, body))
    }

    /// An object without a wrapper.
    package static func bare(_ body: @escaping (inout View) -> Void) -> Reply { Reply(.view(body)) }

    /// A finished JSON document.
    package static func json(_ document: JSON) -> Reply {
        var reply = Reply(.http(.bytes(document.bytes())))
        reply.headers.append(("Content-Type", "application/json"))
        return reply
    }

    /// Bytes of another kind: images, metadata, console text.
    package static func body(_ body: HTTPResponse.Body, type: String) -> Reply {
        var reply = Reply(.http(body))
        reply.headers.append(("Content-Type", type))
        return reply
    }

    package func status(_ status: Int) -> Reply {
        var reply = self
        reply.status = status
        return reply
    }

    package func header(_ name: String, _ value: String) -> Reply {
        var reply = self
        reply.headers.append((name, value))
        return reply
    }
}

extension Reply {
    /// The response as it goes to the socket.
    func response(status routeStatus: Int, _ request: Request) -> HTTPResponse {
        var headers = headers
        var view = View(request, fields: request.fields)
        switch content {
        case .empty:
            return HTTPResponse(status: status ?? routeStatus, headers: headers, body: .empty)
        case .http(let body):
            return HTTPResponse(status: status ?? routeStatus, headers: headers, body: body)
        case .view(let body):
            view.object(body)
        case .item(let name, let body):
            view.object { $0.item(name, body) }
        case .list(let name, let items, let page, let ids, let extra):
            view.object {
                $0.items(name, items)
                page?.writeLinks(&$0, collection: name, ids: ids)
                extra?(&$0)
            }
        }
        if !headers.contains(where: { $0.0 == "Content-Type" }) {
            headers.append(("Content-Type", "application/json"))
        }
        // Taken out of the view, or the bytes had two owners and were copied.
        var writer = JSONWriter(capacity: 0)
        swap(&writer, &view.writer)
        return HTTPResponse(status: status ?? routeStatus, headers: headers, body: .bytes((consume writer).finish()))
    }
}

extension Request {
    /// The members the client asked for with `fields=`; nil is all.
    var fields: Set<String>? {
        guard index.envelope.trimsFields else { return nil }
        let names = queryAll("fields").flatMap { $0.split(separator: ",").map(String.init) }
        return names.isEmpty ? nil : Set(names)
    }
}
