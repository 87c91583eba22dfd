// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What other services tell of servers: that a port changed, was plugged, or is gone.
enum ServerExternalEvents: Resource {
    static let routes: [Route] = [
        .post(
            "/os-server-external-events", "Tell of events", of: Anything.from,
            allow: .rule("os-server-external-events:create", "rule:service_api"), create, status: 200)
    ]

    /// An event as told, and what became of it.
    private struct Event: Sendable {
        let name: String
        let server: String
        let status: String
        let tag: String?
        var code = 200
    }

    private static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var events = try read(request)
        let servers = try await request.database.all(
            Server.self, "id", in: Array(Set(events.map(\.server))), and: "deleted_at IS NULL")
        let byID = Dictionary(servers.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        for at in events.indices {
            guard let server = byID[events[at].server] else {
                events[at].code = 404
                continue
            }
            let needsTag = ["volume-extended", "power-update", "accelerator-request-bound"].contains(events[at].name)
            if needsTag, events[at].tag == nil {
                events[at].code = 400
            } else if server.host == nil {
                events[at].code = 422
            }
        }
        try await act(on: events, request)
        let told = events
        let status = told.allSatisfy { $0.code == 200 } ? 200 : 207
        return Reply.list(
            "events",
            told.map { event in
                { view in
                    view.put("name", event.name)
                    view.put("server_uuid", event.server)
                    view.put("status", event.code == 200 ? "completed" : "failed")
                    if let tag = event.tag { view.put("tag", tag) }
                    view.put("code", event.code)
                }
            }
        ).status(status)
    }

    /// What may be told of, and since when.
    private static let kinds: [(name: String, since: Microversion)] = [
        ("network-changed", "2.1"), ("network-vif-plugged", "2.1"), ("network-vif-unplugged", "2.1"),
        ("network-vif-deleted", "2.1"), ("volume-extended", "2.51"), ("power-update", "2.76"),
        ("accelerator-request-bound", "2.82"), ("volume-reimaged", "2.93"),
    ]

    private static func read(_ request: Request) throws(Fault) -> [Event] {
        var body = try request.body()
        guard let items = try body.takeObjects("events") else { throw request.index.wording.missing("events") }
        try body.end()
        guard !items.isEmpty else { throw body.refuse("events", [], "[] is too short") }
        return try items.mapping { item throws(Fault) in
            var item = item
            let name = try item.need("name", .text(1...255))
            let known = kinds.filter { request.version >= $0.since }.map(\.name)
            guard known.contains(name) else {
                let words = known.map { "'\($0)'" }.joined(separator: ", ")
                throw item.refuse("name", .string(name), "'\(name)' is not one of [\(words)]")
            }
            let event = Event(
                name: name, server: try item.need("server_uuid", .uuid),
                status: try item.take("status", .oneOf("failed", "completed", "in-progress")) ?? "completed",
                tag: try item.take("tag", .text(0...255)))
            try item.end()
            return event
        }
    }

    /// Ports of servers whose network changed are read again; a port deleted in Network is taken out of the guest, and
    /// who waits for a plug looks again.
    private static func act(on events: [Event], _ request: Request) async throws(Fault) {
        let good = events.filter {
            $0.code == 200 && ($0.name.hasPrefix("network-") || $0.name == "volume-extended")
        }
        for event in events where event.code == 200 && event.name.hasPrefix("volume-") {
            await request.compute.queue.tell(ServerVolumes.topic(event.server))
        }
        for event in good where event.name == "network-vif-plugged" {
            if let port = event.tag {
                await request.compute.plugs.tell(event.server, port, hasFailed: event.status == "failed")
            }
            await request.compute.queue.tell(PlugWait.topic(event.server))
        }
        guard !good.isEmpty else { return }
        let (queue, requestID) = (request.compute.queue, request.id)
        try await request.database.transaction { transaction throws(Fault) in
            var seen = Set<String>()
            for event in good {
                if event.name == "volume-extended" {
                    try queue.enqueue(
                        GrowVolume(server: event.server, volume: event.tag ?? ""), requestID: requestID,
                        in: transaction)
                } else if event.name == "network-vif-deleted", let port = event.tag {
                    try queue.enqueue(
                        DetachInterface(server: event.server, port: port), requestID: requestID, in: transaction)
                } else if seen.insert(event.server).inserted {
                    try RefreshServer.enqueue(event.server, queue, requestID, transaction)
                }
            }
        }
    }
}
